"""Secrets go to the key ring, else to files, else to memory; nothing is lost in between, and the newest one counts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyRing
from keyring.backends.null import Keyring as NullKeyRing

from client.vault import Closed, Files, KeyRing, Memory, Vault, open_vault
from tests.client.ring import Ring


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    """The key ring of this process; the one before comes back."""
    before = keyring.get_keyring()
    made = Ring(tmp_path / "ring.json")
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A folder that cannot be there."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "tokens"


def test_key_ring_is_where_secrets_go(ring: Ring, folder: Path) -> None:
    said: list[str] = []
    vault = open_vault(folder, said.append)
    vault.write("a", "secret")
    assert ring.kept["a"].endswith(" secret")
    assert vault.read("a") == "secret"
    vault.erase("a")
    vault.erase("a")
    assert vault.read("a") is None
    assert (folder.exists(), said) == (False, [])


def test_locked_key_ring_is_said_once_and_files_take_over(ring: Ring, folder: Path) -> None:
    said: list[str] = []
    vault = open_vault(folder, said.append)
    ring.lock_up()
    assert vault.read("a") is None
    assert vault.read("b") is None
    vault.write("a", "1")
    vault.write("a", "2")
    assert vault.read("a") == "2"
    assert said == [
        "A login that is kept there is not seen: the key ring refuses (KeyringLocked).",
        "Tokens are kept in files: the key ring refuses (KeyringLocked).",
    ]


def test_newer_secret_in_a_file_is_preferred_to_an_older_one_in_a_key_ring_that_was_locked(
    ring: Ring, folder: Path
) -> None:
    open_vault(folder, print).write("a", "old")
    ring.lock_up()
    open_vault(folder, print).write("a", "new")
    assert open_vault(folder, print).read("a") == "new"
    ring.unlock()
    assert open_vault(folder, print).read("a") == "new"
    open_vault(folder, print).write("a", "newest")
    assert not list(folder.rglob("*.json"))
    assert open_vault(folder, print).read("a") == "newest"


def test_newer_secret_in_the_key_ring_is_preferred_to_an_older_one_in_a_file(ring: Ring, folder: Path) -> None:
    files = Files(folder / "tokens")
    files.write("a", "1000 old")
    ring.set_password("bearergate", "a", "2000 new")
    assert open_vault(folder, print).read("a") == "new"
    files.write("a", "3000 newer")
    assert open_vault(folder, print).read("a") == "newer"


def test_clock_that_was_put_back_makes_no_secret_older(ring: Ring, folder: Path) -> None:
    files = Files(folder / "tokens")
    files.write("a", f"{10**19} from the future")
    vault = open_vault(folder, print)
    vault.write("a", "new")
    assert vault.read("a") == "new"
    assert ring.kept["a"] == f"{10**19 + 1} new"


@pytest.mark.parametrize("text", ["{}", "https://issuer", "no time", "", " ", "9" * 30 + " x"])
def test_secret_of_a_version_without_times_is_read_and_older_than_all_others(text: str) -> None:
    older, newer = Memory(), Memory()
    older.write("a", text)
    vault = Vault([older, newer], print)
    assert vault.read("a") == (text or None)
    newer.write("a", "1 new")
    assert vault.read("a") == "new"


def test_key_ring_whose_desktop_is_gone_is_no_fault_of_ours(ring: Ring, folder: Path) -> None:
    """Backends raise what they like, besides the errors of the keyring library."""
    ring.file.write_text("[no JSON")
    said: list[str] = []
    vault = open_vault(folder, said.append)
    vault.write("a", "1")
    assert vault.read("a") == "1"
    assert said == ["Tokens are kept in files: the key ring refuses (JSONDecodeError)."]


def test_secret_that_cannot_be_erased_is_said_to_stay_and_is_not_used_again(ring: Ring, folder: Path) -> None:
    vault = open_vault(folder, print)
    vault.write("a", "secret")
    ring.lock_up()
    with pytest.raises(Closed, match="key ring refuses"):
        vault.erase("a")
    ring.unlock()
    assert vault.read("a") is None
    assert open_vault(folder, print).read("a") == "secret"


def test_without_a_key_ring_files_are_used(folder: Path) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyRing())  # type: ignore[no-untyped-call]
    try:
        places = open_vault(folder, print).places
    finally:
        keyring.set_keyring(before)
    assert [type(place) for place in places] == [Files, Memory]


def test_key_ring_that_keeps_nothing_is_none(folder: Path) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(NullKeyRing())  # type: ignore[no-untyped-call]
    try:
        places = open_vault(folder, print).places
    finally:
        keyring.set_keyring(before)
    assert [type(place) for place in places] == [Files, Memory]


def test_key_ring_that_is_set_but_not_there_is_said_once_and_files_are_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "no.such.KeyRing")
    monkeypatch.setattr("keyring.core._keyring_backend", None)  # as in a program that has just begun
    said: list[str] = []
    assert [type(place) for place in open_vault(folder, said.append).places] == [Files, Memory]
    assert said == ["The key ring cannot be used (ModuleNotFoundError)."]


def test_files_are_their_owners_alone_and_replaced_as_a_whole(folder: Path) -> None:
    files = Files(folder)
    files.write("a name / with .. everything", "one")
    files.write("a name / with .. everything", "two")
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert files.read("a name / with .. everything") == "two"
    files.erase("a name / with .. everything")
    files.erase("a name / with .. everything")
    assert files.read("a name / with .. everything") is None


def test_file_that_nobody_of_ours_wrote_is_as_if_it_were_not_there(folder: Path) -> None:
    files = Files(folder)
    files.write("a", "one")
    (file,) = folder.iterdir()
    file.write_bytes(b"\xff\xfe")
    assert files.read("a") is None


def test_what_a_killed_program_left_is_swept_away_and_what_another_is_writing_is_not(folder: Path) -> None:
    files = Files(folder)
    files.write("a", "one")
    (file,) = folder.iterdir()
    old, new = file.with_suffix(".1"), file.with_suffix(".2")
    for stray in (old, new):
        stray.write_text("half")
    os.utime(old, (0, 0))
    files.write("a", "two")
    assert set(folder.iterdir()) == {file, new}
    files.erase("a")
    assert list(folder.iterdir()) == []


def test_folder_that_cannot_be_made_leaves_memory(blocked: Path) -> None:
    said: list[str] = []
    vault = Vault([Files(blocked), Memory()], said.append)
    vault.write("a", "1")
    assert vault.read("a") == "1"
    vault.write("a", "2")
    vault.erase("a")
    assert said == [
        f"Tokens are kept only as long as this program runs: {blocked} cannot be written (Not a directory)."
    ]
    with pytest.raises(Closed):
        Files(blocked).write("a", "1")


def test_folder_of_another_kind_is_said_to_be_unreadable(folder: Path) -> None:
    files = Files(folder)
    files.write("a", "1")
    (file,) = folder.iterdir()
    file.unlink()
    file.mkdir()
    with pytest.raises(Closed, match="cannot be read"):
        files.read("a")
    with pytest.raises(Closed, match="cannot be written"):
        files.erase("a")


def test_newer_secret_leaves_no_older_one_behind(ring: Ring, folder: Path) -> None:
    files = Files(folder)
    files.write("a", "1 old")
    Vault([KeyRing(), files, Memory()], print).write("a", "new")
    assert files.read("a") is None
    assert ring.kept["a"].endswith(" new")


class Full(Memory):
    """A place that takes nothing more."""

    where = "nowhere"

    def write(self, name: str, secret: str) -> None:
        raise Closed(f"no room for {name}, which has {len(secret)} characters")


def test_secret_that_a_place_takes_no_more_is_not_left_there_in_its_older_form() -> None:
    full, spare = Full(), Memory()
    Memory.write(full, "login", "1 old")
    Vault([full, spare], print).write("login", "new")
    assert full.read("login") is None
    assert Vault([full, spare], print).read("login") == "new"
