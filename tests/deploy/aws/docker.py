"""A `docker` on PATH that behaves as the real one does where `bearergate deploy --image` meets it.

The script below is that program. What it knows and is told to do lies beside it in a file of JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = """#!{python}
import json, os, pathlib, sys

STATE = pathlib.Path(__file__).with_name("docker.json")
state = json.loads(STATE.read_text())
words = sys.argv[1:]
state["asked"].append(words)


def end(status, out="", err=""):
    STATE.write_text(json.dumps(state))
    sys.stdout.write(out)
    sys.stderr.write(err)
    sys.exit(status)


if "daemon" in state["refuses"]:
    end(1, "", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\\n")
verb = words[0]
if verb == "version":
    end(0, "28.2.2\\n")
if verb == "build":
    state["attestations"] = os.environ.get("BUILDX_NO_DEFAULT_ATTESTATIONS")
    if "build" in state["refuses"]:
        end(1, "", "#5 RUN python -m venv\\nERROR: failed to solve: process did not complete: exit code: 1\\n")
    if "emulation" in state["refuses"]:
        end(1, "", "exec /bin/sh: exec format error\\nERROR: failed to build: failed to solve: exit code: 255\\n")
    folder = pathlib.Path(words[-1])
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    state["context"] = [file.relative_to(folder).as_posix() for file in files]
    state["images"].append(words[words.index("--tag") + 1])
    end(0, "sha256:1\\n")
if verb == "login":
    password = sys.stdin.read()
    if password != state["password"]:
        end(1, "", "Error response from daemon: login attempt failed with status: 400 Bad Request\\n")
    state["logged_in"].append(words[-1])
    end(0, "Login Succeeded\\n")
if verb == "logout":
    state["logged_in"].remove(words[-1])
    end(0)
if verb == "push":
    host = words[-1].partition("/")[0]
    if host not in state["logged_in"]:
        end(1, "", "no basic auth credentials\\n")
    if "expired" in state["refuses"]:
        end(1, "", "denied: Your authorization token has expired. Reauthenticate and try again.\\n")
    if "push" in state["refuses"]:
        end(1, "", "denied: User: x is not authorized to perform: ecr:InitiateLayerUpload on y\\n")
    if "network" in state["refuses"]:
        end(1, "", "")
    state["pushed"].append(words[-1])
    end(0)
end(1, "", "docker: unknown command\\n")
"""


@dataclass
class Docker:
    """What the program knows, and what it was asked."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        program = self.folder / "docker"
        program.write_text(PROGRAM.replace("{python}", sys.executable))
        program.chmod(0o755)
        lists = ("asked", "refuses", "images", "pushed", "logged_in", "context")
        self.state = {name: [] for name in lists} | {"password": ""}

    @property
    def state(self) -> dict[str, Any]:
        known: dict[str, Any] = json.loads((self.folder / "docker.json").read_text())
        return known

    @state.setter
    def state(self, known: dict[str, Any]) -> None:
        (self.folder / "docker.json").write_text(json.dumps(known))

    def refuse(self, *what: str) -> None:
        self.state = {**self.state, "refuses": what}
