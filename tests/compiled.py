"""The tests of what is compiled, on the compiled modules: `python -m tests.compiled [what pytest takes]`.

The run that counts coverage has the sources; this one proves that a wheel for a server behaves the same. It builds one
as docs/serve.md says, lays its extension modules over a copy of the tree, and runs the tests there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
TREE = (
    *("gateway", "discovery", "tools", "client", "deploy", "conformance", "tests", "docs"),
    *("pyproject.toml", "hatch_build.py", "constraints.txt", "README.md", "CHANGELOG.md", "LICENSE"),
)
TESTS = (
    *("tests/attacks", "tests/requirements", "tests/official/test_transparency.py", "tests/gateway/upstream"),
    *("tests/gateway/test_gate.py", "tests/gateway/test_streams.py", "tests/gateway/test_sessions.py"),
    *("tests/gateway/test_authz.py", "tests/gateway/test_cedar.py", "tests/gateway/test_lifespan.py"),
    *("tests/gateway/test_authenticate.py", "tests/gateway/test_paths.py", "tests/gateway/test_verified_tokens.py"),
    "tests/gateway/test_wakeup.py",
    *("tests/deploy/test_http1.py", "tests/deploy/test_cycle.py", "tests/deploy/test_connections.py"),
    *("tests/deploy/test_serving.py", "tests/deploy/test_serving_upstream.py", "tests/deploy/test_server.py"),
)

# How compiled code cancels what it awaits; Python 3.12 and later warn of it, which without this would be an error.
OF_MYPYC = "ignore:the (type, exc, tb) signature of throw() is deprecated:DeprecationWarning"


def wheel(folder: Path) -> Path:
    """A compiled wheel, as docs/serve.md installs one. It takes a minute, a C compiler and Python's headers."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    done = subprocess.run(command, env=os.environ | {"HATCH_BUILD_HOOKS_ENABLE": "1"}, check=False)
    if done.returncode:
        raise SystemExit("no compiled wheel; pip says why")
    return next(folder.glob("*.whl"))


def tree(folder: Path) -> None:
    """The sources with the extension modules beside them, which Python prefers."""
    caches = shutil.ignore_patterns("__pycache__", "*.so")
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=caches)
        else:
            shutil.copy2(source, folder)
    (folder / ".conformance").symlink_to(ROOT / ".conformance")  # what npm has installed
    with TemporaryDirectory() as made, zipfile.ZipFile(wheel(Path(made))) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.endswith(".so")])


def main(arguments: list[str]) -> int:
    """Run them; returns pytest's status."""
    with TemporaryDirectory(prefix="bearergate-") as name:
        folder = Path(name)
        tree(folder)
        environment = os.environ | {"PYTHONPATH": str(folder)}
        version = [sys.executable, "-m", "deploy.cli", "--version"]
        said = subprocess.check_output(version, cwd=folder, env=environment, text=True)
        assert said.endswith(" (compiled)\n"), said
        options = ["-q", "-p", "no:cacheprovider", "-W", OF_MYPYC]
        command = [sys.executable, "-m", "pytest", *options, *(arguments or TESTS)]
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
