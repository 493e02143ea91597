"""A Dockerfile, read and carried out in a folder, for machines without a Docker daemon.

Every absolute path of the image lies in that folder, one for all stages. The base image is a Python of this machine.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

TOP = ("opt", "context", "settings", "srv")  # what our Dockerfile has in the root of an image
ABSOLUTE = re.compile(rf"(?<![\w.}}])/(?={'|'.join(TOP)})")
NOBODY = 65534


@dataclass
class Image:
    """What came of a Dockerfile."""

    root: Path
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    user: str = ""
    ports: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    entry_point: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)  # the base image of each

    def there(self, path: str) -> str:
        """Text of the image with its absolute paths as they are here."""
        return ABSOLUTE.sub(f"{self.root}/", path)

    def environment(self, **over: str) -> dict[str, str]:
        return self.variables | {"PYTHONUNBUFFERED": "1"} | over

    def start(self, *command: str, entry_point: list[str] | None = None, **over: str) -> subprocess.Popen[bytes]:
        """A container of it: its own command unless another is given, and not as root where the image says so."""
        words = [*(self.entry_point if entry_point is None else entry_point), *(command or self.command)]
        environment = self.environment(**over)
        program = shutil.which(words[0], path=environment["PATH"])
        assert program, f"{words[0]} is not in the image"
        assert self.user.partition(":")[0] not in ("", "0", "root")
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if os.getuid() == 0 else {}
        return subprocess.Popen([program, *words[1:]], cwd=self.folder, env=environment, stderr=subprocess.PIPE, **who)  # type: ignore[call-overload,no-any-return]

    def files(self) -> dict[str, tuple[int, int]]:
        """Every file with its size and the time of its last change."""
        found = [(path, path.lstat()) for path in sorted(self.root.rglob("*"))]
        return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found}


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def build(dockerfile: Path, context: Path, root: Path) -> Image:
    """Carry a Dockerfile out; an instruction that this reader does not know is an error."""
    (root / "base").mkdir(parents=True)
    (root / "base" / "python").symlink_to(python())
    for top in TOP:
        (root / top).mkdir()
    builder = Builder(context, Image(root, root))
    for word, rest in instructions(dockerfile.read_text("utf-8")):
        getattr(builder, f"do_{word.lower()}")(rest)
    return builder.image


class Builder:
    """Does what each instruction says."""

    def __init__(self, context: Path, image: Image) -> None:
        self.context = context
        self.image = image

    def do_arg(self, rest: str) -> None:
        name, _, value = rest.partition("=")
        self.image.variables[name] = value

    def do_from(self, rest: str) -> None:
        before = self.image
        stage = re.sub(r"\$\{(\w+)\}", lambda named: before.variables[named[1]], rest)
        # What was said before the first stage is known to every FROM; what a stage sets is not known to the next.
        known = {"PYTHON": before.variables["PYTHON"], "PATH": f"{before.root / 'base'}:/usr/bin:/bin"}
        self.image = Image(before.root, before.root, known, stages=[*before.stages, stage])

    def do_workdir(self, rest: str) -> None:
        self.image.folder = Path(self.image.there(rest))

    def do_copy(self, rest: str) -> None:
        copy(self.image, self.context, rest.split())

    def do_run(self, rest: str) -> None:
        run(self.image, rest)

    def do_env(self, rest: str) -> None:
        for name, _, value in (part.partition("=") for part in shlex.split(rest)):
            self.image.variables[name] = self.image.there(value).replace("$PATH", self.image.variables["PATH"])

    def do_user(self, rest: str) -> None:
        self.image.user = rest

    def do_expose(self, rest: str) -> None:
        self.image.ports.append(rest)

    def do_healthcheck(self, rest: str) -> None:
        self.image.health = json.loads(rest.partition("CMD")[2])

    def do_entrypoint(self, rest: str) -> None:
        self.image.entry_point, self.image.command = json.loads(rest), []

    def do_cmd(self, rest: str) -> None:
        self.image.command = json.loads(rest)


def python() -> str:
    """A Python that has what an image has, and that somebody else than root may run."""
    who = {"user": NOBODY, "extra_groups": ()} if os.getuid() == 0 else {}
    for candidate in (sys._base_executable, "/usr/local/bin/python3", "/usr/bin/python3"):  # type: ignore[attr-defined]
        check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
        try:
            done = subprocess.run([candidate, "-c", check], check=False, capture_output=True, cwd="/", **who)  # type: ignore[call-overload]
        except OSError:
            continue
        if done.returncode == 0:
            return str(candidate)
    raise AssertionError("no Python 3.11 with venv that somebody else than root may run: apt-get install python3-venv")


def copy(image: Image, context: Path, words: list[str]) -> None:
    """COPY: of the context what is not ignored; between stages, which are one folder here, only to another place."""
    if words[0].startswith("--from="):
        source, target = Path(image.there(words[1])), Path(image.there(words[2]))
        if source != target:
            shutil.copytree(source, target, dirs_exist_ok=True)
        return
    assert words == [".", "."]
    for file in sorted(file for file in context.rglob("*") if file.is_file()):
        name = file.relative_to(context)
        if not ignored(name, context / ".dockerignore"):
            (image.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, image.folder / name)


def ignored(name: Path, file: Path) -> bool:
    """Whether .dockerignore leaves a file out: the last line that matches it, or a folder it lies in, decides."""
    out = False
    for line in file.read_text("utf-8").splitlines() if file.exists() else ():
        pattern = line.removeprefix("!").removeprefix("**/")
        places = [name, *name.parents][:-1]
        deep = line.startswith("**/")
        if pattern and any(fnmatch.fnmatch(place.name if deep else str(place), pattern) for place in places):
            out = not line.startswith("!")
    return out


def run(image: Image, command: str) -> None:
    """RUN: by the shell, in the folder of the stage."""
    pip = {name: value for name, value in os.environ.items() if name.lower().startswith(("pip_", "http", "ssl"))}
    environment = pip | image.variables | {"HOME": os.environ.get("HOME", "/")}
    done = subprocess.run(
        ["/bin/sh", "-ec", image.there(command)],
        cwd=image.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
