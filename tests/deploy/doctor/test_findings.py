"""Every finding is made of a server that is wrong in just that, and of no other; a healthy one leads to none."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.doctor.examination import examine
from deploy.doctor.findings import RULES, quoted
from deploy.doctor.visit import Question, Visit
from tests.deploy.doctor.mutants import MUTANTS, Mutant, progress, streams
from tests.deploy.doctor.server import Reply, Request, Server, running, said, stream

ELSEWHERE = {"plain-http", "clock"} | {rule for rule in RULES if rule.startswith("certificate-")}  # test_connection


async def examined(server: Server, **asked: Any) -> Visit:
    return await examine(Question(server.url, **{"patience": 3.0, **asked}))


def ids(visit: Visit) -> set[str]:
    return {finding.id for finding in visit.findings.found}


async def test_healthy_server_leads_to_no_finding() -> None:
    async with running() as server:
        visit = await examined(server)
        assert visit.findings.found == []
        assert [skipped.what for skipped in visit.findings.untested] == [
            "the way with a token",
            "buffering of event streams",
        ]


async def test_healthy_server_leads_to_no_finding_with_a_token_and_a_page() -> None:
    async with running() as server:
        asked = progress(0.3, 0.3)(server) or {}
        visit = await examined(server, origin="https://app.example.com", **asked)
        assert visit.findings.found == []
        assert visit.findings.untested == []
        assert visit.revisions == server.spoken


async def test_opaque_token_that_is_taken_leads_to_no_finding() -> None:
    async with running() as server:
        server.tokens["opaque"] = None
        visit = await examined(server, token="opaque")
        assert visit.findings.found == []
        assert [skipped.what for skipped in visit.findings.untested] == ["what the token says of itself"]


async def test_opaque_token_that_is_refused_is_not_guessed_about() -> None:
    async with running() as server:
        server.tokens["opaque"] = server.invalid()
        assert ids(await examined(server, token="opaque")) == {"token-refused"}


async def test_refusal_of_a_gate_is_named_by_its_id() -> None:
    async with running() as server:
        refusal = {
            "jsonrpc": "2.0",
            "error": {"code": -32010, "message": "No.", "data": {"refusal": "9f2c51d0a4b87e36"}},
        }
        visit = await examined(server, token=server.token(said(refusal, 401)))
        assert "bearergate explain 9f2c51d0a4b87e36 says why" in visit.findings.found[0].change


@pytest.mark.parametrize("knows", [True, False])
async def test_server_of_the_newest_revision_alone_is_watched_through_a_subscription(knows: bool) -> None:
    async with running() as server:
        server.spoken = ("2026-07-28",)
        server.over |= {} if knows else {"POST /mcp": lambda request: without_subscriptions(server, request)}
        visit = await examined(server, token=server.token())
        assert visit.findings.found == []
        assert ("Event streams begin at once, and so do their events" in visit.findings.well) == knows
        assert [each.what for each in visit.findings.untested] == ([] if knows else ["buffering of event streams"])


def without_subscriptions(server: Server, request: Request) -> Reply:
    return said({}, 404) if request.rpc == "subscriptions/listen" else server.endpoint(request)


@pytest.mark.parametrize("talks", [True, False])
async def test_head_of_a_stream_alone_says_nothing_about_its_events(talks: bool) -> None:
    async with running() as server:
        asked = streams(stream((0, {}), (30, {})) if talks else None, spoken=("2025-11-25",))(server) or {}
        visit = await examined(server, **asked)
        assert visit.findings.found == []
        assert any(well.startswith("Event streams begin at once") for well in visit.findings.well)
        assert [each.what for each in visit.findings.untested] == ([] if talks else ["buffering of event streams"])


async def test_tool_that_is_too_quick_says_nothing_about_buffering() -> None:
    async with running() as server:
        asked = progress(0)(server) or {}
        visit = await examined(server, **asked)
        assert visit.findings.found == []
        assert [skipped.what for skipped in visit.findings.untested] == ["progress of slow"]


async def test_token_of_a_facades_issuer_is_not_called_foreign() -> None:
    async with running() as server:
        token = server.token(server.invalid(), iss="https://behind.example")
        assert ids(await examined(server, token=token)) == {"token-refused"}


async def test_token_of_the_right_issuer_elsewhere_is_not_called_foreign() -> None:
    async with running() as server:
        server.metadata = {"authorization_servers": ["http://localhost:1"]}
        token = server.token(server.invalid(), iss="http://localhost:1")
        assert ids(await examined(server, token=token)) == {"token-refused", "issuer-unreachable"}


async def test_server_that_lets_no_page_in_by_itself_is_not_blamed_for_it() -> None:
    async with running() as server:
        server.cors = lambda request: {}  # type: ignore[method-assign]  # noqa: ARG005 - as it is called
        visit = await examined(server)
        assert visit.findings.found == []
        assert visit.findings.untested[0].needs == "--origin with the origin of a page that is to call"


async def test_server_that_limits_how_often_it_is_asked_is_not_judged_by_that() -> None:
    async with running() as server:
        server.bad_token = said({}, 429)
        visit = await examined(server)
        assert visit.findings.found == []
        assert "bad tokens" in {skipped.what for skipped in visit.findings.untested}


async def test_url_is_the_same_however_host_and_scheme_are_spelled() -> None:
    async with running() as server:
        server.origin = server.origin.replace("127.0.0.1", "localhost")
        url = server.url.replace("http://localhost", "HTTP://LOCALHOST")
        visit = await examine(Question(url, token=server.token(), patience=3.0))
        assert visit.findings.found == []
        assert visit.url == server.url


async def test_same_wrong_thing_is_told_once() -> None:
    async with running() as server:
        server.metadata = {"authorization_servers": [server.origin, 5, 5]}
        visit = await examined(server)
        assert [finding.id for finding in visit.findings.found] == ["issuers-wrong"]
        assert "the issuers after the first" in {skipped.what for skipped in visit.findings.untested}


@pytest.mark.parametrize("issuer", ["http://issuer.example", "https://1.2.3", 5])
async def test_issuer_that_must_not_be_asked_is_not_tested(issuer: Any) -> None:
    async with running() as server:
        server.metadata = {"authorization_servers": [issuer]}
        visit = await examined(server)
        assert ids(visit) == {"issuers-wrong"}
        assert any(skipped.what.startswith("the issuer") for skipped in visit.findings.untested)


async def test_issuer_in_another_network_is_not_tested() -> None:
    async def networks(host: str, _: int) -> list[str]:
        return ["169.254.169.254" if host == "issuer.example" else "127.0.0.1"]

    async with running() as server:
        server.metadata = {"authorization_servers": ["https://issuer.example"]}
        visit = await examine(Question(server.url, patience=3.0), resolver=networks)
        assert visit.findings.found == []
        assert visit.findings.untested[0].what == "the issuer 'https://issuer.example'"


async def test_issuer_whose_name_is_not_there_is_unreachable() -> None:
    async def names(host: str, _: int) -> list[str]:
        return [] if host == "issuer.example" else ["127.0.0.1"]

    async with running() as server:
        server.metadata = {"authorization_servers": ["https://issuer.example"]}
        visit = await examine(Question(server.url, patience=3.0), resolver=names)
        assert ids(visit) == {"issuer-unreachable"}
        assert "the name issuer.example cannot be resolved" in visit.findings.found[0].what


def test_value_that_is_nested_too_deeply_is_not_shown() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert quoted(deep) == "a value that is nested too deeply"


@pytest.mark.parametrize("mutant", [pytest.param(mutant, id=name) for name, mutant in MUTANTS.items()])
async def test_wrong_server_is_found_out(mutant: Mutant) -> None:
    async with running() as server:
        asked = mutant.change(server) or {}
        visit = await examined(server, **asked)
        assert ids(visit) == mutant.finds
        texts = [f"{finding.what} {finding.change}" for finding in visit.findings.found]
        assert any(mutant.says in text for text in texts), texts
        assert all(finding.what.endswith(".") and finding.change.endswith(".") for finding in visit.findings.found), (
            texts
        )


def test_every_finding_has_a_server_that_leads_to_it() -> None:
    assert set(RULES) - ELSEWHERE == {found for mutant in MUTANTS.values() for found in mutant.finds}
