"""A local MCP server on standard input and output that does what it is asked, and nothing of its own accord.

It is run as a program, with the standard library alone, so that it is there at once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SPOKEN = sys.argv[1] if len(sys.argv) > 1 else "legacy"  # or modern, both, or a revision
MODERN = "2026-07-28"
heard: list[dict[str, Any]] = []  # every notification
hanging: list[Any] = []  # the ids of requests that are never answered
answers: dict[str, dict[str, Any]] = {}  # of clients, by the id of the request


def say(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def listen() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    message: dict[str, Any] = json.loads(line)
    return message


def initialize(params: dict[str, Any]) -> dict[str, Any]:
    if SPOKEN == "refuses":
        raise LookupError
    return {
        "protocolVersion": SPOKEN if SPOKEN[:2] == "20" else params["protocolVersion"],
        "capabilities": {"tools": {}}
        if SPOKEN == "both"
        else {"tools": {}, "logging": {}, "resources": {"subscribe": True, "listChanged": True}},
        "serverInfo": {"name": "parrot", "version": "1", "pid": os.getpid()},
    }


def discover(_: dict[str, Any]) -> dict[str, Any]:
    if SPOKEN not in ("modern", "both", "lists", "odd", "endless"):
        raise LookupError
    if SPOKEN == "odd":
        return {"supportedVersions": 7, "capabilities": 7}
    if SPOKEN == "lists":
        return {"supportedVersions": ["2025-06-18", "2025-11-25"]}
    return {"supportedVersions": [MODERN], "capabilities": {}, "serverInfo": {"name": "parrot", "version": "1"}}


def progress(params: dict[str, Any]) -> dict[str, Any]:
    for done in range(1, params.get("steps", 3) + 1):
        given = {"progressToken": params["_meta"]["progressToken"], "progress": done}
        say(method="notifications/progress", params=given)
    return {}


def ask(params: dict[str, Any]) -> dict[str, Any]:
    """Ask the client, and go on when it has answered."""
    say(id="asked", method=params["what"], params={"messages": []})
    while True:
        message = listen()
        if "method" not in message:
            return {"answer": message}
        heard.append(message)


def write_errors(params: dict[str, Any]) -> dict[str, Any]:
    sys.stderr.buffer.write(params["text"].encode("latin-1"))
    sys.stderr.flush()
    return {}


def log(params: dict[str, Any]) -> dict[str, Any]:
    say(method="notifications/message", params={"level": "info", "data": params.get("data", "")})
    return {}


def garbage(_: dict[str, Any]) -> dict[str, Any]:
    sys.stdout.write("this is \x1b[31mno message\n[1]\n[\n\n")
    return {}


def big(params: dict[str, Any]) -> dict[str, Any]:
    return {"text": "x" * params["size"]}


def spawn(_: dict[str, Any]) -> dict[str, Any]:
    child = subprocess.Popen(["sleep", "600"], stdout=None)
    return {"child": child.pid}


def obstinate(_: dict[str, Any]) -> dict[str, Any]:
    """From now on, neither SIGTERM nor the end of the input ends it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say(id=request_id, result={})
    while True:
        time.sleep(600)


def batch(params: dict[str, Any]) -> dict[str, Any]:
    """Answer in an array, as 2025-03-26 allows."""
    sys.stdout.write(json.dumps([{"jsonrpc": "2.0", "id": request_id, "result": params}]) + "\n")
    sys.stdout.flush()
    raise SystemError


def later(params: dict[str, Any]) -> dict[str, Any]:
    """Say something when the answer is out, so that it is about no request."""
    say(id=request_id, result={})
    for number in range(params.get("times", 1)):
        say(**params["message"], **({"params": {"number": number}} if "times" in params else {}))
    raise SystemError


def pass_on(params: dict[str, Any]) -> dict[str, Any]:
    """Say something before the answer."""
    say(**params["message"])
    return {}


def cancel(_: dict[str, Any]) -> dict[str, Any]:
    """End what was asked by saying so."""
    say(method="notifications/cancelled", params={"requestId": request_id, "reason": "over"})
    return {}


def odd(params: dict[str, Any]) -> dict[str, Any]:
    """Fail in a way of its own."""
    say(id=request_id, error=params["error"])
    raise SystemError


def subscribe(_: dict[str, Any]) -> dict[str, Any]:
    meta = {"io.modelcontextprotocol/subscriptionId": request_id}
    say(method="notifications/subscriptions/acknowledged", params={"_meta": meta})
    say(method="notifications/tools/list_changed", params={"_meta": meta})
    return {"resultType": "complete", "_meta": meta}


def close_output(_: dict[str, Any]) -> dict[str, Any]:
    os.close(1)
    time.sleep(600)
    return {}


TOOLS: list[dict[str, Any]] = [
    {
        "name": "call",
        "inputSchema": {
            "type": "object",
            "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
        },
    }
]


def list_tools(params: dict[str, Any]) -> dict[str, Any]:
    if SPOKEN == "endless":
        return {"tools": [], "nextCursor": "more"}
    if SPOKEN == "both":
        return {"tools": "none that could be read"}
    return {"tools": TOOLS, "_meta": {"pid": os.getpid()}} if "cursor" in params else {"tools": [], "nextCursor": "2"}


METHODS: dict[str, Any] = {
    "initialize": initialize,
    "server/discover": discover,
    "ping": lambda _: {},
    "echo": lambda params: {"params": params, "pid": os.getpid()},
    "environment": lambda _: {"environment": dict(os.environ), "directory": str(Path.cwd()), "group": os.getpgid(0)},
    "heard": lambda _: {"heard": heard, "answers": answers, "hanging": hanging, "pid": os.getpid()},
    "progress": progress,
    "ask": ask,
    "errors": write_errors,
    "log": log,
    "garbage": garbage,
    "big": big,
    "spawn": spawn,
    "obstinate": obstinate,
    "batch": batch,
    "subscriptions/listen": subscribe,
    "close": close_output,
    "die": lambda params: os._exit(params.get("status", 3)),
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "later": later,
    "odd": odd,
    "cancel": cancel,
    "say": pass_on,
    "tools/list": list_tools,
    "tools/call": lambda params: {"content": [], "called": params},
}

if SPOKEN == "dead":
    sys.exit(7)
while True:
    message = listen()
    request_id = message.get("id")
    if "method" not in message:
        answers[str(request_id)] = message
    elif request_id is None:
        heard.append(message)
    elif message["method"] == "hang":
        hanging.append(request_id)
    elif SPOKEN == "mute" and message["method"] == "initialize":
        pass
    else:
        try:
            say(id=request_id, result=METHODS[message["method"]](message.get("params", {})))
        except LookupError:
            say(id=request_id, error={"code": -32601, "message": "no such method"})
        except SystemError:
            pass
