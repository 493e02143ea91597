"""The project's own gateway, as settings would run it, under the judge: before tools, as a front, and with a facade."""

from __future__ import annotations

import base64
import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from conformance.judge import judge
from conformance.mcp_server import PRIVILEGED
from conformance.options import Options
from conformance.report import Report
from conformance.serving import serving
from deploy.assembly import assemble
from gateway.sources import parse
from tests.ports import free_port

Way = Literal["tools", "front", "facade"]
SECRET = "conformance-secret"
READ, MANY = "greetings:read", "greetings:many"


def settings(way: Way, port: int, issuer_port: int, upstream_port: int) -> dict[str, Any]:
    """Settings of the gateway for one way to run it."""
    resource: dict[str, Any] = {"path": "/mcp", "name": "Ours", "scopes": [READ]}
    if way == "tools":
        resource["tools"] = ["greetings"]
    else:
        resource["upstream"] = {"url": f"http://127.0.0.1:{upstream_port}/mcp"}
        resource["rules"] = [{"tools": [PRIVILEGED], "scopes": [MANY]}]
    other = {
        "path": "/other",
        "name": "Other",
        "scopes": [READ],
        "upstream": {"url": f"http://127.0.0.1:{upstream_port}/mcp"},
    }
    made: dict[str, Any] = {
        "public_url": f"http://127.0.0.1:{port}",
        "issuers": [{"issuer": f"http://127.0.0.1:{issuer_port}", "token_type": "at+jwt"}],
        "resources": [resource] if way == "tools" else [resource, other],
        "seal_keys": [base64.b64encode(secrets.token_bytes(32)).decode()],
    }
    if way == "facade":
        made["facade"] = {"client_id": "gateway", "client_secret": SECRET}
    return made


@contextlib.contextmanager
def running(way: Way, options: Options, log: Path) -> Iterator[Options]:
    """The gateway, until the end of the block."""
    port, issuer_port, upstream_port = free_port(), free_port(), free_port()
    made = assemble(parse(settings(way, port, issuer_port, upstream_port)))
    with log.open("ab") as lines:
        gate = made.gate(lines.write)
        with serving(gate, port, lifespan=True):
            yield replace(
                options,
                url=f"http://127.0.0.1:{port}/mcp",
                issuer_port=issuer_port,
                issuer_clients=(f"gateway:{SECRET}=http://127.0.0.1:{port}/oauth/callback",),
                upstream_port=None if way == "tools" else upstream_port,
                other_url="" if way == "tools" else f"http://127.0.0.1:{port}/other",
                privileged_tool="multi-greet" if way == "tools" else PRIVILEGED,
                privileged_arguments={"name": "Ada"} if way == "tools" else {},
                logs=(log,),
            )


def judged(way: Way, log: Path, only: tuple[str, ...] = ()) -> Report:
    """What is said of the gateway, strictly."""
    base = Options("", scopes=(READ, MANY), low_scopes=(READ,), allowed_origin="", strict=True, patience=10, only=only)
    with running(way, base, log) as options:
        return judge(options)
