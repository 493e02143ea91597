"""A library in a local folder, with what S3 gives: conditional writes, whole or not at all, and old versions.

Files are opened below the folder's own descriptor and never through a link, so that neither a name nor a link leads
out of it. A folder that is not there yet shows the samples; the first write makes it, and puts them in.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tools.prompts.names import SUFFIX, checked
from tools.prompts.refusals import Conflict, Missing, Refusal, Unreachable, Unusable
from tools.prompts.store import MAX_VERSIONS, Listing, Saved, Stored, Version
from tools.prompts.template import MAX_BYTES

SAMPLES = Path(__file__).parent / "samples"
HISTORY = ".versions"  # in the folder: a folder for each prompt, whose old versions are numbered files
LOCK_SECONDS = 5.0  # that a write waits for another one
LOCK_PAUSE = 0.02


class FolderStore:
    """Templates as files of a folder; the samples are shown until it exists."""

    def __init__(self, folder: Path, *, lock_seconds: float = LOCK_SECONDS) -> None:
        self.folder = folder
        self._lock_seconds = lock_seconds

    def scan(self) -> Listing:
        """What there is."""
        etags: dict[str, str] = {}
        problems: dict[str, str] = {}
        with self._reading() as here:
            for file in sorted(os.listdir(here)):  # noqa: PTH208 - a path could lead elsewhere, a descriptor cannot
                if file.startswith(".") or not file.endswith(SUFFIX):
                    continue
                name = file.removesuffix(SUFFIX)
                try:
                    with contextlib.suppress(Missing):  # removed this moment
                        etags[checked(name)] = etag_of(_content(here, file))
                except Refusal as refusal:
                    problems[os.fsencode(name).decode(errors="backslashreplace")] = str(refusal)
        return Listing(etags, problems)

    def read(self, name: str, known: str = "") -> Stored | None:
        """A template; None if it still has the etag that is known."""
        with self._reading() as here:
            content = _content(here, name + SUFFIX)
            etag = etag_of(content)
            if etag == known:
                return None
            return Stored(content, etag, str(_next_number(here, name)))

    def write(self, name: str, content: bytes, expected: str | None) -> Saved:
        """Put a new template where there is none, or over the one with the expected etag."""
        with self._writing() as here:
            if expected is not None:
                _check_etag(here, name, expected)
            _put(here, name, content, new=expected is None)
            return Saved(etag_of(content), str(_next_number(here, name)))

    def remove(self, name: str, expected: str) -> None:
        """Remove the template with that etag; it stays as an old version."""
        with self._writing() as here:
            _check_etag(here, name, expected)
            _keep(here, name, moving=True)

    def versions(self, name: str) -> list[Version]:
        """The versions of a prompt, the newest first; the present one has the number that comes next."""
        with self._reading() as here:
            found = []
            with contextlib.suppress(Missing):
                found.append(_version(here, name + SUFFIX, _next_number(here, name), latest=True))
            with _history(here, name) as history:
                for number in _numbers(history)[::-1] if history is not None else []:
                    with contextlib.suppress(Missing):  # dropped this moment
                        found.append(_version(history or 0, _numbered(number), number))
        if not found:
            raise Missing(f"The library has never had a prompt {name}.")
        return found[:MAX_VERSIONS]

    def read_version(self, name: str, version: str) -> Stored:
        """A version, by its number."""
        with self._reading() as here, _history(here, name) as history:
            numbers = {str(number): number for number in (_numbers(history) if history is not None else [])}
            if history is not None and version in numbers:
                content = _content(history, _numbered(numbers[version]))
            elif version == str(_next_number(here, name)):
                content = _content(here, name + SUFFIX)
            else:
                raise Missing(f"{name} has no version {version[:40]!a}: list_prompt_versions tells those it has.")
        return Stored(content, etag_of(content), version)

    @contextmanager
    def _reading(self) -> Iterator[int]:
        """The descriptor of the folder, or of the samples where there is none."""
        with _explained():
            try:
                here = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                here = os.open(SAMPLES, os.O_RDONLY | os.O_DIRECTORY)
            try:
                yield here
            finally:
                os.close(here)

    @contextmanager
    def _writing(self) -> Iterator[int]:
        """The descriptor of the folder, which nobody else writes to meanwhile."""
        with _explained():
            if not self.folder.exists():
                self._settle()
            here = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                _lock(here, self._lock_seconds)
                yield here
            finally:
                os.close(here)  # which unlocks it

    def _settle(self) -> None:
        """Make the folder with the samples in it, at once; another process may be doing the same."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".prompts-", dir=self.folder.parent))
        try:
            for sample in sorted(SAMPLES.glob(f"*{SUFFIX}")):
                (made / sample.name).write_bytes(sample.read_bytes())
            made.chmod(0o755)
            made.rename(self.folder)
        except OSError:
            if not self.folder.is_dir():  # that one was not as quick
                raise
        finally:
            shutil.rmtree(made, ignore_errors=True)


