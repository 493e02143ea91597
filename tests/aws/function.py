"""A function as it is deployed: the content of the package, its settings, and instances under a runtime of AWS or ours.

Nothing that is installed here is found by an instance but the package, and the runtime that AWS puts before it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import platform
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from deploy.package import Runtime, program, settings_files
from tests.aws.runtime import RuntimeApi, serving

HANDLER = "deploy.aws_lambda.handler"
AUTHORIZER = "deploy.authorizer.handler"
STREAMING = "streaming"  # the wrapper in the package
RUNTIME = ("awslambdaric", "runtime_client", "snapshot_restore_py", "simplejson")  # AWS's own
MINOR = sys.version_info.minor
SECONDS_TO_LEAVE = 20


def unpacked(folder: Path) -> Path:
    """What `bearergate deploy` packages for this machine, unpacked as Lambda does, and beside it AWS's runtime."""
    architecture = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    made = program(Runtime(architecture, MINOR))
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        archive.extractall(folder / "package")
    return linked_runtime(folder)


def linked_runtime(folder: Path) -> Path:
    """The folder with AWS's runtime in it, as it is installed here."""
    (folder / "runtime").mkdir(parents=True)
    for name in RUNTIME:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        file = Path(found.origin)
        module = file.parent if file.name == "__init__.py" else file
        (folder / "runtime" / module.name).symlink_to(module)
    return folder


def task(unpacked: Path, folder: Path, settings: Mapping[str, Any]) -> Path:
    """A folder with the package and these settings, packaged as `bearergate deploy` packages them."""
    written = folder / "mine.yaml"
    written.write_text(yaml.safe_dump(dict(settings)))
    made = folder / "task"
    made.mkdir()
    for entry in (unpacked / "package").iterdir():
        (made / entry.name).symlink_to(entry)
    for name, content in settings_files(written):
        (made / name).write_bytes(content)
    return made


class Function(RuntimeApi):
    """The instances of a function; one more is started while all of them are busy, up to `most`."""

    def __init__(self, unpacked: Path, task: Path, handler: str, variables: Mapping[str, str], most: int) -> None:
        super().__init__()
        self.command = command(task, handler)
        self.variables = environment(unpacked, task, self.address) | dict(variables)
        self.streams = handler == STREAMING
        self.task = task
        self.most = most
        self.log = task.parent / f"{handler}.log"
        self.instances: list[subprocess.Popen[bytes]] = []

    def be_ready(self) -> None:
        """Start an instance, if none is free."""
        if self.busy > len(self.instances) < self.most:
            with self.log.open("ab") as log:
                started = subprocess.Popen(self.command, cwd=self.task, env=self.variables, stdout=log, stderr=log)
            self.instances.append(started)

    def leave(self) -> None:
        """End the instances: ours hear that there is no next invocation, of which AWS's own runtime would crash."""
        for instance in self.instances:
            if self.streams:
                self.waiting.put(None)
            else:
                instance.terminate()
        for instance in self.instances:
            try:
                status = instance.wait(SECONDS_TO_LEAVE)
                assert status in (1, -signal.SIGTERM), f"it ended with {status}: {self.log.read_text()[-2000:]}"
            finally:
                instance.kill()


def command(task: Path, handler: str) -> Sequence[str]:
    """What Lambda runs, its places being others here; -S leaves out what is installed."""
    python = f"{sys.executable} -S"
    if handler != STREAMING:
        return [*python.split(), "-m", "awslambdaric", handler]
    script = (task / STREAMING).read_text()
    return ["sh", "-c", script.replace(f"/var/lang/bin/python3.{MINOR}", python).replace("/var/task", str(task))]


def environment(unpacked: Path, task: Path, api: str) -> dict[str, str]:
    """The variables of an instance; its folder can be read only, so no byte code is written there."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {
        "AWS_LAMBDA_RUNTIME_API": api,
        "AWS_LAMBDA_FUNCTION_NAME": "gate",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "LAMBDA_TASK_ROOT": str(task),
        "PYTHONPATH": f"{task}:{unpacked / 'runtime'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "default",
    }


@contextlib.contextmanager
def function(
    unpacked: Path, task: Path, handler: str = HANDLER, variables: Mapping[str, str] | None = None, most: int = 1
) -> Iterator[Function]:
    """A function, until the end of the block."""
    with Function(unpacked, task, handler, variables or {}, most) as made, serving(made):
        try:
            yield made
        finally:
            made.leave()
