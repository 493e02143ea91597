"""JWT-KID and JWT-JWKS: which key verifies a token, where keys come from, and what happens while there are none."""

from __future__ import annotations

import json
from typing import Any

import anyio
import httpx
import pytest

from conformance.issuer import ABSENT, Issuer, Keys, rsa_key
from conformance.requirements import requirement
from discovery.fetch import Fetch
from gateway.app import build
from gateway.sources import SettingsError, parse
from tests.gated import CLIENT, ISSUER, PUBLIC, RESOURCE, SCOPES, Recorder, gated, plain_issuer
from tests.requirements.callers import MODERN, Caller, opening
from tests.requirements.challenges import refused_token
from tests.requirements.network import Network
from tests.requirements.tokens import present

COOLDOWN = 31.0  # seconds, a little more than lies between two fetches of a key set
FRESH = 601.0  # seconds, a little more than a key set is used without asking again
DAY = 86_401.0

ODD_KIDS = [
    "../../etc/passwd",
    "' OR 1=1 --",
    "https://evil.test/jwks",
    "a\r\nb",
    "\0",
    "k" * 100 * 1024,
    "",
    5,
    None,
    {"kid": "x"},
    ["x"],
    True,
]


def token(issuer: Issuer, **changes: Any) -> str:
    return issuer.token("alice", CLIENT, SCOPES, RESOURCE, **changes)


@requirement("JWT-KID-01")
async def test_flood_of_unknown_key_ids_causes_one_fetch() -> None:
    async with gated() as door:
        assert (await present(door, door.token())).status_code == 200
        strangers = [token(door.issuer, header={"kid": f"unknown-{number}"}) for number in range(200)]
        door.issuer.clock.move(COOLDOWN)
        answers: list[httpx.Response] = []

        async def ask(sent: str) -> None:
            answers.append(await present(door, sent))

        async with anyio.create_task_group() as tasks:
            for sent in strangers:
                tasks.start_soon(ask, sent)
        for sent in strangers[:10]:
            await ask(sent)  # one after the other, too
        for answer in answers:
            refused_token(answer)
        assert len(answers) == 210
        assert door.issuer.key_server.hits == 2  # the honest caller's, and one for all strangers together


@pytest.mark.parametrize("kid", ODD_KIDS, ids=lambda kid: json.dumps(kid)[:40])
@requirement("JWT-KID-01")
async def test_odd_key_id_is_only_a_text_that_names_no_key(kid: Any) -> None:
    issuer = plain_issuer()
    network = Network({"issuer.example": issuer.app})
    async with gated(issuer, network=network) as door:
        refused_token(await present(door, token(issuer, header={"kid": kid})))
        assert (await present(door, door.token())).status_code == 200
    assert set(network.asked) <= {"issuer.example"}


@requirement("JWT-KID-02")
async def test_token_without_a_key_id_is_accepted_where_one_key_fits() -> None:
    issuer = plain_issuer()
    issuer.keys.withdraw(issuer.keys.id.kid)
    async with gated(issuer) as door:
        assert (await present(door, token(issuer, header={"kid": ABSENT}))).status_code == 200


@requirement("JWT-KID-02")
async def test_token_without_a_key_id_is_refused_where_two_keys_fit() -> None:
    async with gated() as door:
        for key in (door.issuer.keys.access, door.issuer.keys.id):
            refused_token(await present(door, token(door.issuer, key=key, header={"kid": ABSENT})))


@requirement("JWT-KID-03")
async def test_new_key_verifies_soon_and_a_withdrawn_one_no_longer_than_the_cache_lives() -> None:
    async with gated() as door:
        issuer, old = door.issuer, door.issuer.keys.access
        before = token(issuer)
        assert (await present(door, before)).status_code == 200
        issuer.keys.rotate(rsa_key(), issuer.keys.id)
        issuer.keys.withdraw(old.kid)
        issuer.clock.move(COOLDOWN)
        assert (await present(door, token(issuer))).status_code == 200
        issuer.clock.move(FRESH)
        refused_token(await present(door, before))
        refused_token(await present(door, token(issuer, key=old)))


@requirement("JWT-KID-03")
async def test_key_that_is_only_withdrawn_is_believed_no_longer_than_the_cache_lives() -> None:
    async with gated() as door:
        issuer = door.issuer
        assert (await present(door, token(issuer))).status_code == 200
        issuer.keys.withdraw(issuer.keys.access.kid)
        issuer.clock.move(COOLDOWN)
        assert (await present(door, token(issuer))).status_code == 200
        issuer.clock.move(FRESH - COOLDOWN)
        refused_token(await present(door, token(issuer)))


