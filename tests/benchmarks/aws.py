"""On Lambda: what the front costs an instance that starts, and what the handler costs a call when it is warm."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from conformance.issuer import Issuer

CALLS = 300
ROUNDS = 5
PUBLIC = "https://gw.example"
SCRIPT = """
import json, sys, time
started = time.perf_counter()
import deploy.aws_lambda as front
imported = time.perf_counter()
asked = json.load(open("event.json"))
handler = front.handler
bare = {**asked, "headers": {"host": "gw.example"}}
assert handler(bare, None)["statusCode"] == 401
refused = time.perf_counter()
sdk = "mcp" in sys.modules
assert handler(asked, None)["statusCode"] == 200
called = time.perf_counter()
handler.close()
async def answers(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}"})
from gateway.app import build
from gateway.sources import load
warmed = front.Instance(build(load("bearergate.yaml"), {"/mcp": answers}), frozenset({"/mcp"}))
assert warmed(asked, None)["statusCode"] == 200
before = time.process_time()
for _ in range(CALLS):
    warmed(asked, None)
warm = (time.process_time() - before) / CALLS
warmed.close()
print(json.dumps([imported - started, refused - started, called - started, warm, sdk]))
""".replace("CALLS", str(CALLS))


def measure() -> list[tuple[str, str, str]]:
    """Rows of the table: what, figure, budget."""
    rounds = [instance() for _ in range(ROUNDS)]
    imported, refused, called, warm = (statistics.median(one[i] for one in rounds) * 1000 for i in range(4))
    assert not any(one[4] for one in rounds), "the SDK is left until own tools are called"
    return [
        ("Lambda: import deploy.aws_lambda", f"{imported:.0f} ms", "aim 350"),
        ("Lambda: import to first 401", f"{refused:.0f} ms", ""),
        ("Lambda: import to first answer of an own tool", f"{called:.0f} ms", ""),
        ("Lambda: warm call through the handler, own part, CPU", f"{warm:.2f} ms", "must 1.5"),
    ]


def instance() -> list[float]:
    """Figures of one instance, in seconds, from a process of its own."""
    issuer = Issuer.plain("https://issuer.example", users=[], resources=[f"{PUBLIC}/mcp"])
    token = issuer.token(None, "client", ["mcp:use"], f"{PUBLIC}/mcp")
    with TemporaryDirectory() as folder:
        Path(folder, "keys.json").write_text(json.dumps(issuer.keys.document()))
        trusted = {"issuer": issuer.url, "jwks_file": "keys.json", "token_type": "at+jwt"}
        settings = {
            "public_url": PUBLIC,
            "issuers": [trusted],
            "resources": [{"tools": ["greetings"]}],
            "audit_log": "off",
        }
        Path(folder, "bearergate.yaml").write_text(json.dumps(settings))  # JSON is YAML
        Path(folder, "event.json").write_text(json.dumps(event(token)))
        variables = os.environ | {"PYTHONPATH": str(Path.cwd())}
        command = [sys.executable, "-c", SCRIPT]
        done = subprocess.run(
            command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
        figures: list[float] = json.loads(done.stdout)
        return figures


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
    begun = time.perf_counter()
    for row in measure():
        print(*row, sep="  ")
    print(f"{time.perf_counter() - begun:.0f} s")
