"""The library: what it knows, what it asks the store for, and what two editors are told."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from tests.tools.prompts.conftest import REGION, template
from tests.tools.prompts.faulty import faulty
from tools.prompts.bucket import BucketStore
from tools.prompts.folder import FolderStore
from tools.prompts.library import MAX_DIFFERENCE, Library
from tools.prompts.refusals import Conflict, Denied, Missing, Unreachable, Unusable
from tools.prompts.store import MAX_PROMPTS, Listing, Saved, Store, Stored, Version

FIRST, SECOND, THIRD = (template(f"{number} {{{{name}}}}").decode() for number in (1, 2, 3))


@dataclass
class Watched:
    """A store that notes what it is asked for, and can be made to wait or to fail."""

    store: Store
    asked: list[str] = field(default_factory=list)
    was_asked: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    failure: Exception | None = None
    denied: str = ""  # a name that must not be read

    def __post_init__(self) -> None:
        self.go_on.set()

    def _note(self, what: str) -> None:
        self.asked.append(what)
        self.was_asked.set()
        assert self.go_on.wait(10)
        if self.failure:
            raise self.failure

    def scan(self) -> Listing:
        self._note("scan")
        return self.store.scan()

    def read(self, name: str, known: str = "") -> Stored | None:
        self._note(f"read {name}")
        if name == self.denied:
            raise Denied("The server may not.")
        return self.store.read(name, known)

    def write(self, name: str, content: bytes, expected: str | None) -> Saved:
        self._note(f"write {name}")
        return self.store.write(name, content, expected)

    def remove(self, name: str, expected: str) -> None:
        self._note(f"remove {name}")
        self.store.remove(name, expected)

    def versions(self, name: str) -> list[Version]:
        self._note(f"versions {name}")
        return self.store.versions(name)

    def read_version(self, name: str, version: str) -> Stored:
        self._note(f"read {name} {version}")
        return self.store.read_version(name, version)


@pytest.fixture
def watched(folder: FolderStore) -> Watched:
    for name in ("one", "two"):
        folder.write(name, template(), None)
    return Watched(folder)


class TestLook:
    async def test_only_what_has_changed_is_read_again(self, watched: Watched) -> None:
        library = Library(watched)
        await library.look()
        assert sorted(watched.asked) == ["read one", "read two", "scan"]
        del watched.asked[:]
        await library.look()
        assert watched.asked == ["scan"]
        etag = watched.store.scan().etags["two"]
        watched.store.write("two", FIRST.encode(), etag)
        await library.look()
        assert watched.asked == ["scan", "scan", "read two"]
        assert library.templates["two"].render({"name": "a"}) == "1 a"

    async def test_those_who_come_meanwhile_share_the_next_look(self, watched: Watched) -> None:
        library = Library(watched)
        watched.go_on.clear()
        looks = [asyncio.create_task(library.look()) for _ in range(20)]
        assert await asyncio.to_thread(watched.was_asked.wait, 10)
        watched.go_on.set()
        await asyncio.gather(*looks)
        assert watched.asked.count("scan") <= 2

    async def test_those_who_share_a_look_that_fails_are_all_told(self, watched: Watched) -> None:
        library = Library(watched)
        watched.failure = Unreachable("S3 is away.")
        watched.go_on.clear()
        looks = [asyncio.create_task(library.look()) for _ in range(20)]
        assert await asyncio.to_thread(watched.was_asked.wait, 10)
        watched.go_on.set()
        for told in await asyncio.gather(*looks, return_exceptions=True):
            assert isinstance(told, Unreachable)
            assert str(told) == "S3 is away."
        assert watched.asked.count("scan") <= 2

    async def test_loop_goes_on_while_the_store_is_asked(self, watched: Watched) -> None:
        library = Library(watched)
        watched.go_on.clear()
        looking = asyncio.create_task(library.look())
        assert await asyncio.to_thread(watched.was_asked.wait, 10)
        assert not looking.done()
        watched.go_on.set()
        await looking

    async def test_store_that_does_not_answer_holds_up_no_list(self, watched: Watched) -> None:
        library = Library(watched, patience=0.05)
        await library.look()
        watched.go_on.clear()
        del watched.asked[:]
        with anyio.fail_after(5):
            await asyncio.gather(*(library.try_to_look() for _ in range(20)))
        assert set(library.templates) == {"one", "two"}
        watched.go_on.set()
        await library.look()
        assert watched.asked.count("scan") <= 3

    async def test_what_was_known_stays_when_the_store_is_away_and_the_log_says_so_once(
        self, watched: Watched, caplog: pytest.LogCaptureFixture
    ) -> None:
        library = Library(watched)
        await library.look()
        watched.failure = Unreachable("S3 is away.")
        await library.try_to_look()
        await library.try_to_look()
        assert set(library.templates) == {"one", "two"}
        assert caplog.messages == ["The prompts shown are those known before: S3 is away."]
        watched.failure = None
        await library.try_to_look()
        watched.failure = Unreachable("S3 is away.")
        await library.try_to_look()
        assert len(caplog.messages) == 2

    async def test_one_that_is_wrong_hides_no_other_and_is_reported(
        self, folder: FolderStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder.write("good", template(), None)
        folder.write("bad", b"---\ntitle: [", None)
        (folder.folder / "B\x1bAD.md").write_text("x")
        (folder.folder / "link.md").symlink_to("good.md")
        library = Library(folder)
        await library.look()
        await library.look()
        assert set(library.templates) == {"good"}
        assert set(library.problems) == {"bad", "B\x1bAD", "link"}
        assert len(caplog.messages) == 3, "each is logged once"
        assert all(message.isprintable() for message in caplog.messages)

    async def test_one_that_must_not_be_read_hides_no_other(self, watched: Watched) -> None:
        watched.denied = "one"
        library = Library(watched)
        await library.look()
        assert set(library.templates) == {"two"}
        assert library.problems == {"one": "The server may not."}
        watched.denied = ""
        await library.look()
        assert set(library.templates) == {"one", "two"}
        assert library.problems == {}

    async def test_one_removed_between_listing_and_reading_is_none(self, watched: Watched) -> None:
        @dataclass
        class Late(Watched):
            def scan(self) -> Listing:
                return Listing({**self.store.scan().etags, "three": "abc"}, {})

        library = Library(Late(watched.store))
        await library.look()
        assert set(library.templates) == {"one", "two"}
        assert library.problems == {}

    async def test_store_that_goes_away_while_it_is_read_changes_nothing(self, watched: Watched) -> None:
        @dataclass
        class Failing(Watched):
            def read(self, name: str, known: str = "") -> Stored | None:
                if name == "three":
                    raise Unreachable("S3 is away.")
                return super().read(name, known)

        library = Library(Failing(watched.store))
        await library.look()
        watched.store.write("three", template(), None)
        with pytest.raises(Unreachable):
            await library.look()
        assert set(library.templates) == {"one", "two"}

    async def test_library_is_bounded(self, watched: Watched) -> None:
        @dataclass
        class Many(Watched):
            def scan(self) -> Listing:
                return Listing({f"p{number:04}": "abc" for number in range(MAX_PROMPTS + 2)}, {})

            def read(self, name: str, known: str = "") -> Stored | None:
                del name, known
                return Stored(template(), "abc", "")

        library = Library(Many(watched.store))
        await library.look()
        assert len(library.templates) == MAX_PROMPTS
        assert library.problems == {
            f"p{number:04}": f"The library has more than {MAX_PROMPTS} prompts: remove some."
            for number in (MAX_PROMPTS, MAX_PROMPTS + 1)
        }


class TestTemplate:
    async def test_it_is_the_present_one_and_parsed_once(self, watched: Watched) -> None:
        library = Library(watched)
        first = await library.template("one")
        assert await library.template("library.one") is first
        watched.store.write("one", FIRST.encode(), watched.store.scan().etags["one"])
        assert (await library.template("one")).render({"name": "a"}) == "1 a"

    async def test_one_removed_meanwhile_is_missing_and_forgotten(self, watched: Watched) -> None:
        library = Library(watched)
        await library.look()
        watched.store.remove("one", watched.store.scan().etags["one"])
        with pytest.raises(Missing, match="The library has no prompt one"):
            await library.template("one")
        assert set(library.templates) == {"two"}

    async def test_one_that_is_wrong_says_what_is(self, folder: FolderStore) -> None:
        folder.write("bad", b"Hello", None)
        for _ in range(2):
            with pytest.raises(Unusable, match="bad cannot be used until its template is corrected: The template must"):
                await Library(folder).template("bad")

    async def test_change_is_told(self, watched: Watched) -> None:
        told: list[int] = []
        library = Library(watched, lambda: told.append(1))
        await library.template("one")
        await library.template("one")
        assert len(told) == 1
        await library.look()
        assert len(told) == 2
        await library.look()
        assert len(told) == 2


@pytest.mark.parametrize("store", ["folder", "bucket"], indirect=True)
class TestEditors:
    async def test_second_of_two_is_shown_what_the_first_has_changed_and_how_to_go_on(self, store: Store) -> None:
        library = Library(store)
        seen = await library.create("one", FIRST)
        theirs = await library.update("one", SECOND, seen.etag)
        with pytest.raises(Conflict) as refused:
            await library.update("one", THIRD, f'"{seen.etag}"')
        sentence, _, change = str(refused.value).partition("\n\n")
        assert sentence.startswith(f"Nothing was done: one is not what you have read (etag {seen.etag})")
        assert f"call update_prompt with the etag {theirs.etag}" in sentence
        assert "-1 {{name}}\n+2 {{name}}" in change
        assert (await library.source("one")).content == SECOND.encode()
        await library.update("one", THIRD, theirs.etag)
        assert (await library.source("one")).content == THIRD.encode()

    async def test_who_removes_what_has_changed_is_told(self, store: Store) -> None:
        library = Library(store)
        seen = await library.create("one", FIRST)
        await library.update("one", SECOND, seen.etag)
        with pytest.raises(Conflict, match=r"(?s)call remove_prompt with the etag .*\+2 \{\{name\}\}"):
            await library.remove("one", seen.etag)
        assert set(library.templates) == {"one"}

    async def test_change_of_what_was_removed_meanwhile_says_how_to_go_on(self, store: Store) -> None:
        library = Library(store)
        seen = await library.create("one", FIRST)
        await library.remove("one", seen.etag)
        for change in (library.update("one", SECOND, seen.etag), library.remove("one", seen.etag)):
            with pytest.raises(Conflict, match=r"there is no prompt one any more. list_prompt_versions tells"):
                await change
        assert library.templates == {}

    async def test_unknown_etag_is_answered_with_the_present_text(self, store: Store) -> None:
        library = Library(store)
        await library.create("one", FIRST)
        with pytest.raises(Conflict, match=r"(?s)It now reads:\n\n---\ntitle: A title.*1 \{\{name\}\}"):
            await library.update("one", SECOND, "abc")

    async def test_name_that_is_taken_says_what_to_do(self, store: Store) -> None:
        library = Library(store)
        await library.create("one", FIRST)
        with pytest.raises(Conflict, match=r"there is a prompt one already. Read it with read_prompt"):
            await library.create("library.one", SECOND)

    async def test_write_that_was_done_already_is_done(self, store: Store) -> None:
        """An answer may be lost, and the same write be sent once more."""
        library = Library(store)
        made = await library.create("one", FIRST)
        assert await library.create("one", FIRST) == made
        changed = await library.update("one", SECOND, made.etag)
        assert await library.update("one", SECOND, made.etag) == changed
        assert len(await library.versions("one")) == 2

    async def test_write_that_is_refused_leaves_everything_as_it_was(self, store: Store) -> None:
        library = Library(store)
        made = await library.create("one", FIRST)
        for name, text, etag in (
            ("one", "Hello", made.etag),
            ("one", FIRST.replace("{{name}}", "{{other}}"), made.etag),
            ("one", "\ud800", made.etag),
            ("one", "x" * 70_000, made.etag),
            ("one", SECOND, "*"),
            ("one", SECOND, ""),
            ("one", SECOND, 'a"\r\nX-Header: b'),
            ("../one", SECOND, made.etag),
        ):
            with pytest.raises(Unusable):
                await library.update(name, text, etag)
            with pytest.raises((Unusable, Conflict)):
                await library.create(name, text)
        with pytest.raises(Unusable, match="The etag is none: give the one that read_prompt told"):
            await library.remove("one", "*")
        assert (await library.source("one")).content == FIRST.encode()
        assert len(await library.versions("one")) == 1

    async def test_old_version_can_be_brought_back(self, store: Store) -> None:
        library = Library(store)
        made = await library.create("one", FIRST)
        changed = await library.update("one", SECOND, made.etag)
        *_, oldest = await library.versions("one")
        before = await library.source("one", oldest.id)
        await library.update("one", before.content.decode(), changed.etag)
        assert (await library.source("one")).content == FIRST.encode()


async def test_long_change_is_told_in_part(folder: FolderStore) -> None:
    library = Library(folder)
    seen = await library.create("one", FIRST)
    await library.update("one", FIRST + "another line\n" * 3000, seen.etag)
    with pytest.raises(Conflict) as refused:
        await library.update("one", SECOND, seen.etag)
    assert len(str(refused.value)) < MAX_DIFFERENCE + 500


async def test_conflict_is_told_even_where_old_versions_must_not_be_read(folder: FolderStore) -> None:
    @dataclass
    class Forgetful(Watched):
        def versions(self, name: str) -> list[Version]:
            raise Denied(f"The server may not look at {name}.")

    library = Library(Forgetful(folder))
    seen = await library.create("one", FIRST)
    await library.update("one", SECOND, seen.etag)
    with pytest.raises(Conflict, match=r"(?s)It now reads:\n\n---.*2 \{\{name\}\}"):
        await library.update("one", THIRD, seen.etag)


async def test_write_is_done_even_where_nobody_can_look_afterwards(watched: Watched) -> None:
    @dataclass
    class Blind(Watched):
        def scan(self) -> Listing:
            raise Unreachable("S3 is away.")

    await Library(Blind(watched.store)).create("three", FIRST)
    assert "three" in watched.store.scan().etags


async def test_s3_out_of_reach_writes_nothing_and_says_so(credentials: None, caplog: pytest.LogCaptureFixture) -> None:
    del credentials
    caplog.set_level(logging.WARNING)
    with faulty() as s3:
        s3.refuse(403, "AccessDenied")
        library = Library(BucketStore("a-bucket", "prompts/", region=REGION, endpoint=s3.endpoint))
        for call in (library.create("one", FIRST), library.update("one", FIRST, "abc"), library.remove("one", "abc")):
            with pytest.raises(Denied, match=r"may not do s3:(Put|Delete)Object"):
                await call
        assert [asked.split()[0] for asked in s3.asked] == ["PUT", "PUT", "DELETE"]
    assert caplog.messages == []


async def test_template_that_is_known_costs_304_and_no_body(bucket: BucketStore, s3: Any) -> None:
    library = Library(bucket)
    made = await library.create("one", FIRST)
    statuses: list[int] = []
    bucket.client().meta.events.register(
        "after-call.s3.GetObject", lambda http_response, **_: statuses.append(http_response.status_code)
    )
    await library.template("one")
    assert statuses == [304]
    s3.put_object(Bucket=bucket.bucket, Key="prompts/one.md", Body=SECOND.encode(), IfMatch=made.etag)
    assert (await library.template("one")).render({"name": "a"}) == "2 a"
    assert statuses == [304, 200]
