"""A session of a command that is not to be found is refused like anything else: with an id that the audit log has."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from deploy.assembly import Assembly
from deploy.explain import explain
from gateway.audit import Counts, Decisions
from gateway.sources import parse
from tests.tools.front import fronted, open_session, request
from tests.tools.stdio_front import PARROT, error


@asynccontextmanager
async def assembled(audit: list[bytes], counts: Counts | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the parrot as `serve` puts it together, and the lines of its audit log."""
    settings = parse(
        {
            "public_url": "https://gw.example",
            "issuers": [{"issuer": "https://issuer.example"}],
            "resources": [{"path": "/mcp", "command": {"run": [sys.executable, PARROT, "legacy"]}}],
        }
    )
    app = Assembly(settings, {}).app(settings.resources[0], None, audit.append, counts)
    with anyio.fail_after(20):
        async with fronted(app) as http:
            yield http


@pytest.mark.parametrize("verb", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize(
    ("who", "changed"),
    [
        pytest.param("alice", {"mcp_session_id": "0" * 32}, id="made up"),
        pytest.param("bob", {}, id="of another principal"),
    ],
)
async def test_refusal_of_a_session_is_in_the_audit_log(
    verb: str, who: str, changed: dict[str, str], tmp_path: Path
) -> None:
    audit: list[bytes] = []
    async with assembled(audit) as http:
        session = await open_session(http, "2025-11-25")
        assert (await session.post(request("echo"))).status_code == 200
        assert audit == [], "what is served is the gate's to note"
        headers: dict[str, Any] = {"x_who": who, **changed}
        answer = await (
            session.post(request("echo", "mine"), **headers) if verb == "POST" else session.send(verb, **headers)
        )
    assert answer.status_code == 404
    assert answer.json().get("id") == ("mine" if verb == "POST" else None)
    assert error(answer)["code"] == -32600
    (line,) = audit
    noted = json.loads(line)
    assert error(answer)["data"] == {"refusal": noted["id"]}
    assert (noted["decision"], noted["status"], noted["reason"]) == ("refused", 404, "unknown_session")
    assert (noted["method"], noted["resource"], noted["subject"]) == (verb, "https://gw.example/mcp", who)
    (tmp_path / "audit.jsonl").write_bytes(line)
    assert "open a new session with initialize" in explain(noted["id"], str(tmp_path / "audit.jsonl"))


async def test_sessions_of_others_and_of_nobody_look_alike_but_for_the_id_of_the_refusal() -> None:
    counts: Counts = defaultdict(Decisions)
    async with assembled([], counts) as http:
        session = await open_session(http, "2025-11-25")
        stolen = await session.post(request("echo"), x_who="bob")
        unknown = await session.post(request("echo"), x_who="bob", mcp_session_id="0" * 32)
    answers = [answer.json() for answer in (stolen, unknown)]
    ids = [answer["error"].pop("data")["refusal"] for answer in answers]
    assert ids[0] != ids[1]
    assert answers[0] == answers[1]
    assert counts["https://gw.example/mcp"].refused == {"unknown_session": 2}
