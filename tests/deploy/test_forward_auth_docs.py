"""docs/forward-auth.md: proxies ask about the resource alone, pass nobody's token on, and leave the rest to the gate.

They were tried by hand with the real programs; this holds what was tried.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.deploy.laptop import ROOT

PAGE = (ROOT / "docs" / "forward-auth.md").read_text()


def block(proxy: str) -> str:
    """What the page shows of a proxy."""
    (shown,) = re.findall(rf"^## {proxy}$.*?^```\w*\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return str(shown)


def test_traefik() -> None:
    shown = yaml.safe_load(block("Traefik"))["http"]
    preflights, resource, others = shown["routers"].values()
    assert resource == {"rule": "Path(`/mcp`)", "middlewares": ["bearergate", "no-token"], "service": "mcp"}
    assert preflights == {"rule": "Path(`/mcp`) && Method(`OPTIONS`)", "service": "bearergate"}
    assert others == {"rule": "PathPrefix(`/`)", "priority": 1, "service": "bearergate"}
    removed = shown["middlewares"]["no-token"]["headers"]["customRequestHeaders"]
    assert removed == {"Authorization": "", "Cookie": ""}


def test_envoy() -> None:
    shown = yaml.safe_load(block("Envoy"))
    (host,) = shown["route_config"]["virtual_hosts"]
    asked = [route for route in host["routes"] if not is_unasked(route)]
    assert [route["match"] for route in asked] == [{"path": "/mcp"}]
    assert asked[0]["request_headers_to_remove"] == ["authorization", "cookie"]
    unasked = [route for route in host["routes"] if is_unasked(route)]
    assert {route["route"]["cluster"] for route in unasked} == {"bearergate"}
    first, last = unasked
    assert first["match"]["headers"] == [{"name": ":method", "string_match": {"exact": "OPTIONS"}}]
    assert last["match"] == {"prefix": "/"}


def is_unasked(route: dict[str, Any]) -> bool:
    filters = route.get("typed_per_filter_config", {})
    return bool(filters.get("envoy.filters.http.ext_authz", {}).get("disabled"))


def test_caddy() -> None:
    lines = [line.strip() for line in block("Caddy").splitlines()]
    wanted = [
        "not method OPTIONS",
        "route {",  # without it, what follows would be sorted, and take off what the gate says
        "request_header -X-Auth-*",
        "forward_auth 127.0.0.1:8000 {",
        "header_up -Authorization",
        "header_up -Cookie",
        "reverse_proxy 127.0.0.1:8000",
    ]
    assert sorted(wanted, key=lines.index) == wanted
