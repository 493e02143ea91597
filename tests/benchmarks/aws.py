"""On Lambda: what an instance needs until it answers, for each Python that is here, and what a warm call costs it.

What is measured is the content of the package, found by a Python that knows nothing else, in a folder that stays as it
was packaged. `python -m tests.benchmarks.aws` prints this table alone.
"""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from conformance.issuer import Issuer
from deploy.package import Runtime, program
from tests.aws.function import function, linked_runtime, task

CALLS = 2_000
ROUNDS = 7
MINORS = (11, 12, 13, 14)
PUBLIC = "https://gw.example"
ROOT = Path(__file__).resolve().parents[2]
COMPILE = (
    "import sys; from pathlib import Path; from deploy.package import byte_compile; byte_compile(Path(sys.argv[1]))"
)
START = """
import json, sys, time
started = time.process_time()
import deploy.aws_lambda as front
imported = time.process_time()
asked = json.load(open("event.json"))
handler = front.handler
bare = {**asked, "headers": {"host": "gw.example"}}
assert handler(bare, None)["statusCode"] == 401
refused = time.process_time()
assert "mcp" not in sys.modules, "the SDK is left until own tools are called"
assert handler(asked, None)["statusCode"] == 200
called = time.process_time()
handler.close()
print(json.dumps([imported - started, refused - started, called - started]))
"""
WARM = """
import json, time
import deploy.aws_lambda as front
from gateway.app import build
from gateway.sources import load
class Context:
    def get_remaining_time_in_millis(self):
        return 29_000
reached = 0
async def answers(scope, receive, send):
    global reached
    assert scope["type"] == "http"
    await receive()
    reached += 1
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}"})
warm = front.Instance(build(load("bearergate.yaml"), {"/mcp": answers}), frozenset({"/mcp"}))
asked = json.load(open("event.json"))
assert warm(asked, Context())["statusCode"] == 200
figures = []
for tokens in ([asked["headers"]["authorization"]] * CALLS, json.load(open("tokens.json"))):
    events = [{**asked, "headers": {**asked["headers"], "authorization": token}} for token in tokens]
    reached, before = 0, time.process_time()
    for event in events:
        assert warm(event, Context())["statusCode"] == 200
    figures.append((time.process_time() - before) / len(events))
    assert reached == len(events), "every call reaches the server"
warm.close()
print(json.dumps(figures))
""".replace("CALLS", str(CALLS))


@dataclass(frozen=True)
class Place:
    """A package, unpacked with its settings and an event, for one Python."""

    python: str
    minor: int
    folder: Path  # the packaged content with settings
    compiled: bool

    def figures(self, script: str) -> list[float]:
        """What the script prints, in seconds, from a process of its own."""
        variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [self.python, "-S", "-c", script]
        done = subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        made: list[float] = json.loads(done.stdout)
        return made


def measure() -> list[tuple[str, str, str]]:
    """Rows of the table: what, figure, budget."""
    with TemporaryDirectory() as folder:
        places = list(unpacked(Path(folder)))
        rows = [row for place in places for row in cold(place)]
        return [*rows, *warm(places[0]), *whole(places[0], Path(folder))]


def cold(place: Place) -> Iterator[tuple[str, str, str]]:
    """CPU that an instance takes until it is there: Lambda gives it by memory, so a clock on the wall says little."""
    rounds = [place.figures(START) for _ in range(ROUNDS)]
    imported, refused, called = (min(one[i] for one in rounds) * 1000 for i in range(3))  # others had company
    name = f"Lambda, Python 3.{place.minor}" + ("" if place.compiled else " without byte code")
    yield f"{name}: import of the front, CPU", f"{imported:.0f} ms", "must 350" if place.compiled else ""
    yield f"{name}: start to first 401, CPU", f"{refused:.0f} ms", ""
    yield f"{name}: start to first answer of an own tool, CPU", f"{called:.0f} ms", ""


def warm(place: Place) -> Iterator[tuple[str, str, str]]:
    """CPU of all threads of the process, for calls that a server answers at once."""
    rounds = [place.figures(WARM) for _ in range(ROUNDS)]
    known, fresh = (min(one[i] for one in rounds) * 1000 for i in range(2))
    yield "Lambda: warm call, own part, CPU, token seen before", f"{known:.2f} ms", "must 1.5"
    yield "Lambda: warm call, own part, CPU, token never seen", f"{fresh:.2f} ms", "must 1.5"


