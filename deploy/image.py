"""The container image of the function: made by Docker on this machine, kept in ECR.

Its tag is a digest of what it is made from, so the same input has the same tag, and an image that is there is not
made again.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from deploy.package import CannotPackage, constraints, wheel
from deploy.repository import Login

DOCKERFILE = Path(__file__).with_name("Dockerfile")
PLATFORMS = {"arm64": "linux/arm64", "x86_64": "linux/amd64"}


class Context(NamedTuple):
    """A folder that an image is made from, and the digest of what it holds."""

    folder: Path
    digest: str


def check_docker() -> None:
    """End here where there is no Docker, or none that runs.

    Raises:
        CannotPackage: with what to do.
    """
    said = docker("version", "--format", "{{.Server.Version}}")
    if said.returncode:
        raise CannotPackage(
            f"--image needs Docker, and its daemon does not answer ({last_line(said.stderr)}): start it, or leave "
            "--image out and a package is made without it"
        )


@contextmanager
def context(files: Mapping[str, bytes], architecture: str) -> Iterator[Context]:
    """What an image is made from: this project's wheel, the versions it is tested with, settings, the Dockerfile."""
    with TemporaryDirectory(prefix="bearergate-") as made:
        folder = Path(made)
        own = wheel(folder / "wheel")
        own.rename(folder / own.name)
        (folder / "wheel").rmdir()
        (folder / "constraints.txt").write_bytes(constraints(folder / own.name))
        (folder / "Dockerfile").write_bytes(DOCKERFILE.read_bytes())
        for name, content in files.items():
            file = folder / "settings" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        yield Context(folder, digest(folder, architecture))


def digest(folder: Path, architecture: str) -> str:
    """SHA-256 of the names and contents of the files in a folder, hexadecimal."""
    found = hashlib.sha256(architecture.encode())
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        found.update(f"{file.relative_to(folder).as_posix()} {content}\n".encode())
    return found.hexdigest()


def build(made_from: Context, uri: str, architecture: str) -> None:
    """Make an image.

    Raises:
        CannotPackage: Docker cannot; with its last sentence.
    """
    platform = PLATFORMS[architecture]
    said = docker("build", "--platform", platform, "--tag", uri, str(made_from.folder))
    if not said.returncode:
        return
    if "exec format error" in said.stderr + said.stdout:
        raise CannotPackage(
            f"Docker cannot run {platform} on this machine: add --architecture of this machine, or install emulation "
            "(docker run --privileged --rm tonistiigi/binfmt --install all)"
        )
    raise CannotPackage(f"docker build failed: {last_line(said.stderr or said.stdout)}")


def push(uri: str, login: Login) -> None:
    """Bring an image to its registry, logged in for as long as that takes.

    Raises:
        CannotPackage: the registry does not take it.
    """
    host = uri.partition("/")[0]
    said = docker("login", "--username", login.user, "--password-stdin", host, typed=login.password)
    if said.returncode:
        raise CannotPackage(f"docker login to {host} failed: {last_line(said.stderr)}")
    try:
        pushed = docker("push", "--quiet", uri)
    finally:
        docker("logout", host)
    if pushed.returncode:
        raise CannotPackage(refusal(uri, pushed.stderr))


def refusal(uri: str, said: str) -> str:
    """What it means that a registry does not take an image."""
    if "authorization token has expired" in said:
        return "The login to ECR has expired meanwhile: run this again, the image is made already"
    action = re.search(r"perform: (ecr:\w+)", said)
    if action:
        return f"The credentials may not do {action[1]}: ask for that permission"
    return f"docker push of {uri} failed: {last_line(said)}"


def docker(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """What Docker says to a command.

    Raises:
        CannotPackage: there is no Docker.
    """
    # Lambda takes no index of an image and its attestations, which a newer builder makes unless told otherwise.
    environment = {**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    try:
        return subprocess.run(  # noqa: S603 - no shell
            ["docker", *arguments],  # noqa: S607 - whichever Docker the person has on PATH
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
    except OSError:
        raise CannotPackage(
            "--image needs Docker, which is not there: install it, or leave --image out and a package is made without"
        ) from None


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "without a word"
