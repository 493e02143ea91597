"""The package of the function: a zip whose bytes depend only on what is in it, so that a stack sees real changes only.

pip chooses the wheels of the function's own platform, whatever machine it runs on; nothing is compiled here but Python.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from deploy.native_code import without_symbols

MAX_ZIP = 20 * 1000 * 1000  # bytes
PLATFORMS = {  # whose wheels Amazon Linux 2023 runs; some projects make none of the older kind any more
    "arm64": ("manylinux2014_aarch64", "manylinux_2_28_aarch64"),
    "x86_64": ("manylinux2014_x86_64", "manylinux_2_28_x86_64"),
}
EXTRAS = "lambda,tools"
CONSTRAINTS = "deploy/constraints.txt"  # in the wheel: the versions that the project is tested with
SETTINGS = "bearergate.yaml"
TOLD_APART = (1980, 1, 1, 0, 0, 0)  # the time of every file: the earliest a zip can say
SERVICES = {"bedrock", "ce", "logs", "s3", "secretsmanager", "ssm", "sts"}  # what the function asks AWS for
UNUSED = (
    *("uvloop", "uvicorn", "click", "bin", "prometheus_client"),  # Lambda serves, and counts
    *("client", "conformance"),  # client and judge stay here
)
UNUSED_FILES = (
    *("PIL/_avif*", "pillow.libs/libavif*", "PIL/_webp*", "pillow.libs/libwebp*", "pillow.libs/libsharpyuv*"),
    *("PIL/_imagingcms*", "pillow.libs/liblcms2*"),  # charts are PNG
    *("botocore/cacert.pem", "dateutil/zoneinfo/*.tar.gz", "yaml/_yaml*"),  # certifi, the system and Python are asked
    *("**/*.pyi", "**/*.c", "**/*.h", "**/*.pyx", "**/*.pxd"),
)
# What a cold start imports of the front; all of it compiled would be too large.
FIRST = ("anyio", "deploy", "discovery", "gateway", "joserfc", "mangum", "msgspec", "starlette", "yaml")
NAMES_A_FILE = ("jwks_file", "ca_file", "client_certificate_file")
NAMES_A_SECRET = ("client_secret_file", "seal_keys_file", "identity_key_file", "client_key_file")
IS_A_SECRET = ("client_secret", "seal_keys")


class CannotPackage(Exception):
    """The function cannot be packaged; the text says why, and what to change."""


@dataclass(frozen=True)
class Runtime:
    """What the function runs on."""

    architecture: str = "arm64"
    minor: int = 13  # of Python 3
    cedar: bool = False  # whether settings have policies in Cedar, whose engine is large


@dataclass(frozen=True)
class Package:
    """A finished package."""

    content: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of it, hexadecimal: its name where it is kept."""
        return hashlib.sha256(self.content).hexdigest()

    def holding(self, files: Mapping[str, bytes]) -> Package:
        """The same with further files, or others in their place; the same bytes as if they had always been there."""
        with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
            return Package(written({name: archive.read(name) for name in archive.namelist()} | dict(files)))


def program(runtime: Runtime) -> Package:
    """The gate and its tools, without any settings.

    Raises:
        CannotPackage: pip fails.
    """
    with tempfile.TemporaryDirectory(prefix="bearergate-") as folder:
        target = Path(folder) / "package"
        install(wheel(Path(folder) / "wheel"), target, runtime)
        trim(target)
        if compiles_for(runtime):
            byte_compile(target)
        return Package(zipped(target, {"streaming": wrapper(runtime)}))


def small_enough(made: Package) -> Package:
    """The package, if it is as small as it is to be; raises `CannotPackage`."""
    if len(made.content) > MAX_ZIP:
        size = f"{len(made.content):,} bytes, more than {MAX_ZIP:,}"
        raise CannotPackage(f"The package has {size}: package less with it")
    return made


def wheel(folder: Path, installed: Distribution | None = None) -> Path:
    """The project's own wheel: built from the source it runs from, or put together from what is installed."""
    folder.mkdir()
    own = installed or distribution("bearergate")
    source = source_of(own)
    if source is None:
        return installed_wheel(own, folder)
    pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(source))
    return next(folder.glob("*.whl"))


def source_of(own: Distribution) -> Path | None:
    """The folder of an editable installation; none where a wheel was installed."""
    said = json.loads(own.read_text("direct_url.json") or "{}")
    if not said.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(said["url"]).path))


def installed_wheel(own: Distribution, folder: Path) -> Path:
    """A wheel of the files that were installed from one, but for what was compiled: the function has another Python."""
    made = folder / f"bearergate-{own.version}-py3-none-any.whl"
    left_out = {"..", "__pycache__", "direct_url.json"}
    ours = (file for file in own.files or () if not left_out & {*file.parts} and file.suffix not in (".so", ".pyd"))
    made.write_bytes(written({file.as_posix(): file.read_binary() for file in ours}))
    return made


def install(own: Path, target: Path, runtime: Runtime) -> None:
    """Put the wheel and all it needs at the runtime into a folder, in the versions that it is tested with.

    So what comes out next week is no change of a stack.
    """
    tested = own.with_name("constraints.txt")
    tested.write_bytes(constraints(own))
    chosen = [word for platform in PLATFORMS[runtime.architecture] for word in ("--platform", platform)]
    chosen += ["--implementation", "cp", "--python-version", f"3.{runtime.minor}", "--only-binary=:all:"]
    chosen += ["--constraint", str(tested), "--no-compile", "--target", str(target)]
    extras = f"{EXTRAS},policies" if runtime.cedar else EXTRAS
    pip("install", *chosen, f"bearergate[{extras}] @ {own.as_uri()}")