def etag_of(content: bytes) -> str:
    """What stands for a content."""
    return hashlib.sha256(content).hexdigest()[:32]


@contextmanager
def _explained() -> Iterator[None]:
    """What the system refuses, as a sentence; paths of the server are no business of its callers."""
    try:
        yield
    except PermissionError:
        raise Unreachable("The server may not use its folder of prompts: give its account the right to.") from None
    except OSError as error:
        reason = error.strerror or "an error"
        raise Unreachable(
            f"The folder of prompts cannot be used ({reason}): the server's operator must see to it."
        ) from None


def _lock(here: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(here, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unreachable("Somebody else keeps writing to the folder of prompts: try again.") from None
            time.sleep(LOCK_PAUSE)
        else:
            return


def _content(folder: int, file: str) -> bytes:
    """The content of an ordinary file, up to one byte more than a template may have."""
    return _read(folder, file)[0]


def _read(folder: int, file: str) -> tuple[bytes, float]:
    """The content of an ordinary file likewise, and when it was written."""
    try:
        opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        raise Missing(
            f"The library has no prompt {file.removesuffix(SUFFIX)}: list the prompts for those it has."
        ) from None
    except OSError:  # a link, a socket, or no permission
        raise Unusable("It cannot be opened as an ordinary file of its own: put one in its place.") from None
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise Unusable("It is no ordinary file: put one in its place.")
        with os.fdopen(opened, "rb", closefd=False) as reader:
            return reader.read(MAX_BYTES + 1), found.st_mtime
    finally:
        os.close(opened)


def _check_etag(here: int, name: str, expected: str) -> None:
    if etag_of(_content(here, name + SUFFIX)) != expected:
        raise Conflict(f"{name} has changed meanwhile.")


def _put(here: int, name: str, content: bytes, *, new: bool) -> None:
    """Write a file, which others see whole or not at all; the one it replaces is kept."""
    file = name + SUFFIX
    draft = f".{file}.{secrets.token_hex(8)}"
    opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=here)
    try:
        with os.fdopen(opened, "wb") as writer:
            writer.write(content)
            writer.flush()
            os.fsync(opened)
        if new:  # a link is not made where there is anything, even if it came this moment
            os.link(draft, file, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)
        else:
            _keep(here, name, moving=False)
            os.replace(draft, file, src_dir_fd=here, dst_dir_fd=here)
        os.fsync(here)
    except FileExistsError:
        raise Conflict(f"{name} is there already.") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=here)


def _keep(here: int, name: str, *, moving: bool) -> None:
    """Put the present file among the old versions: moved there, or there as well until it is replaced."""
    with _history(here, name, make=True) as history:
        if history is None:
            raise Unreachable(f"The folder of prompts has no {HISTORY} that can be opened for old versions: see to it.")
        kept = _numbered(_next_number(here, name))
        if moving:
            os.rename(name + SUFFIX, kept, src_dir_fd=here, dst_dir_fd=history)
        else:
            os.link(name + SUFFIX, kept, src_dir_fd=here, dst_dir_fd=history, follow_symlinks=False)
        for number in _numbers(history)[:-MAX_VERSIONS]:
            os.unlink(_numbered(number), dir_fd=history)


@contextmanager
def _history(here: int, name: str, *, make: bool = False) -> Iterator[int | None]:
    """The descriptor of the folder with the old versions of a prompt; None where there is none."""
    with contextlib.ExitStack() as opened:
        within: int | None = here
        for folder in (HISTORY, name):
            within = _below(within, folder, make=make) if within is not None else None
            if within is not None:
                opened.callback(os.close, within)
        yield within


def _below(within: int, folder: str, *, make: bool) -> int | None:
    """The descriptor of a folder in another one; None where there is none to be opened, such as for a link."""
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, dir_fd=within)
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    except OSError:
        return None


def _numbers(history: int) -> list[int]:
    """The numbers of the old versions, the oldest first."""
    stems = [file.removesuffix(SUFFIX) for file in os.listdir(history)]
    return sorted(int(stem) for stem in stems if len(stem) == 6 and stem.isascii() and stem.isdigit())


def _next_number(here: int, name: str) -> int:
    with _history(here, name) as history:
        numbers = _numbers(history) if history is not None else []
        return numbers[-1] + 1 if numbers else 1


def _numbered(number: int) -> str:
    return f"{number:06}{SUFFIX}"


def _version(folder: int, file: str, number: int, *, latest: bool = False) -> Version:
    content, written = _read(folder, file)
    return Version(str(number), etag_of(content), datetime.fromtimestamp(written, UTC), len(content), latest)
