"""Faults around the gate: keys that come late, wrong or not at all, and floods that must leave nothing behind."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest
from starlette.types import Receive, Scope, Send

from conformance.issuer import Issuer
from conformance.issuer.signing import segment
from gateway.keys import COOLDOWN, FRESH, STALE
from gateway.verifier import MEMO
from tests.attacks.battery import (
    NOW,
    Forge,
    Verdict,
    ask,
    bearer,
    honest,
    present,
    refused_as,
    spare,
    standing,
    stranger,
    withstands,
)
from tests.gated import Gated, gated, plain_issuer, tools_call

UNAVAILABLE = Verdict("keys_unavailable", 503, None, challenged=False)


def stopped() -> Issuer:
    """An issuer whose clock stands."""
    issuer = plain_issuer()
    issuer.clock.set(NOW)
    return issuer


def unavailable(door: Gated, response: httpx.Response) -> None:
    """503 and when to come back, no challenge: the token may be fine (RFC 9110 §15.6.4)."""
    refused_as(response, UNAVAILABLE)
    assert 1 <= int(response.headers["retry-after"]) <= COOLDOWN + 1
    assert door.reason == "keys_unavailable"


async def at_once(door: Gated, *tokens: str) -> list[int]:
    """The statuses of requests that are all under way together."""
    return [answer.status_code for answer in await asyncio.gather(*(present(door, token) for token in tokens))]


async def turn(times: int = 50) -> None:
    """Let everything else run as far as it can."""
    for _ in range(times):
        await asyncio.sleep(0)


FAULTS: dict[str, dict[str, Any]] = {
    **{
        f"status {status}": {"status": status}
        for status in (201, 204, 206, 304, 400, 401, 403, 404, 429, 500, 502, 503)
    },
    **{
        f"redirect {status}": {"redirect_to": "https://evil.test/jwks", "status": status}
        for status in (301, 302, 307, 308)
    },
    "redirect to the same place": {"redirect_to": "https://issuer.example/jwks"},
    "nothing": {"body": b""},
    "HTML": {"body": b"<html><body>Down for maintenance</body></html>", "content_type": "text/html"},
    "half a document": {"body": b'{"keys":[{"kty":"RSA"'},
    "a list": {"body": b"[]"},
    "a text": {"body": b'"keys"'},
    "null": {"body": b"null"},
    "no keys": {"body": b"{}"},
    "an empty set": {"body": b'{"keys":[]}'},
    "keys as an object": {"body": b'{"keys":{}}'},
    "keys as numbers": {"body": b'{"keys":[1,2,3]}'},
    "keys of another kind": {"body": b'{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}'},
    "keys that are none": {"body": b'{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a"}]}'},
    "keys with numbers that are none": {"body": b'{"keys":[{"kty":"RSA","n":"!","e":"?","kid":"a"}]}'},
    "keys without numbers": {"body": b'{"keys":[{"kty":"RSA","kid":"a"}]}'},
    "one of 1 MB": {"body": b'{"keys":[],"x":"' + b"y" * 1_000_000 + b'"}'},
    "depth": {"body": b'{"keys":' + b"[" * 100_000},
    "bytes": {"body": bytes(range(256)) * 10},
    "UTF-16": {"body": '{"keys":[]}'.encode("utf-16")},
    "compressed": {"headers": {"content-encoding": "gzip"}},
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_key_server_at_fault_from_the_start_is_503_until_one_cooldown_after_it_is_back(fault: str) -> None:
    issuer = stopped()
    vars(issuer.key_server).update(FAULTS[fault])
    async with gated(issuer) as door:
        unavailable(door, await present(door, honest(issuer)))
        unavailable(door, await present(door, honest(issuer, header={"kid": "unknown"})))
        assert issuer.key_server.hits == 1
        assert (await door.client.get("/healthz")).status_code == 200
        assert (await door.client.get("/readyz")).status_code == 503
        issuer.key_server.reset()
        unavailable(door, await present(door, honest(issuer)))
        issuer.clock.move(COOLDOWN)
        assert (await present(door, honest(issuer))).status_code == 200
        assert (await door.client.get("/readyz")).status_code == 200
        assert issuer.key_server.hits == 1
        assert len(door.app.scopes) == 1


@pytest.mark.parametrize("fault", FAULTS)
async def test_key_server_at_fault_later_refuses_nobody_whose_key_is_known(fault: str) -> None:
    async with standing(stopped()) as door:
        vars(door.issuer.key_server).update(FAULTS[fault], hits=0)
        for age in (FRESH * 0.9, FRESH + 1, 3600, STALE / 2, STALE - 1):
            door.issuer.clock.set(NOW + age)
            assert (await present(door, honest(door.issuer))).status_code == 200
            unavailable(door, await present(door, honest(door.issuer, header={"kid": "unknown"})))
        assert door.issuer.key_server.hits == 5
        door.issuer.clock.set(NOW + STALE)
        unavailable(door, await present(door, honest(door.issuer)))
        door.issuer.key_server.reset()
        door.issuer.clock.move(COOLDOWN)
        assert (await present(door, honest(door.issuer))).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b'{"issuer":"https://evil.test","jwks_uri":"https://issuer.example/jwks"}', id="another issuer"),
        pytest.param(
            b'{"issuer":"https://issuer.example/","jwks_uri":"https://issuer.example/jwks"}', id="a slash more"
        ),
        pytest.param(b'{"issuer":"https://issuer.example"}', id="no jwks_uri"),
        pytest.param(b'{"issuer":"https://issuer.example","jwks_uri":5}', id="a number"),
        pytest.param(b'{"issuer":"https://issuer.example","jwks_uri":"http://issuer.example/jwks"}', id="plain http"),
        pytest.param(b'{"issuer":"https://issuer.example","jwks_uri":"http://127.0.0.1/jwks"}', id="loopback"),
        pytest.param(
            b'{"issuer":"https://issuer.example","jwks_uri":"https://169.254.169.254/"}', id="the cloud's own"
        ),
        pytest.param(
            b'{"issuer":"https://issuer.example","jwks_uri":"https://[::ffff:10.0.0.1]/"}', id="a private one"
        ),
        pytest.param(b'{"issuer":"https://issuer.example","jwks_uri":"file:///etc/passwd"}', id="a file"),
    ],
)
async def test_metadata_at_fault_is_503_and_leads_nowhere(body: bytes) -> None:
    issuer = stopped()
    issuer.metadata_server.body = body
    async with gated(issuer) as door:
        unavailable(door, await present(door, honest(issuer)))
        assert issuer.key_server.hits == 0
        issuer.metadata_server.reset()
        issuer.clock.move(COOLDOWN)
        assert (await present(door, honest(issuer))).status_code == 200


async def test_network_that_breaks_is_503_and_never_500() -> None:
    async def broken(_: Scope, __: Receive, ___: Send) -> None:
        raise httpx.ReadError("the connection broke off")

    issuer = stopped()
    async with gated(issuer, network=broken) as door:
        unavailable(door, await present(door, honest(issuer)))


async def test_everybody_waits_for_one_fetch_and_all_are_served() -> None:
    issuer = stopped()
    issuer.key_server.hold = anyio.Event()
    async with gated(issuer) as door:
        waiting = asyncio.gather(*(at_once(door, honest(issuer)) for _ in range(100)))
        await turn()
        assert issuer.key_server.hits == 1
        assert not waiting.done()
        issuer.key_server.hold.set()
        assert await waiting == [[200]] * 100
        assert issuer.key_server.hits == 1


async def test_caller_that_goes_away_takes_the_fetch_from_nobody() -> None:
    issuer = stopped()
    issuer.key_server.hold = anyio.Event()
    async with gated(issuer) as door:
        first = asyncio.ensure_future(present(door, honest(issuer)))
        await turn()
        others = asyncio.ensure_future(at_once(door, honest(issuer), honest(issuer)))
        await turn()
        first.cancel()
        await turn()
        issuer.key_server.hold.set()
        assert await others == [200, 200]
        assert issuer.key_server.hits == 1
        assert first.cancelled()


async def test_slow_key_server_delays_nobody_whose_key_is_known_and_not_yet_old() -> None:
    async with standing(stopped()) as door:
        door.issuer.key_server.hold = anyio.Event()
        door.issuer.clock.move(FRESH * 0.8)
        assert await at_once(door, *(honest(door.issuer) for _ in range(20))) == [200] * 20
        await turn()
        assert door.issuer.key_server.hits == 2
        unknown = asyncio.ensure_future(at_once(door, honest(door.issuer, key=stranger())))
        await turn()
        assert not unknown.done()
        assert await at_once(door, honest(door.issuer)) == [200]
        door.issuer.key_server.hold.set()
        assert await unknown == [401]
        assert door.issuer.key_server.hits == 2


async def test_rotation_under_load_refuses_nobody() -> None:
    async with standing(stopped()) as door:
        old = [honest(door.issuer) for _ in range(50)]
        door.issuer.keys.rotate(spare(), door.issuer.keys.id)
        new = [honest(door.issuer) for _ in range(50)]
        door.issuer.clock.move(COOLDOWN)
        assert await at_once(door, *(token for pair in zip(old, new, strict=True) for token in pair)) == [200] * 100
        assert door.issuer.key_server.hits == 2


async def test_withdrawn_key_verifies_nothing_once_the_key_set_is_old() -> None:
    async with standing(stopped()) as door:
        remembered, unseen = honest(door.issuer), honest(door.issuer)
        assert await at_once(door, remembered) == [200]
        withdrawn = door.issuer.keys.access.kid
        door.issuer.keys.rotate(spare(), door.issuer.keys.id)
        door.issuer.keys.withdraw(withdrawn)
        door.issuer.clock.move(FRESH)
        assert await at_once(door, honest(door.issuer), remembered, unseen) == [200, 401, 401]
        assert door.reason == "unknown_key"


async def test_stop_during_a_fetch_is_no_fault() -> None:
    issuer = stopped()
    issuer.key_server.hold = anyio.Event()
    async with gated(issuer) as door:
        waiting = asyncio.ensure_future(at_once(door, honest(issuer)))
        await turn()
        assert issuer.key_server.hits == 1
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_token_expires_though_it_is_remembered() -> None:
    async with standing(stopped()) as door:
        token = honest(door.issuer, claims={"exp": NOW + 60})
        for elapsed, status in ((0, 200), (59, 200), (61, 200), (89, 200), (90, 401), (1000, 401)):
            door.issuer.clock.set(NOW + elapsed)  # 30 s of leeway
            assert (await present(door, token)).status_code == status
        assert door.reason == "expired_token"


async def test_signature_altered_right_after_a_success_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with standing(stopped()) as door:
        token = honest(door.issuer)
        for _ in range(2):
            assert (await present(door, token)).status_code == 200
            message, _, signature = token.rpartition(".")
            altered = f"{message}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
            await withstands(door, given(altered), "bad_signature", lambda: caplog.text)


def given(token: str) -> Forge:
    """This token, whatever the issuer."""
    return lambda _: token


def forged(issuer: Issuer, count: int) -> Iterator[str]:
    """Tokens that nobody signed, no two alike in anything."""
    for i in range(count):
        header = {"alg": "RS256", "typ": "at+jwt", "kid": issuer.keys.access.kid if i % 2 else f"unknown-{i}"}
        body = issuer.claims("alice", f"client-{i}", [f"scope-{i}"], jti=f"{i}")
        yield ".".join(segment(json.dumps(part).encode()) for part in (header, body)) + f".{secrets.token_urlsafe(256)}"


async def test_5000_forged_tokens_leave_nothing_behind() -> None:
    async with standing(stopped()) as door:
        gate = door.gate.state.gates["/mcp"]
        verifier = gate.verifier
        before = [len(verifier.verified), len(verifier._headers), len(verifier._sets), len(gate.policy._implied)]
        honest_token = honest(door.issuer)
        for i, token in enumerate(forged(door.issuer, 5000)):
            assert (await ask(door, fields=[bearer(token)])).status == 401
            if i % 1000 == 0:
                assert (await ask(door, fields=[bearer(honest_token)])).status == 200
        after = [len(verifier.verified), len(verifier._headers), len(verifier._sets), len(gate.policy._implied)]
        assert after == [before[0] + 1, *before[1:]]
        assert len(gate.answers._challenges) <= 3
        assert door.issuer.key_server.hits == 1


async def test_many_valid_tokens_stay_within_the_bounds_of_what_is_remembered() -> None:
    async with standing(
        stopped(), token_cache_size=50, resource={"rules": [{"tools": ["x*"], "scopes": ["mcp:x"]}]}
    ) as door:
        gate = door.gate.state.gates["/mcp"]
        for i in range(200):
            token = honest(door.issuer, claims={"scope": f"mcp:use s-{i}", "client_id": f"c-{i}"}, header={"x": i})
            assert (await present(door, token)).status_code == 200
        assert len(gate.verifier.verified) <= 50
        assert len(gate.verifier._headers) <= MEMO
        field = bearer(honest(door.issuer))
        for i in range(4200):
            assert (await ask(door, fields=[field], body=json.dumps(tools_call(f"tool-{i}")).encode())).status == 200
        assert len(gate.policy._needs) <= 4096


async def test_names_of_megabytes_are_judged_and_not_kept() -> None:
    rules = [{"tools": ["*a*b*c*d*"], "scopes": ["mcp:admin"]}]
    async with standing(stopped(), resource={"rules": rules}) as door:
        field = bearer(honest(door.issuer))
        for i in range(10):
            body = json.dumps(tools_call(f"{i}" + "abc" * 300_000)).encode()
            assert (await ask(door, fields=[field], body=body)).status == 200
            body = json.dumps(tools_call(f"{i}" + "abcd" * 250_000)).encode()
            assert (await ask(door, fields=[field], body=body)).status == 403
        policy = door.gate.state.gates["/mcp"].policy
        assert sum(len(target.name) for target in policy._needs) < 10_000
        assert max(len(json.dumps(line)) for line in door.log) < 2_000