BROKEN: dict[str, dict[str, Any]] = {
    "redirects": {"redirect_to": "https://evil.test/jwks"},
    "redirects within the issuer": {"redirect_to": f"{ISSUER}/elsewhere"},
    "answers too much": {"body": b'{"keys":[]}'.ljust(50 * 1024 * 1024)},
    "answers HTML": {"body": b"<html>Please log in</html>", "content_type": "text/html"},
    "answers an error": {"status": 500},
    "is compressed": {"headers": {"Content-Encoding": "gzip"}},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
@requirement("JWT-JWKS-01")
async def test_keys_that_do_not_come_straight_from_the_issuer_are_not_taken(broken: dict[str, Any]) -> None:
    issuer, attacker = plain_issuer(), Issuer.plain("https://evil.test", resources=[RESOURCE], keys=Keys())
    vars(issuer.key_server).update(broken)
    network = Network({"issuer.example": issuer.app, "evil.test": attacker.app})
    async with gated(issuer, network=network) as door:
        with anyio.fail_after(2):
            assert (await present(door, token(issuer))).status_code == 503
            assert (await present(door, token(issuer, key=attacker.keys.access))).status_code == 503
        assert not door.app.scopes
    assert "evil.test" not in network.asked


@requirement("JWT-JWKS-01")
async def test_key_server_that_answers_too_slowly_is_not_waited_for() -> None:
    issuer, app = plain_issuer(), Recorder()
    issuer.key_server.hold = anyio.Event()  # which nobody sets
    fetch = Fetch(transport=lambda: httpx.ASGITransport(issuer.app), timeout=0.1)
    settings = parse({"public_url": PUBLIC, "issuers": [{"issuer": ISSUER, "token_type": "at+jwt"}]})
    gate = build(settings, {"/mcp": app}, fetch=fetch)
    async with (
        gate.router.lifespan_context(gate),
        httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=PUBLIC) as http,
    ):
        with anyio.fail_after(2):
            assert (await Caller(http, MODERN, token(issuer)).post(opening(MODERN))).status_code == 503
    assert not app.scopes


@pytest.mark.parametrize("where", ["issuer", "jwks_uri"])
@requirement("JWT-JWKS-01")
def test_keys_are_fetched_over_tls_but_on_loopback(where: str) -> None:
    issuer = {"issuer": "https://issuer.example", "jwks_uri": "https://issuer.example/jwks"}
    parse({"public_url": PUBLIC, "issuers": [issuer]})
    with pytest.raises(SettingsError, match=where):
        parse({"public_url": PUBLIC, "issuers": [{**issuer, where: "http://issuer.example/jwks"}]})
    parse({"public_url": PUBLIC, "issuers": [{"issuer": "http://127.0.0.1:8080"}]})


@requirement("JWT-JWKS-01")
async def test_metadata_that_leads_to_an_unsafe_key_location_is_not_followed() -> None:
    for place in ("http://issuer.example/jwks", "http://127.0.0.1/jwks", "https://10.0.0.1/jwks", "file:///etc/keys"):
        issuer = plain_issuer()
        issuer.metadata_server.body = json.dumps({**issuer.metadata(), "jwks_uri": place}).encode()
        async with gated(issuer) as door:
            assert (await present(door, token(issuer))).status_code == 503
            assert not door.app.scopes
        assert issuer.key_server.hits == 0


@requirement("JWT-JWKS-02")
async def test_known_keys_serve_for_a_day_while_the_issuer_is_down() -> None:
    async with gated() as door:
        issuer = door.issuer
        issuer.clock.set(1_800_000_000)
        assert (await present(door, token(issuer))).status_code == 200
        issuer.key_server.status = 500
        issuer.clock.move(FRESH)
        assert (await present(door, token(issuer))).status_code == 200
        issuer.clock.move(DAY)
        answer = await present(door, token(issuer))
        assert (answer.status_code, "www-authenticate" in answer.headers) == (503, False)
        assert int(answer.headers["retry-after"]) > 0
        issuer.key_server.status = None
        issuer.clock.move(COOLDOWN)
        assert (await present(door, token(issuer))).status_code == 200


@requirement("JWT-JWKS-02")
async def test_without_any_keys_requests_are_refused() -> None:
    issuer = plain_issuer()
    issuer.key_server.status = 500
    async with gated(issuer) as door:
        assert (await present(door, token(issuer))).status_code == 503
        refused_token(await present(door, "not-a-token"))
        assert not door.app.scopes
