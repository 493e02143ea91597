"""What the judge says of the gate at a front door: tools and facade, with an issuer under the judge's control."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conformance.judge import judge
from conformance.options import Options
from conformance.report import Report
from conformance.serving import serving
from tests.aws.deployed import Way, WithoutLifespan, before, running, secret
from tests.aws.edge import ORIGIN, CloudFront, documented
from tests.aws.front_doors import REST_API, FrontDoor
from tests.aws.function import task
from tests.ports import free_port

READ, MANY = "greetings:read", "greetings:many"
SECONDS = 8.0  # of the function: shorter than the judge is patient, so that no stream that waits is left behind
SECRET = "conformance-secret"


def settings(port: int, issuer_port: int) -> dict[str, Any]:
    """Of a gate that trusts the judge's issuer."""
    return {
        "public_url": f"http://127.0.0.1:{port}",
        "allowed_hosts": [ORIGIN],
        "issuers": [{"issuer": f"http://127.0.0.1:{issuer_port}", "token_type": "at+jwt"}],
        "resources": [{"path": "/mcp", "name": "Ours", "scopes": [READ], "tools": ["greetings"]}],
    }


def judged(unpacked: Path, folder: Path, way: Way, cloudfront: bool = False) -> Report:
    """The report, strictly. One instance serves: a second one would know nothing of an issuer that is down."""
    folder.mkdir()
    port, issuer_port = free_port(), free_port()
    origin = f"http://127.0.0.1:{port}"
    placed = task(unpacked, folder, settings(port, issuer_port))
    variables = secret(client_id="gateway", client_secret=SECRET)
    with running(unpacked, placed, way, variables, most=1) as (gate, authorizer):
        gate.seconds = SECONDS
        opened = gate.open if way.streams else None
        door = FrontDoor(way.kind, gate.invoke, way.stage, way.remaps, open=opened, domain=way.kind == REST_API)
        options = Options(
            f"{origin}/mcp",
            scopes=(READ, MANY),
            low_scopes=(READ,),
            issuer_port=issuer_port,
            issuer_clients=(f"gateway:{SECRET}={origin}/oauth/callback",),
            privileged_tool="multi-greet",
            privileged_arguments={"name": "Ada"},
            logs=(gate.log,),
            strict=True,
        )
        front = CloudFront(before(door, way, authorizer, origin), documented(), on=cloudfront)
        with serving(WithoutLifespan(front), port):
            return judge(options)