def constraints(own: Path) -> bytes:
    """The versions of all that a wheel of this project is tested with, as pip reads them."""
    with zipfile.ZipFile(own) as archive:
        return archive.read(CONSTRAINTS)


def pip(*arguments: str) -> None:
    """Run this Python's pip.

    Raises:
        CannotPackage: it is missing, or fails; with its last sentence.
    """
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "315532800"}
    environment.pop("HATCH_BUILD_HOOKS_ENABLE", None)  # which compiles for this machine
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 - no shell
    if done.returncode:
        raise CannotPackage(complaint(done.stderr))


def complaint(said: str) -> str:
    """What it means that pip fails."""
    if "No module named pip" in said:
        return "Packaging needs pip: python -m ensurepip"
    lines = [line for line in said.splitlines() if line.startswith("ERROR")] or said.splitlines()[-1:]
    return f"pip could not get what the function needs: {' '.join(lines)}"


def trim(target: Path) -> None:
    """Leave out what no invocation uses: services of the AWS SDK that are never asked, servers, pip's own notes, and
    what only debuggers read.
    """
    for name in UNUSED:
        shutil.rmtree(target / name, ignore_errors=True)
    for data in (target / "botocore" / "data", target / "boto3" / "data"):
        for service in data.iterdir() if data.is_dir() else ():
            if service.is_dir() and service.name not in SERVICES:
                shutil.rmtree(service)
    for pattern in UNUSED_FILES:
        for file in target.glob(pattern):
            file.unlink()
    for notes in target.glob("*.dist-info"):
        for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
            (notes / name).unlink(missing_ok=True)
    for library in target.rglob("*.so*"):
        library.write_bytes(without_symbols(library.read_bytes()))


def compiles_for(runtime: Runtime) -> bool:
    """Whether byte code goes with it: this Python makes what the runtime reads, and Cedar's engine leaves the room."""
    return sys.implementation.name == "cpython" and sys.version_info[:2] == (3, runtime.minor) and not runtime.cedar


def byte_compile(target: Path) -> None:
    """Compile what a cold start imports first; never checked against its source, whose time is the same for all."""
    import compileall
    from py_compile import PycInvalidationMode

    mode = PycInvalidationMode.UNCHECKED_HASH
    for name in FIRST:
        folder, task = target / name, "/var/task"
        if folder.is_dir():
            compileall.compile_dir(folder, quiet=2, stripdir=str(target), prependdir=task, invalidation_mode=mode)


def zipped(target: Path, added: Mapping[str, bytes]) -> bytes:
    """The files of a folder and those added, in the order of their names, each with the same time and rights."""
    found = (file for file in target.rglob("*") if file.is_file())
    return written({file.relative_to(target).as_posix(): file.read_bytes() for file in found} | dict(added))


def written(files: Mapping[str, bytes]) -> bytes:
    """A zip of files, whose bytes depend on nothing else."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, TOLD_APART)
            entry.create_system = 3  # Unix, wherever it was made
            entry.external_attr = (0o100755 if name == "streaming" else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    return stream.getvalue()


def wrapper(runtime: Runtime) -> bytes:
    """What starts the streaming loop in place of the runtime's own (AWS_LAMBDA_EXEC_WRAPPER)."""
    return f"#!/bin/sh\ncd /var/task && exec /var/lang/bin/python3.{runtime.minor} -m deploy.aws_streaming\n".encode()


def settings_files(settings: Path | None) -> Iterator[tuple[str, bytes]]:
    """The settings file and the files it names, as they are found at AWS; never one that holds a secret."""
    if settings is None:
        return
    from gateway.sources import SettingsError, read_file

    try:
        values = read_file(settings, required=True)
    except SettingsError as error:
        raise CannotPackage(str(error)) from None
    if values.get("audit_log", "off") not in ("stdout", "stderr", "off"):
        raise CannotPackage("audit_log: a function keeps no files; write stderr, which its log group keeps, or off")
    yield SETTINGS, settings.read_bytes()
    for key, name in named_files(values):
        yield name, content_of(settings.parent, key, name)


def named_files(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Key and name of each file that settings name and the function is to bring; secrets are refused."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        place = f"{where}.{key}" if where else str(key)
        if key in IS_A_SECRET and entry:
            raise CannotPackage(not_packaged(place, f"{key}_file: aws:secretsmanager:NAME"))
        if isinstance(entry, dict | list):
            yield from named_files(entry, place)
        elif isinstance(entry, str) and entry and not entry.startswith("aws:"):
            if key in NAMES_A_SECRET or place.endswith("credential.file"):
                raise CannotPackage(not_packaged(place, "aws:secretsmanager:NAME"))
            if key in NAMES_A_FILE or place.endswith("cedar.file"):
                yield place, entry


def not_packaged(place: str, instead: str) -> str:
    """The sentence about a secret."""
    return f"{place}: a secret is not packaged; put it into Secrets Manager and write {instead}"


def content_of(folder: Path, key: str, name: str) -> bytes:
    """What a file holds that settings name; it must lie beside them, or below, to be found at AWS too."""
    file = folder / name
    if not file.resolve().is_relative_to(folder.resolve()) or Path(name).is_absolute():
        raise CannotPackage(f"{key}: {name} lies outside the folder of the settings; put it beside them")
    try:
        return file.read_bytes()
    except OSError as error:
        raise CannotPackage(f"{key}: {name} cannot be read ({error.strerror}); correct the name") from None
