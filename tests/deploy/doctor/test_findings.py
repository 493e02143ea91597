"""Every finding is made of a server that is wrong in just that, and of no other; a healthy one leads to none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from deploy.doctor.asking import Resolver
from deploy.doctor.clients import verdicts
from deploy.doctor.examination import examine
from deploy.doctor.findings import RULES, quoted
from deploy.doctor.visit import Question, Visit
from tests.deploy.doctor.mutants import MUTANTS, Mutant, progress, streams
from tests.deploy.doctor.server import ISSUER, Reply, Request, Server, running, said, stream

ELSEWHERE = {"plain-http", "clock"} | {rule for rule in RULES if rule.startswith("certificate-")}  # test_connection
NO_NAME = {"issuer-endpoint-unreachable", "issuer-registration-unreachable"}  # below, by a resolver of its own


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


@pytest.mark.parametrize("pause", [pytest.param(0, id="too quick"), pytest.param(0.7, id="silent until its end")])
async def test_tool_that_tells_no_progress_while_it_works_says_nothing_about_buffering(pause: float) -> None:
    async with running() as server:
        asked = progress(pause)(server) or {}
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


async def test_more_issuers_than_are_looked_at_are_told() -> None:
    async with running() as server:
        server.metadata = {"authorization_servers": [server.origin, *range(5000)]}
        visit = await examined(server)
        assert len(visit.findings.found) == 4
        assert "the issuers after the first 5" in {skipped.what for skipped in visit.findings.untested}


async def test_fault_of_a_further_issuer_stops_no_client_that_takes_the_first() -> None:
    async with running() as server:
        server.metadata = {"authorization_servers": [server.origin, "http://localhost:1"]}
        visit = await examined(server)
        assert [(each.id, each.issuer) for each in visit.findings.found] == [
            ("issuer-unreachable", "'http://localhost:1'")
        ]
        assert {each.verdict for each in verdicts(visit)[1:]} == {"ready"}


async def test_server_that_limits_requests_with_a_token_is_not_judged_by_that() -> None:
    async with running() as server:
        visit = await examined(server, token=server.token(said({}, 429)))
        assert visit.findings.found == []
        assert "the token" in {skipped.what for skipped in visit.findings.untested}


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


INSIDE = "https://keycloak:8443/x"  # as an issuer in a container names itself to those outside


async def without_name(host: str, _: int) -> list[str]:
    return [] if host == "keycloak" else ["127.0.0.1"]


async def forever(host: str, _: int) -> list[str]:
    if host == "keycloak":
        await asyncio.Event().wait()
    return ["127.0.0.1"]


@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint"])
async def test_endpoint_whose_name_is_not_there_stops_every_client(endpoint: str) -> None:
    async with running() as server:
        server.issuer = {endpoint: INSIDE}
        visit = await examine(Question(server.url, patience=3.0), resolver=without_name)
        assert ids(visit) == {"issuer-endpoint-unreachable"}
        assert f"{endpoint} is '{INSIDE}': the name keycloak cannot be resolved." in visit.findings.found[0].what
        assert {each.verdict for each in verdicts(visit)} == {"stops"}


@pytest.mark.parametrize("documents", [True, False])
async def test_registration_at_a_name_that_is_not_there_needs_a_persons_help(documents: bool) -> None:
    async with running() as server:
        server.issuer = {"registration_endpoint": INSIDE, "client_id_metadata_document_supported": documents}
        visit = await examine(Question(server.url, patience=3.0), resolver=without_name)
        assert ids(visit) == (set() if documents else {"issuer-registration-unreachable"})
        assert {each.verdict for each in verdicts(visit)[1:]} == {"ready" if documents else "with help"}


@pytest.mark.parametrize(
    ("endpoint", "resolver", "why"),
    [
        pytest.param(
            "https://169.254.1.1/token",
            without_name,
            "169.254.1.1 is at 169.254.1.1, a special-purpose address",
            id="another network",
        ),
        pytest.param(INSIDE, forever, "too slow", id="a name that takes for ever"),
    ],
)
async def test_endpoint_that_cannot_be_looked_at_is_not_tested(endpoint: str, resolver: Resolver, why: str) -> None:
    async with running() as server:
        server.issuer = {"token_endpoint": endpoint}
        visit = await examine(Question(server.url, patience=1.0), resolver=resolver)
        assert visit.findings.found == []
        assert visit.findings.untested[0].what == f"token_endpoint of the issuer, '{endpoint}'"
        assert visit.findings.untested[0].needs.endswith(f"({why})")
        assert {each.verdict for each in verdicts(visit)[1:]} == {"not known"}


async def test_endpoint_of_a_further_issuer_stops_no_client_that_takes_the_first() -> None:
    async with running() as server:
        server.metadata = {"authorization_servers": [server.origin, server.origin + "/second"]}
        other = server.issuer_document() | {
            "issuer": server.origin + "/second",
            "token_endpoint": "https://169.254.1.1",
        }
        server.over[ISSUER + "/second"] = lambda _: said(other, access_control_allow_origin="*")
        visit = await examined(server)
        assert visit.findings.found == []
        assert visit.findings.untested[0].what.startswith("token_endpoint of the issuer")
        assert {each.verdict for each in verdicts(visit)[1:]} == {"ready"}


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
    assert set(RULES) - ELSEWHERE - NO_NAME == {found for mutant in MUTANTS.values() for found in mutant.finds}
