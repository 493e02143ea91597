"""A library in a folder: files that are whole, links that lead nowhere, and samples that hide nothing."""

from __future__ import annotations

import fcntl
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.tools.prompts.conftest import template
from tools.prompts import folder as module
from tools.prompts.folder import SAMPLES, FolderStore
from tools.prompts.refusals import Conflict, Missing, Unreachable, Unusable
from tools.prompts.store import MAX_VERSIONS
from tools.prompts.template import MAX_BYTES, parse

ROOT = Path(__file__).parents[3]
SECRET = "secret"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that is no business of the library."""
    file = tmp_path / "secret.md"
    file.write_bytes(template(SECRET + " {{name}}"))
    return file


class TestSamples:
    def test_folder_that_is_not_there_shows_them_and_is_not_made(self, tmp_path: Path) -> None:
        store = FolderStore(tmp_path / "new" / "prompts")
        assert sorted(store.scan().etags) == ["explain-refusal", "usage-review"]
        stored = store.read("usage-review")
        assert stored is not None
        assert [version.id for version in store.versions("usage-review")] == ["1"]
        assert store.read_version("usage-review", "1").content == stored.content
        assert not (tmp_path / "new").exists()

    def test_first_write_makes_the_folder_with_them_in_it(self, tmp_path: Path) -> None:
        store = FolderStore(tmp_path / "new" / "prompts")
        before = store.scan().etags
        store.write("one", template(), None)
        assert store.scan().etags.keys() == {*before, "one"}
        assert before.items() <= store.scan().etags.items()
        assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["prompts"]
        assert stat.S_IMODE((tmp_path / "new" / "prompts").stat().st_mode) == 0o755

    def test_sample_can_be_changed_and_removed_for_good(self, tmp_path: Path) -> None:
        store = FolderStore(tmp_path / "prompts")
        etags = store.scan().etags
        store.write("usage-review", template(), etags["usage-review"])
        store.remove("explain-refusal", etags["explain-refusal"])
        again = FolderStore(tmp_path / "prompts")
        assert list(again.scan().etags) == ["usage-review"]
        assert len(again.versions("usage-review")) == 2
        assert [path.name for path in SAMPLES.iterdir()].count("explain-refusal.md") == 1

    def test_folder_that_is_there_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "one.md").write_bytes(template())
        store = FolderStore(tmp_path)
        store.write("two", template(), None)
        assert list(store.scan().etags) == ["one", "two"]

    def test_many_who_write_first_make_one_folder(self, tmp_path: Path) -> None:
        program = (
            "import sys, pathlib, tools.prompts.folder as folder\n"
            "folder.FolderStore(pathlib.Path(sys.argv[1])).write(sys.argv[2], b'text', None)"
        )
        command = [sys.executable, "-c", program, str(tmp_path / "prompts")]
        writers = [subprocess.Popen([*command, f"one-{number}"], cwd=ROOT) for number in range(3)]
        assert [writer.wait(60) for writer in writers] == [0, 0, 0]
        assert len(FolderStore(tmp_path / "prompts").scan().etags) == 5
        assert [path.name for path in tmp_path.iterdir()] == ["prompts"]

    def test_folder_that_another_process_has_just_made_is_taken(self, folder: FolderStore) -> None:
        folder.write("one", template(), None)
        folder._settle()
        assert list(folder.scan().etags) == ["one"]
        assert [path.name for path in folder.folder.parent.iterdir()] == ["prompts"]

    @pytest.mark.parametrize("sample", sorted(SAMPLES.iterdir()), ids=lambda file: file.stem)
    def test_each_is_a_template_with_every_argument_told(self, sample: Path) -> None:
        made = parse(sample.read_bytes())
        assert all(argument.description for argument in made.arguments)
        assert all(len(line) <= 120 for line in sample.read_text().splitlines())


class TestForeignThings:
    def test_what_is_no_template_by_its_name_is_left_alone(self, folder: FolderStore) -> None:
        for name in ("notes.txt", ".hidden.md", "README"):
            (folder.folder / name).write_text("x")
        (folder.folder / "sub").mkdir()
        assert folder.scan() == ({}, {})

    def test_file_whose_name_is_none_is_a_problem(self, folder: FolderStore) -> None:
        (folder.folder / "My Prompt.md").write_bytes(template())
        listing = folder.scan()
        assert listing.etags == {}
        assert "'My Prompt' is no name of a prompt" in listing.problems["My Prompt"]

    def test_link_is_never_followed(self, folder: FolderStore, secret: Path) -> None:
        (folder.folder / "link.md").symlink_to(secret)
        assert "cannot be opened as an ordinary file" in folder.scan().problems["link"]
        with pytest.raises(Unusable):
            folder.read("link")
        with pytest.raises(Unusable):
            folder.write("link", template(), module.etag_of(secret.read_bytes()))
        with pytest.raises(Conflict):
            folder.write("link", template(), None)
        with pytest.raises(Unusable):
            folder.remove("link", module.etag_of(secret.read_bytes()))
        assert secret.read_bytes() == template(SECRET + " {{name}}")

    @pytest.mark.parametrize("level", ["all", "one"])
    def test_link_in_place_of_the_old_versions_is_never_followed(
        self, folder: FolderStore, tmp_path: Path, level: str
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "000001.md").write_bytes(template(SECRET + " {{name}}"))
        saved = folder.write("one", template(), None)
        history = folder.folder / ".versions"
        if level == "one":
            history.mkdir()
        (history if level == "all" else history / "one").symlink_to(elsewhere)
        assert [version.id for version in folder.versions("one")] == ["1"]
        assert folder.read_version("one", "1").content == template()
        with pytest.raises(Unreachable, match=r"has no \.versions that can be opened"):
            folder.write("one", template("{{name}}"), saved.etag)
        assert [path.name for path in elsewhere.iterdir()] == ["000001.md"]
        assert (folder.folder / "one.md").read_bytes() == template()

    def test_pipe_or_socket_holds_up_nobody(self, folder: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
        os.mkfifo(folder.folder / "pipe.md")
        (folder.folder / "folder.md").mkdir()
        monkeypatch.chdir(folder.folder)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket.md")
            problems = folder.scan().problems
        assert sorted(problems) == ["folder", "pipe", "socket"]
        assert all("ordinary file" in problem for problem in problems.values())

    def test_huge_file_is_not_read_whole(self, folder: FolderStore) -> None:
        with (folder.folder / "huge.md").open("wb") as file:
            file.truncate(1 << 40)
        stored = folder.read("huge")
        assert stored is not None
        assert len(stored.content) == MAX_BYTES + 1

    def test_foreign_files_among_the_old_versions_are_none(self, folder: FolderStore) -> None:
        saved = folder.write("one", template(), None)
        folder.write("one", template("{{name}}"), saved.etag)
        for name in ("notes.md", "7.md", "00000\u0661.md"):
            (folder.folder / ".versions" / "one" / name).write_text("x")
        assert [version.id for version in folder.versions("one")] == ["2", "1"]


def test_file_edited_by_hand_is_kept_as_a_version_too(folder: FolderStore) -> None:
    file = folder.folder / "one.md"
    file.write_bytes(template("by hand {{name}}"))
    folder.write("one", template(), folder.scan().etags["one"])
    assert folder.read_version("one", "1").content == template("by hand {{name}}")


def test_only_the_newest_versions_are_kept(folder: FolderStore) -> None:
    saved = folder.write("one", template("0 {{name}}"), None)
    for number in range(1, MAX_VERSIONS + 3):
        saved = folder.write("one", template(f"{number} {{{{name}}}}"), saved.etag)
    assert len(folder.versions("one")) == MAX_VERSIONS
    assert saved.version == str(MAX_VERSIONS + 3)
    assert len(list((folder.folder / ".versions" / "one").iterdir())) == MAX_VERSIONS
    with pytest.raises(Missing):
        folder.read_version("one", "1")


def test_writing_leaves_no_draft_behind_even_where_it_fails(folder: FolderStore) -> None:
    saved = folder.write("one", template(), None)
    folder.write("one", template("{{name}}"), saved.etag)
    with pytest.raises(Conflict):
        folder.write("one", template(), None)
    assert sorted(path.name for path in folder.folder.iterdir()) == [".versions", "one.md"]


def test_versions_are_told_while_another_process_drops_the_oldest(folder: FolderStore) -> None:
    etag = folder.write("one", template(), None).etag
    for number in range(MAX_VERSIONS):
        etag = folder.write("one", template(f"{{{{name}}}} {number}"), etag).etag
    writes = (
        "import sys; from pathlib import Path; from tools.prompts.folder import FolderStore\n"
        "store = FolderStore(Path(sys.argv[1]), lock_seconds=30)\n"
        "for number in range(80):\n"
        "    seen = store.read('one'); store.write('one', seen.content + b'.', seen.etag)"
    )
    with subprocess.Popen([sys.executable, "-c", writes, folder.folder], cwd=ROOT) as other:
        while other.poll() is None:
            assert len(folder.versions("one")) > MAX_VERSIONS // 2
    assert other.returncode == 0


def test_write_that_does_not_fit_leaves_no_version_behind(folder: FolderStore) -> None:
    saved = folder.write("one", template(), None)
    before = folder.versions("one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(Unreachable, match=r"cannot be used \(File too large\)"):
            folder.write("one", template("{{name}}"), saved.etag)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert folder.versions("one") == before


def test_file_that_comes_while_another_is_written_is_not_overwritten(folder: FolderStore) -> None:
    """An editor of the same machine knows nothing of our lock."""
    (folder.folder / "one.md").mkdir()
    with pytest.raises(Conflict):
        folder.write("one", template(), None)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        pytest.param("file", r"cannot be used \(Not a directory\)", id="a file in place of the folder"),
        pytest.param("file/prompts", r"cannot be used \(File exists\)", id="a folder below a file"),
        pytest.param("dangling", r"cannot be used \(Not a directory\)", id="a link to nowhere"),
    ],
)
def test_folder_that_cannot_be_one_is_said_without_its_path(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Unreachable, match=said) as refused:
        FolderStore(tmp_path / place).write("one", template(), None)
    assert str(tmp_path) not in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file"]


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device"), OSError()]
)
def test_what_the_system_refuses_is_one_sentence(error: OSError) -> None:
    def fail() -> None:
        with module._explained():
            raise error

    with pytest.raises(Unreachable, match=r"^The (server may not|folder of prompts) .*\.$"):
        fail()


def test_write_waits_for_another_process_but_not_for_ever(folder: FolderStore) -> None:
    holder = os.open(folder.folder, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        with pytest.raises(Unreachable, match="Somebody else keeps writing"):
            FolderStore(folder.folder, lock_seconds=0.1).write("one", template(), None)
        threading.Timer(0.1, fcntl.flock, [holder, fcntl.LOCK_UN]).start()
        folder.write("one", template(), None)
    finally:
        os.close(holder)
    assert list(folder.scan().etags) == ["one"]