def whole(place: Place, folder: Path) -> Iterator[tuple[str, str, str]]:
    """CPU of the instance as the kernel counts it, with AWS's runtime around it and own tools behind."""
    event = json.loads((place.folder / "event.json").read_text())
    bare = {**event, "headers": {"host": "gw.example"}}
    with function(linked_runtime(folder / "under"), place.folder) as gate:
        for name, asked, status in (("refusal", bare, 401), ("tools/list of own tools", event, 200)):
            assert gate.invoke(asked)["statusCode"] == status
            before = cpu(gate.instances[0].pid)
            for _ in range(CALLS):
                assert gate.invoke(asked)["statusCode"] == status
            spent = (cpu(gate.instances[0].pid) - before) / CALLS * 1000
            yield f"Lambda: warm {name}, CPU of the whole process under awslambdaric", f"{spent:.2f} ms", ""


def cpu(pid: int) -> float:
    """Seconds that a process has run, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def unpacked(folder: Path) -> Iterator[Place]:
    """The package for this Python, with byte code and without, and for others that are here."""
    settings, tokens = told(folder)
    own = sys.version_info.minor
    for minor in (own, *(minor for minor in MINORS if minor != own)):
        python = sys.executable if minor == own else here(minor)
        if python is None:
            continue
        base = folder / str(minor)
        architecture = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
        made = program(Runtime(architecture, minor))
        with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
            archive.extractall(base / "package")
        variables = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([python, "-S", "-c", COMPILE, str(base / "package")], env=variables, check=True)
        yield Place(python, minor, placed(base, settings, tokens), compiled=True)
        if minor == own:
            bare = folder / f"{minor}-bare"
            shutil.copytree(base / "package", bare / "package", ignore=shutil.ignore_patterns("__pycache__"))
            yield Place(python, minor, placed(bare, settings, tokens), compiled=False)


def here(minor: int) -> str | None:
    """A Python of that version, if it is here and runs; also one beside this one, as pyenv has them."""
    beside = Path(sys.base_prefix).parent.glob(f"3.{minor}.*/bin/python3.{minor}")
    for found in (shutil.which(f"python3.{minor}"), *map(str, beside)):
        if found and not subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:
            return found
    return None


def told(folder: Path) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Settings with a snapshot of an issuer's keys, and what is read beside them: an event, and tokens."""
    issuer = Issuer.plain("https://issuer.example", users=[], resources=[f"{PUBLIC}/mcp"])
    (folder / "keys.json").write_text(json.dumps(issuer.keys.document()))
    settings = {
        "public_url": PUBLIC,
        "issuers": [{"issuer": issuer.url, "jwks_file": "keys.json", "token_type": "at+jwt"}],
        "resources": [{"tools": ["greetings"]}],
        "audit_log": "off",
    }

    def token(serial: int) -> str:
        return issuer.token(None, "client", ["mcp:use"], f"{PUBLIC}/mcp", claims={"jti": str(serial)})

    tokens = [f"Bearer {token(serial)}" for serial in range(1, CALLS // 4)]
    return settings, {"event.json": event(token(0)), "tokens.json": tokens}


def placed(base: Path, settings: Mapping[str, object], beside: Mapping[str, object]) -> Path:
    """The package with its settings, and what the scripts read."""
    shutil.copy(base.parent / "keys.json", base)
    made = task(base, base, settings)
    for name, content in beside.items():
        (made / name).write_text(json.dumps(content))
    return made


def event(token: str) -> dict[str, object]:
    """An HTTP API's event of a client that asks for the tools."""
    headers = {
        "host": "gw.example",
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
    }
    http = {"method": "POST", "path": "/mcp", "sourceIp": "192.0.2.1"}
    context = {"stage": "$default", "http": http}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    return {"version": "2.0", "rawPath": "/mcp", "headers": headers, "requestContext": context, "body": body}


if __name__ == "__main__":
    for row in measure():
        print(*row, sep="  ")
