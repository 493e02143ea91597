"""Secrets go to the key ring, else to files, else to memory; nothing is lost in between."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyRing
from keyring.errors import KeyringLocked, PasswordDeleteError

from client.vault import CannotKeep, Files, KeyRing, Memory, Vault, open_vault


class Ring(KeyringBackend):
    """A key ring of a desktop; it can be locked."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        self.check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.check()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self.check()
        if (service, username) not in self.kept:
            raise PasswordDeleteError
        del self.kept[service, username]

    def check(self) -> None:
        if self.locked:
            raise KeyringLocked("locked")


@pytest.fixture
def ring() -> Iterator[Ring]:
    """The key ring of this process; the one before comes back."""
    before = keyring.get_keyring()
    made = Ring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def test_key_ring_is_where_secrets_go(ring: Ring, tmp_path: Path) -> None:
    said: list[str] = []
    vault = open_vault(tmp_path, said.append)
    vault.write("a", "secret")
    assert ring.kept == {("bearergate", "a"): "secret"}
    assert vault.read("a") == "secret"
    vault.erase("a")
    vault.erase("a")
    assert vault.read("a") is None
    assert (list(tmp_path.iterdir()), said) == ([], [])


def test_locked_key_ring_is_said_once_and_files_take_over(ring: Ring, tmp_path: Path) -> None:
    said: list[str] = []
    vault = open_vault(tmp_path, said.append)
    ring.locked = True
    assert vault.read("a") is None
    vault.write("a", "1")
    vault.write("a", "2")
    vault.erase("b")
    assert vault.read("a") == "2"
    assert said == ["Tokens are kept elsewhere: the key ring refuses (KeyringLocked)."]


def test_without_a_key_ring_files_are_used(tmp_path: Path) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyRing())  # type: ignore[no-untyped-call]
    try:
        places = open_vault(tmp_path, print).places
    finally:
        keyring.set_keyring(before)
    assert [type(place) for place in places] == [Files, Memory]


def test_files_are_their_owners_alone_and_replaced_as_a_whole(tmp_path: Path) -> None:
    files = Files(tmp_path / "tokens")
    files.write("a name / with .. everything", "one")
    files.write("a name / with .. everything", "two")
    (file,) = (tmp_path / "tokens").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "tokens").stat().st_mode) == 0o700
    assert files.read("a name / with .. everything") == "two"
    files.erase("a name / with .. everything")
    files.erase("a name / with .. everything")
    assert files.read("a name / with .. everything") is None


def test_folder_that_cannot_be_made_leaves_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said: list[str] = []
    vault = Vault([Files(tmp_path / "file" / "tokens"), Memory()], said.append)
    vault.write("a", "1")
    assert vault.read("a") == "1"
    assert len(said) == 1
    assert "only as long as this program runs" in said[0]
    with pytest.raises(CannotKeep):
        Files(tmp_path / "file" / "tokens").write("a", "1")


def test_newer_secret_leaves_no_older_one_behind(ring: Ring, tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write("a", "old")
    Vault([KeyRing(), files, Memory()], print).write("a", "new")
    assert files.read("a") is None
    assert ring.kept["bearergate", "a"] == "new"


class Full(Memory):
    """A place that takes nothing more."""

    def write(self, name: str, secret: str) -> None:
        raise CannotKeep(f"no room for {name}, which has {len(secret)} characters")


def test_secret_that_a_place_takes_no_more_is_not_left_there_in_its_older_form() -> None:
    full, spare = Full(), Memory()
    Memory.write(full, "login", "old")
    Vault([full, spare], print).write("login", "new")
    assert Vault([full, spare], print).read("login") == "new"
