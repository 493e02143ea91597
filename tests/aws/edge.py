"""CloudFront before a front door, with a function that looks at the answer, which may rename the challenge back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.deploy.laptop import ROOT

ORIGIN = "api.origin.example"  # the host that CloudFront asks for
Edge = Callable[[dict[str, Any], object], dict[str, Any]]


def documented() -> Edge:
    """The function at Lambda@Edge that docs/aws.md shows."""
    (code,) = re.findall(r"```python\n(def handler.*?)```", (ROOT / "docs" / "aws.md").read_text("utf-8"), re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)  # noqa: S102 - our own documentation
    edge: Edge = found["handler"]
    return edge


@dataclass
class CloudFront:
    """A distribution; `at` is when the function runs: `origin-response` (Lambda@Edge) or `viewer-response`.

    The latter does not run for answers from 400 on. With `on` off, clients come to the front door itself.
    """

    door: ASGIApp
    function: Edge
    at: str = "origin-response"
    on: bool = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.on or scope["type"] != "http":
            await self.door(scope, receive, send)
            return
        fields = [(name, ORIGIN.encode() if name == b"host" else value) for name, value in scope["headers"]]

        async def seen(message: Message) -> None:
            runs = message["type"] == "http.response.start"
            if runs and (self.at == "origin-response" or message["status"] < 400):
                message = self.rewritten(message)
            await send(message)

        await self.door({**scope, "headers": fields}, receive, seen)

    def rewritten(self, start: Message) -> Message:
        """The head of the answer, as the function wants it."""
        headers: dict[str, list[dict[str, str]]] = {}
        for name, value in start["headers"]:
            headers.setdefault(name.decode().lower(), []).append({"key": name.decode(), "value": value.decode()})
        response = {"status": str(start["status"]), "headers": headers}
        said = self.function({"Records": [{"cf": {"response": response}}]}, None)
        fields = [
            (one["key"].lower().encode(), one["value"].encode()) for all_ in said["headers"].values() for one in all_
        ]
        return {**start, "status": int(said["status"]), "headers": fields}
