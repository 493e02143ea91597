"""What a folder and a bucket have in common: nobody overwrites what they have not seen, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.tools.prompts.conftest import template
from tools.prompts.refusals import Conflict, Missing
from tools.prompts.store import Store, Stored

FIRST, SECOND, THIRD = template("1 {{name}}"), template("2 {{name}}"), template("3 {{name}}")


def read(store: Store, name: str) -> Stored:
    found = store.read(name)
    assert found is not None
    return found


def test_what_was_written_is_listed_and_read(store: Store) -> None:
    saved = store.write("one", FIRST, None)
    store.write("two", SECOND, None)
    assert read(store, "one") == Stored(FIRST, saved.etag, saved.version)
    assert store.scan().etags == {"one": saved.etag, "two": read(store, "two").etag}
    assert store.scan().problems == {}
    assert saved.version


def test_empty_library_lists_nothing(store: Store) -> None:
    assert store.scan() == ({}, {})


def test_template_that_is_known_is_not_read_again(store: Store) -> None:
    saved = store.write("one", FIRST, None)
    assert store.read("one", saved.etag) is None
    assert store.read("one", "another") is not None
    assert store.write("one", SECOND, saved.etag).etag != saved.etag
    assert store.read("one", saved.etag) is not None


def test_new_prompt_never_overwrites_one_that_is_there(store: Store) -> None:
    store.write("one", FIRST, None)
    with pytest.raises(Conflict):
        store.write("one", SECOND, None)
    assert read(store, "one").content == FIRST
    assert len(store.versions("one")) == 1


@pytest.mark.parametrize("change", [Store.write, Store.remove])
def test_change_of_what_has_changed_meanwhile_is_refused(store: Store, change: Callable[..., object]) -> None:
    seen = store.write("one", FIRST, None)
    store.write("one", SECOND, seen.etag)
    with pytest.raises(Conflict):
        store.write("one", THIRD, seen.etag) if change is Store.write else store.remove("one", seen.etag)
    assert read(store, "one").content == SECOND
    assert len(store.versions("one")) == 2


def test_change_of_what_was_removed_meanwhile_is_refused(store: Store) -> None:
    seen = store.write("one", FIRST, None)
    store.remove("one", seen.etag)
    with pytest.raises(Missing):
        store.write("one", SECOND, seen.etag)
    with pytest.raises(Missing):
        store.remove("one", seen.etag)
    with pytest.raises(Missing, match="The library has no prompt one"):
        store.read("one")
    assert store.scan().etags == {}


def test_every_version_can_be_read_the_newest_first(store: Store) -> None:
    saved = store.write("one", FIRST, None)
    for content in (SECOND, THIRD):
        saved = store.write("one", content, saved.etag)
    versions = store.versions("one")
    assert [store.read_version("one", version.id).content for version in versions] == [THIRD, SECOND, FIRST]
    assert [version.latest for version in versions] == [True, False, False]
    assert [version.size for version in versions] == [len(THIRD), len(SECOND), len(FIRST)]
    assert [store.read_version("one", version.id).etag for version in versions] == [one.etag for one in versions]
    assert versions[0].id == saved.version == read(store, "one").version
    assert [version.written for version in versions] == sorted((one.written for one in versions), reverse=True)


def test_versions_stay_when_a_prompt_is_removed_and_go_on_when_it_comes_back(store: Store) -> None:
    saved = store.write("one", FIRST, None)
    store.remove("one", saved.etag)
    gone = [version for version in store.versions("one") if not version.removed]
    assert [store.read_version("one", version.id).content for version in gone] == [FIRST]
    store.write("one", SECOND, None)
    kept = [version for version in store.versions("one") if not version.removed]
    assert [store.read_version("one", version.id).content for version in kept] == [SECOND, FIRST]
    assert [version.latest for version in kept] == [True, False]


def test_versions_are_those_of_one_name(store: Store) -> None:
    store.write("one", FIRST, None)
    store.write("one-more", SECOND, None)
    assert [version.size for version in store.versions("one")] == [len(FIRST)]


@pytest.mark.parametrize(
    "version",
    [
        pytest.param("99", id="none of these"),
        pytest.param("0", id="zero"),
        pytest.param("../../secret", id="a path"),
        pytest.param("a\0", id="a null character"),
        pytest.param("", id="empty"),
        pytest.param("\u0661", id="a digit of another script"),
        pytest.param("1" * 5000, id="far too long"),
    ],
)
def test_version_that_is_none_is_missing(store: Store, version: str) -> None:
    store.write("one", FIRST, None)
    with pytest.raises(Missing, match=r"one has no version .*: list_prompt_versions tells those it has") as refused:
        store.read_version("one", version)
    assert len(str(refused.value)) < 200


def test_name_that_never_was_has_no_versions(store: Store) -> None:
    with pytest.raises(Missing, match="has never had a prompt one"):
        store.versions("one")
    with pytest.raises(Missing):
        store.read_version("one", "1")


def test_of_many_editors_at_once_one_wins_and_the_others_are_told(store: Store) -> None:
    seen = store.write("one", FIRST, None)

    def edit(number: int) -> int | None:
        try:
            store.write("one", template(f"{number} {{{{name}}}} of many"), seen.etag)
        except Conflict:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        (winner,) = {number for number in pool.map(edit, range(8)) if number is not None}
    assert read(store, "one").content == template(f"{winner} {{{{name}}}} of many")


def test_of_many_who_create_one_wins(store: Store) -> None:
    def create(number: int) -> int | None:
        try:
            store.write("one", template(f"{number} {{{{name}}}}"), None)
        except Conflict:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        (winner,) = {number for number in pool.map(create, range(8)) if number is not None}
    assert read(store, "one").content == template(f"{winner} {{{{name}}}}")
