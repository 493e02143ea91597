"""An instance in this process, for what is about events and answers and not about processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from conformance.issuer import Issuer
from deploy.aws_lambda import Instance
from discovery.fetch import Fetch
from gateway.app import build
from gateway.sources import parse
from tests.gated import CLIENT, PUBLIC, RESOURCE, Recorder, plain_issuer


@dataclass
class Context:
    """The runtime's, as far as it is read."""

    milliseconds: int

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


class Local:
    """A gate before an app, invoked as the runtime does it: by one thread, from JSON to JSON."""

    def __init__(self, issuer: Issuer, app: ASGIApp, seconds: float, fetch: Fetch | None) -> None:
        self.issuer = issuer
        self.context = Context(int(seconds * 1000))
        resource = {"path": "/mcp", "scopes": ["mcp:use"], "rules": [{"tools": ["admin"], "scopes": ["mcp:admin"]}]}
        values = {
            "public_url": PUBLIC,
            "issuers": [{"issuer": issuer.url, "token_type": "at+jwt"}],
            "resources": [resource],
            "facade": {"client_id": "gate", "client_secret": "a-secret"},
            "seal_keys": ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="],
        }
        self.gate = build(parse(values), {"/mcp": app}, fetch=fetch, now=issuer.clock.now)
        document = json.dumps(issuer.keys.document()).encode()
        self.gate.state.gates["/mcp"].verifier.issuers[issuer.url].keys.begin_with(document)
        self.thread = ThreadPoolExecutor(1)
        self.made: Instance = self.thread.submit(Instance, self.gate, frozenset({"/mcp"})).result()

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """The answer to an event."""
        carried = json.loads(json.dumps(event))
        answer: dict[str, Any] = json.loads(json.dumps(self.thread.submit(self.made, carried, self.context).result()))
        return answer

    def token(self, *scopes: str) -> str:
        """A valid one."""
        return self.issuer.token("alice", CLIENT, scopes or ("mcp:use",), RESOURCE)

    def close(self) -> None:
        self.thread.submit(self.made.close).result()
        self.thread.shutdown()


@contextmanager
def local(app: ASGIApp | None = None, seconds: float = 29.0, fetch: Fetch | None = None) -> Iterator[Local]:
    """It, until the end of the block; `seconds` are left for each invocation, and `fetch` reaches the issuer."""
    made = Local(plain_issuer(), app or Recorder(), seconds, fetch)
    try:
        yield made
    finally:
        made.close()
