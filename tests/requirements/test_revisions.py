"""TRN-VER, META, RPC, DISC and STATE: several revisions at one endpoint, each by its own rules."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from conformance.requirements import requirement
from tests.requirements.callers import (
    EACH_HANDSHAKE,
    EACH_VERSION,
    HANDSHAKE,
    META,
    MODERN,
    Caller,
    caller,
    error,
    guarded,
    message,
    meta,
    names,
    on_socket,
    opening,
    result,
    text_of,
    token_of,
    usual_headers,
)
from tests.requirements.challenges import told_to_log_in
from tests.requirements.workshop import Workshop

PING = {"jsonrpc": "2.0", "method": "notifications/initialized"}


@pytest.mark.parametrize("named", ["1999-01-01", "abc", "", "2025-06-18, 2025-11-25", "2025-11-26"])
@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
@requirement("TRN-VER-01")
async def test_version_that_no_revision_has_is_a_400(version: str, named: str) -> None:
    async with guarded() as door:
        client = await caller(door, version).open()
        header = {"MCP-Protocol-Version": named}
        assert (await client.ask("tools/list", headers=header)).status_code == 400
        assert (await client.post(PING, header)).status_code == 400
        assert (await client.send("GET", header)).status_code == 400
        assert (await client.send("DELETE", header)).status_code == 400
        told_to_log_in(await client.with_token(None).ask("tools/list", headers=header))
        assert (await client.ask("tools/list")).status_code == 200


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
@requirement("TRN-VER-01")
async def test_two_version_headers_are_a_400(version: str) -> None:
    async with guarded() as door:
        client = await caller(door, version).open()
        sent = message(version, "tools/list")
        for second in (version, "2025-03-26"):
            fields = [*client.fields(usual_headers(version, sent), {}).items(), ("mcp-protocol-version", second)]
            assert (await door.client.post("/mcp", json=sent, headers=fields)).status_code == 400


@EACH_HANDSHAKE
@requirement("TRN-VER-02")
async def test_session_goes_on_without_the_header_by_what_was_negotiated(version: str) -> None:
    async with guarded() as door:
        client = await caller(door, version).open()
        without = {"MCP-Protocol-Version": None}
        assert (await client.ask("tools/list", headers=without)).status_code == 200
        assert (await client.post(PING, without)).status_code == 202


@requirement("TRN-VER-02")
async def test_request_without_a_header_or_a_session_is_one_of_2025_03_26() -> None:
    async with guarded(sessions=False) as door:
        client = caller(door, "2025-03-26")
        assert (await client.call("greet")).status_code == 200
        assert names(await client.post([message("2025-03-26", "tools/list")]))  # which has batches


@pytest.mark.parametrize(
    ("header", "inside"),
    [(MODERN, "2025-11-25"), ("2025-11-25", MODERN), (None, MODERN), ("2025-03-26", MODERN), (MODERN, "1900-01-01")],
)
@requirement("TRN-VER-03")
async def test_version_inside_and_in_the_header_are_the_same(header: str | None, inside: str) -> None:
    async with guarded() as door:
        sent = message(MODERN, "tools/list", {"_meta": meta(inside)}, 42)
        answer = await caller(door, MODERN).post(sent, {"MCP-Protocol-Version": header})
        assert (answer.status_code, error(answer)["code"], answer.json()["id"]) == (400, -32020, 42)


@pytest.mark.parametrize("named", ["1900-01-01", "2027-01-01", "abc"])
@requirement("TRN-VER-04")
async def test_version_that_is_not_served_gets_those_that_are(named: str) -> None:
    async with guarded() as door:
        sent = message(MODERN, "tools/list", {"_meta": meta(named)})
        answer = await caller(door, MODERN).post(sent, {"MCP-Protocol-Version": named})
        assert (answer.status_code, error(answer)["code"]) == (400, -32022)
        data = error(answer)["data"]
        assert data["requested"] == named
        assert MODERN in data["supported"]
        assert all(isinstance(version, str) for version in data["supported"])


@EACH_HANDSHAKE
@requirement("TRN-VER-05")
async def test_initialize_is_answered_with_the_version_asked_for(version: str) -> None:
    async with guarded() as door:
        assert result(await caller(door, version).post(opening(version)))["protocolVersion"] == version


@pytest.mark.parametrize("asked", ["1999-01-01", "2099-01-01", "abc"])
@requirement("TRN-VER-05")
async def test_initialize_with_an_unknown_version_is_answered_with_one_that_is_served(asked: str) -> None:
    async with guarded() as door:
        sent = message("2025-11-25", "initialize", {"protocolVersion": asked})
        assert result(await caller(door, "2025-11-25").post(sent))["protocolVersion"] in HANDSHAKE


@requirement("TRN-VER-05")
async def test_session_follows_the_rules_of_its_revision() -> None:
    async with guarded() as door:
        for version in HANDSHAKE:
            client = await caller(door, version).open()
            primed = "data: \r\n" in (await client.call("whoami")).text  # which began with 2025-11-25
            assert primed == (version == "2025-11-25")
            batch = await client.post([message(version, "tools/list")], {"MCP-Protocol-Version": version})
            assert batch.status_code == (200 if version == "2025-03-26" else 400)


@requirement("TRN-VER-06")
async def test_both_eras_are_served_on_one_url_and_one_connection() -> None:
    async with guarded() as door, on_socket(door.gate) as http:
        old = [await Caller(http, version, token_of(door)).open() for version in HANDSHAKE]
        new = Caller(http, MODERN, token_of(door))
        ports = set()
        for client in (old[0], new, old[1], new, old[2], new, old[0]):
            answer = await client.call("whoami")
            assert text_of(answer)
            ports.add(port(answer))
        assert len(ports) == 1


@requirement("TRN-META-01")
@pytest.mark.parametrize("missing", [f"{META}/protocolVersion", f"{META}/clientCapabilities", None])
async def test_request_without_its_envelope_is_a_400(missing: str | None) -> None:
    async with guarded() as door:
        envelope = {name: value for name, value in meta().items() if name != missing}
        sent = message(MODERN, "tools/list")
        sent["params"] = {"_meta": envelope} if missing else {}
        answer = await caller(door, MODERN).post(sent)
        assert (answer.status_code, error(answer)["code"]) == (400, -32602)
        del sent["params"]
        assert error(await caller(door, MODERN).post(sent))["code"] == -32602


@requirement("TRN-META-01")
async def test_client_info_is_optional_and_decides_nothing() -> None:
    async with guarded() as door:
        low = Caller(door.client, MODERN, token_of(door, scopes=["mcp:use"]))
        anonymous = {name: value for name, value in meta().items() if name != f"{META}/clientInfo"}
        privileged = {**meta(), f"{META}/clientInfo": {"name": "admin-console", "version": "99"}}
        for envelope in (anonymous, privileged):
            assert (await low.ask("tools/list", {"_meta": envelope})).status_code == 200
            refused = await low.ask("tools/call", {"_meta": envelope, "name": "admin-reset", "arguments": {}})
            assert refused.status_code == 403


@requirement("TRN-META-01")
async def test_capability_counts_only_in_the_request_that_declares_it() -> None:
    workshop = Workshop()
    async with guarded(workshop) as door, on_socket(door.gate) as http:
        client = Caller(http, MODERN, token_of(door))
        call = {"name": "ask", "arguments": {}}
        declared = await client.ask("tools/call", {**call, "_meta": meta(MODERN, elicitation={"form": {}})})
        assert result(declared)["resultType"] == "input_required"
        silent = await client.ask("tools/call", call)
        assert (silent.status_code, error(silent)["code"]) == (400, -32021)
        assert "elicitation" in error(silent)["data"]["requiredCapabilities"]
    assert not workshop.done


@requirement("TRN-RPC-01")
async def test_method_that_nobody_implements_is_a_404_with_the_id() -> None:
    async with guarded() as door:
        answer = await caller(door, MODERN).post(message(MODERN, "no/such", number=42))
        assert (answer.status_code, error(answer)["code"], answer.json()["id"]) == (404, -32601, 42)
        told_to_log_in(await Caller(door.client, MODERN, None).ask("no/such"))


@EACH_HANDSHAKE
@requirement("TRN-RPC-01")
async def test_method_that_nobody_implements_is_a_200_in_older_revisions(version: str) -> None:
    async with guarded() as door:
        answer = await (await caller(door, version).open()).ask("no/such")
        assert (answer.status_code, error(answer)["code"]) == (200, -32601)


@requirement("TRN-DISC-01")
async def test_discovery_tells_versions_that_work_and_capabilities() -> None:
    async with guarded() as door:
        client = caller(door, MODERN)
        told = result(await client.ask("server/discover"))
        assert MODERN in told["supportedVersions"]
        assert {"tools", "prompts", "resources"} <= told["capabilities"].keys()
        assert told["resultType"] == "complete"
        assert told["ttlMs"] >= 0
        for version in told["supportedVersions"]:
            sent = message(MODERN, "tools/list", {"_meta": meta(version)})
            assert result(await client.post(sent, {"MCP-Protocol-Version": version}))["tools"]
        for extension in told["capabilities"].get("extensions", {}):
            pytest.fail(f"{extension} is promised")


RESULTS: list[tuple[str, dict[str, Any], bool]] = [
    ("server/discover", {}, True),
    ("tools/list", {}, True),
    ("prompts/list", {}, True),
    ("resources/list", {}, True),
    ("resources/templates/list", {}, True),
    ("resources/read", {"uri": "greeting://resource"}, True),
    ("tools/call", {"name": "whoami"}, False),
    ("prompts/get", {"name": "greeting-template"}, False),
]


@pytest.mark.parametrize(("method", "params", "cacheable"), RESULTS, ids=[row[0] for row in RESULTS])
@requirement("TRN-DISC-01")
async def test_results_have_a_type_and_say_how_long_and_by_whom_they_may_be_kept(
    method: str, params: dict[str, Any], cacheable: bool
) -> None:
    async with guarded() as door:
        found = result(await caller(door, MODERN).ask(method, params))
        assert found["resultType"] == "complete"
        if cacheable:
            assert found["ttlMs"] >= 0
            assert found["cacheScope"] == "private"  # what is shown differs by principal


@EACH_VERSION
@requirement("TRN-STATE-01")
async def test_connection_remembers_nobody(version: str) -> None:
    async with guarded() as door, on_socket(door.gate) as http:
        alice = await Caller(http, version, token_of(door)).open()
        bob = await Caller(http, version, token_of(door, "bob")).open()
        answers = [await client.call("whoami") for client in (alice, alice.with_token(None), bob, bob.with_token(None))]
        assert [answer.status_code for answer in answers] == [200, 401, 200, 401]
        assert text_of(answers[0]) != text_of(answers[2])
        assert len({port(answer) for answer in answers}) == 1


def port(answer: httpx.Response) -> Any:
    """The client's end of the connection that an answer came over."""
    return answer.extensions["network_stream"].get_extra_info("client_addr")
