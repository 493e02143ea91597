"""GWP-13, 14 and 16: nothing is shown to the wrong one, told to a log, or let through by a fault."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from conformance.issuer import ABSENT
from conformance.requirements import requirement
from gateway.app import build
from gateway.sources import SettingsError, parse
from tests.deploy.test_serving import serving
from tests.gated import CLIENT, ISSUER, PUBLIC, RESOURCE, SCOPES, Recorder, gated, plain_issuer
from tests.requirements.callers import (
    EVERY_SCOPE,
    LOW,
    MODERN,
    Caller,
    caller,
    guarded,
    message,
    messages,
    names,
    on_socket,
    opening,
    result,
    text_of,
    token_of,
)
from tests.requirements.challenges import refused_token
from tests.requirements.workshop import Workshop


@requirement("GWP-13")
async def test_list_is_private_to_the_principal_it_was_made_for() -> None:
    async with guarded() as door:
        low = Caller(door.client, MODERN, token_of(door, "bob", scopes=LOW))
        refreshed = token_of(door, scopes=LOW)
        for method, member in (("tools/list", "tools"), ("prompts/list", "prompts"), ("resources/list", "resources")):
            shown = {}
            for client in (caller(door, MODERN), low, caller(door, MODERN), low.with_token(refreshed)):
                answer = await client.ask(method)
                assert result(answer)["cacheScope"] == "private"
                shown[client.token] = names(answer, member)
        tools = [names(await client.ask("tools/list")) for client in (caller(door, MODERN), low)]
        assert "admin-reset" in tools[0] - tools[1]


@requirement("GWP-13")
async def test_public_result_becomes_private_where_the_gate_filters_it() -> None:
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("whoami", "admin-reset")]
    listed = {"resultType": "complete", "tools": tools, "ttlMs": 3_600_000, "cacheScope": "public"}
    app = Recorder(answer=json.dumps({"jsonrpc": "2.0", "id": 1, "result": listed}).encode())
    rules = [{"tools": ["admin-*"], "scopes": ["mcp:admin"]}]
    async with gated(app=app, resource={"rules": rules}) as door:
        for user, scopes in (("alice", EVERY_SCOPE), ("bob", LOW), ("alice", LOW), ("alice", EVERY_SCOPE)):
            answer = await Caller(door.client, MODERN, token_of(door, user, scopes)).ask("tools/list")
            assert result(answer)["cacheScope"] == "private"
            assert ("admin-reset" in names(answer)) == ("mcp:admin" in scopes)
            assert "public" not in answer.headers.get("cache-control", "")
    assert len(app.scopes) == 4  # and nothing was kept


@requirement("GWP-13")
async def test_result_of_several_round_trips_is_not_kept() -> None:
    async with guarded() as door:
        envelope = {**message(MODERN, "x")["params"]["_meta"]}
        envelope["io.modelcontextprotocol/clientCapabilities"] = {"elicitation": {"form": {}}}
        call = {"name": "ask", "arguments": {}, "_meta": envelope}
        client = caller(door, MODERN)
        for colour in ("blue", "red"):
            asked = result(await client.ask("tools/call", call))
            answers = {key: {"action": "accept", "content": {"colour": colour}} for key in asked["inputRequests"]}
            more = {"requestState": asked["requestState"], "inputResponses": answers}
            answer = await client.ask("tools/call", {**call, **more})
            assert text_of(answer) == colour
            assert "max-age" not in answer.headers.get("cache-control", "")


@requirement("GWP-14")
async def test_no_token_is_in_a_log_an_answer_or_a_tool(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    workshop = Workshop()
    spoken: list[str] = []
    async with guarded(workshop) as door, on_socket(door.gate) as http:
        tokens = [
            token_of(door),
            token_of(door, scopes=LOW),
            token_of(door, exp=1),
            token_of(door, aud="https://other.example"),
            token_of(door, cnf={"jkt": "x"}),
            token_of(door, iss=ABSENT),
            door.issuer.token("alice", CLIENT, LOW, RESOURCE, header={"kid": "unknown"}),
            door.issuer.token("alice", CLIENT, LOW, RESOURCE, signature=b"marker-signature-of-a-forgery"),
            door.issuer.refresh_token("alice", CLIENT, LOW, RESOURCE),
            "marker-of-an-opaque-token",
        ]
        for token in tokens:
            for version in ("2025-11-25", MODERN):
                client = Caller(http, version, token)
                answers = (
                    await client.post(opening(version)),
                    await client.call("whoami"),
                    await client.call("admin-reset"),
                    await client.post(opening(version), query=f"?access_token={token}"),
                    await client.post(opening(version), {"Authorization": f"Bearer {token}, Bearer {token}"}),
                    await client.send("GET", {"Origin": "https://evil.test"}),
                )
                spoken += [answer.text + str(answer.headers) for answer in answers]
    # The client's own logs, and the access log that no deployment of ours has (see below), are not the gate's.
    logged = [line for line in caplog.records if line.name.partition(".")[0] not in ("httpx", "httpcore")]
    logged = [line for line in logged if line.name != "uvicorn.access"]
    assert "mcp" in {line.name.partition(".")[0] for line in logged}
    told = "".join(map(logging.Formatter().format, logged)) + json.dumps(door.log) + "".join(spoken)
    gate = door.gate.state.gates["/mcp"]
    told += repr([getattr(gate, name) for name in dir(gate)])
    assert workshop.tokens
    assert set(workshop.tokens) == {""}
    assert any(line["decision"] == "refused" for line in door.log)
    for token in tokens:
        assert token not in told
        assert token.rpartition(".")[2] not in told


@requirement("GWP-14")
def test_no_token_is_in_the_logs_of_a_server_process(tmp_path: Path) -> None:
    issuer = plain_issuer()
    tokens = [issuer.token("alice", CLIENT, LOW, RESOURCE), "marker-of-an-opaque-token"]
    with serving(tmp_path) as origin:
        for token in tokens:
            for query, credentials in (("", f"Bearer {token}"), ("?access_token=", f"Bearer {token}"), ("?token=", "")):
                url = f"{origin}/mcp{query}{token if query else ''}"
                answer = httpx.post(url, headers={"Authorization": credentials}, content=b"{}")
                assert answer.status_code in (400, 401, 503)
                assert token not in answer.text + str(answer.headers)
    logged = (tmp_path / "stderr").read_text()
    assert '"decision":"refused"' in logged
    for token in tokens:
        assert token not in logged
        assert token.rpartition(".")[2] not in logged


async def unreachable(*_: object) -> None:
    """A network on which everything fails in a way nobody expects."""
    raise ZeroDivisionError


@requirement("GWP-16")
async def test_unreachable_keys_refuse_and_reach_no_tool() -> None:
    for network in (unreachable, Recorder(status=500), Recorder(answer=b"no json"), Recorder(answer=b'{"keys":[]}')):
        async with gated(network=network) as door:
            assert (await caller(door, MODERN).post(opening(MODERN))).status_code == 503
            assert not door.app.scopes


@pytest.mark.parametrize("broken", ["clock", "audit"])
@requirement("GWP-16")
async def test_fault_inside_the_gate_ends_in_a_500_and_reaches_no_tool(broken: str) -> None:
    def fail(*_: Any) -> float:
        raise ZeroDivisionError

    issuer, app = plain_issuer(), Recorder()
    parts: dict[str, Callable[..., Any]] = {"clock": lambda: build(settings(), {"/mcp": app}, now=fail)}
    parts["audit"] = lambda: build(settings(), {"/mcp": app}, audit=fail)
    token = issuer.token("alice", CLIENT, SCOPES, RESOURCE) if broken == "clock" else "not-a-token"
    transport = httpx.ASGITransport(parts[broken](), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as http:
        assert (await Caller(http, MODERN, token).post(opening(MODERN))).status_code == 500
    assert not app.scopes


def settings() -> Any:
    return parse({"public_url": PUBLIC, "issuers": [{"issuer": ISSUER, "token_type": "at+jwt"}]})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"issuers": []}, "issuers"),
        ({"issuers": [{"issuer": ""}]}, "issuer"),
        ({"issuers": [{"issuer": ISSUER, "kind": "cognito"}]}, "no audience rule"),
        ({"issuers": [{"issuer": ISSUER, "kind": "cognito", "client_ids": [""]}]}, "client_ids"),
        ({"issuers": [{"issuer": ISSUER, "algorithms": []}]}, "algorithms"),
        ({"issuers": [{"issuer": ISSUER, "algorithms": ["none"]}]}, "algorithms"),
        ({"issuers": [{"issuer": ISSUER, "algorithms": ["HS256"]}]}, "algorithms"),
        ({"public_url": ""}, "public_url"),
        ({"resources": []}, "resources"),
        ({"resources": [{"rules": [{"tools": ["admin-*"]}]}]}, "rules"),
        ({"resources": [{"rules": [{"scopes": ["mcp:admin"]}]}]}, "rules"),
        ({"resources": [{"aliases": [""]}]}, "aliases"),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value)[:60],
)
@requirement("GWP-16")
def test_gate_does_not_start_with_settings_that_would_refuse_nobody(values: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        parse({"public_url": PUBLIC, "issuers": [{"issuer": ISSUER}], **values})


@requirement("GWP-16")
async def test_answer_that_cannot_be_filtered_is_not_shown() -> None:
    rules = [{"tools": ["admin-*"], "scopes": ["mcp:admin"]}]
    for answer in (b"{", b'{"result":{"tools":[{"no":"name"}]}}', b'{"result":{"tools":5}}'):
        async with gated(app=Recorder(answer=answer), resource={"rules": rules}) as door:
            shown = await caller(door, MODERN).ask("tools/list")
            assert shown.status_code == 502
            assert shown.json()["error"]["data"]["refusal"]


@requirement("GWP-16")
async def test_request_that_no_gate_has_passed_reaches_no_tool() -> None:
    async with guarded() as door:
        transport = httpx.ASGITransport(door.app)  # around the gate, as a wrong deployment might
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as http:
            for version in ("2025-11-25", MODERN):
                answer = await Caller(http, version, token_of(door)).post(opening(version))
                assert answer.status_code == 503
                assert "result" not in messages(answer)[0]
        refused_token(await Caller(door.client, MODERN, "x").post(opening(MODERN)))
