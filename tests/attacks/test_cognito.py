"""Cognito's tokens: without `aud` only client and own scope prove for whom they are; with it, it alone decides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conformance.issuer import ABSENT
from tests.attacks.battery import COGNITO_SCOPE, NOW, Forge, Verdict, claims, cognito, header, honest, withstands
from tests.gated import CLIENT, COGNITO, RESOURCE, cognito_issuer, gated

NO_SCOPE = Verdict("insufficient_scope", 403, "insufficient_scope")
OTHER = "https://other.example/mcp"


def client_rows() -> Iterator[Any]:
    value: Any
    for value in ("client-two", "", "CLIENT-ONE", "client-one ", " client-one", "client-one,client-two", "client", "*"):
        yield pytest.param(claims(client_id=value), "client_not_allowed", id=f"client_id {value!r}")
    for value in (ABSENT, None, 5, True, [CLIENT], [CLIENT, "client-two"], {CLIENT: True}, "client-\u043ene"):
        yield pytest.param(claims(client_id=value), "client_not_allowed", id=f"client_id {value!a}")
    for claim in ("azp", "cid", "appid", "clientId", "Client_id"):
        yield pytest.param(
            claims(client_id=ABSENT, **{claim: CLIENT}), "client_not_allowed", id=f"{claim} in place of client_id"
        )


def scope_rows() -> Iterator[Any]:
    foreign = {
        "missing": ABSENT,
        "empty": "",
        "of the issuer alone": "openid email aws.cognito.signin.user.admin",
        "of another server": f"{OTHER}/use",
        "of a server whose name begins alike": f"{RESOURCE}2/use",
        "of a server whose name ends alike": f"https://evil.test/{RESOURCE}/use",
        "of a server below this one": f"{RESOURCE}/other/use",
        "of a server far below this one": f"{RESOURCE}/a/b/c/use",
        "of a server above this one": "https://gw.example/use",
        "that is the server": RESOURCE,
        "that is the server and a slash": f"{RESOURCE}/",
        "without its server": "use",
        "in upper case": COGNITO_SCOPE.upper(),
        "after a tab": f"openid\t{COGNITO_SCOPE}",
        "after a newline": f"openid\n{COGNITO_SCOPE}",
        "after a comma": f"openid,{COGNITO_SCOPE}",
        "in quotes": f'"{COGNITO_SCOPE}"',
        "with a star": "*",
        "with another slash": COGNITO_SCOPE.replace("/use", "\u2215use"),
        "with a backslash": COGNITO_SCOPE.replace("/use", "\\use"),
        "with an escape": COGNITO_SCOPE.replace("/use", "%2Fuse"),
    }
    for name, value in foreign.items():
        yield pytest.param(claims(scope=value), "client_not_allowed", id=f"scope {name}")
    for value in (None, 5, True, [COGNITO_SCOPE], {COGNITO_SCOPE: True}):
        yield pytest.param(claims(scope=value), "client_not_allowed", id=f"scope {value!r}")
    yield pytest.param(claims(scope=ABSENT, scp=[COGNITO_SCOPE]), "client_not_allowed", id="scp in place of scope")
    yield pytest.param(claims(scope=f"{RESOURCE}/admin"), NO_SCOPE, id="scope of ours, but not the one needed")


def audience_rows() -> Iterator[Any]:
    value: Any
    for value in (OTHER, "", f"{RESOURCE}/", f"{RESOURCE}2", "https://gw.example", CLIENT, [OTHER], [], ["", OTHER]):
        yield pytest.param(claims(aud=value), "wrong_audience", id=f"aud {value!r} beside the right client and scope")
    for value in (None, 5, False, {}, [RESOURCE, 5]):
        yield pytest.param(claims(aud=value), "malformed_token", id=f"aud {value!r} beside the right client and scope")
    yield pytest.param(claims(aud=RESOURCE, scope="openid"), NO_SCOPE, id="the right aud without a scope")


def use_rows() -> Iterator[Any]:
    for value in (ABSENT, None, "", "id", "refresh", "ACCESS", "Access", "access ", ["access"], {"access": 1}, True, 1):
        yield pytest.param(claims(token_use=value), "wrong_token_kind", id=f"token_use {value!r}")
    yield pytest.param(claims(token_use="access\0"), "wrong_token_kind", id="token_use with a NUL")
    yield pytest.param(
        lambda issuer: issuer.id_token("alice", CLIENT, claims={"scope": COGNITO_SCOPE, "client_id": CLIENT}),
        "wrong_token_kind",
        id="ID token with the scope and client of an access token",
    )
    yield pytest.param(lambda issuer: issuer.id_token("alice", CLIENT), "wrong_token_kind", id="ID token")
    yield pytest.param(
        lambda issuer: issuer.id_token("alice", CLIENT, claims={"aud": RESOURCE, "scope": COGNITO_SCOPE}),
        "wrong_token_kind",
        id="ID token for the resource",
    )
    yield pytest.param(
        lambda issuer: issuer.refresh_token("alice", CLIENT, [COGNITO_SCOPE]), "malformed_token", id="refresh token"
    )


def other_rows() -> Iterator[Any]:
    elsewhere = {
        "of another pool": COGNITO.replace("Example1", "Example2"),
        "of another region": COGNITO.replace("us-east-1", "us-east-2"),
        "without its pool": "https://issuer.example",
        "with a slash": f"{COGNITO}/",
        "with its pool in lower case": COGNITO.lower(),
        "of another host": COGNITO.replace("issuer", "evil"),
    }
    for name, value in elsewhere.items():
        yield pytest.param(claims(iss=value), "unknown_issuer", id=f"iss {name}")
    yield pytest.param(claims(exp=NOW - 3600), "expired_token", id="expired")
    yield pytest.param(claims(iat=NOW + 3600), "not_yet_valid", id="issued in the future")
    yield pytest.param(claims(cnf={"jkt": "x"}), "bound_token", id="bound to a key")
    yield pytest.param(header(typ="dpop+jwt"), "wrong_token_kind", id="a DPoP proof")
    yield pytest.param(
        lambda issuer: honest(issuer, header={"alg": "none"}, signature=b"x"), "unsupported_algorithm", id="alg none"
    )
    yield pytest.param(
        lambda issuer: issuer.token(None, "machine", [COGNITO_SCOPE]),
        "client_not_allowed",
        id="a machine that is not on the list",
    )
    yield pytest.param(
        lambda issuer: issuer.token(None, CLIENT, [f"{OTHER}/use"]),
        "client_not_allowed",
        id="a machine with another server's scope",
    )


ATTACKS = [*client_rows(), *scope_rows(), *audience_rows(), *use_rows(), *other_rows()]


@pytest.mark.parametrize(("forge", "expected"), ATTACKS)
async def test_cognito_token_for_somebody_else_is_refused(
    forge: Forge, expected: str | Verdict, caplog: pytest.LogCaptureFixture
) -> None:
    async with cognito() as door:
        await withstands(door, forge, expected, lambda: caplog.text)


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(claims(aud=RESOURCE), id="the resource as aud"),
        pytest.param(claims(aud=[OTHER, RESOURCE]), id="the resource in a list of aud"),
        pytest.param(claims(aud=RESOURCE, client_id="client-two"), id="aud right, whatever the client"),
        pytest.param(claims(scope=f"openid {OTHER}/use {COGNITO_SCOPE}"), id="our scope among others"),
        pytest.param(lambda issuer: issuer.token(None, CLIENT, [COGNITO_SCOPE]), id="a machine on the list"),
    ],
)
async def test_cognito_token_for_this_resource_is_accepted(forge: Forge) -> None:
    async with cognito() as door:
        assert (await door.post(str(forge(door.issuer)))).status_code == 200


async def test_token_without_aud_is_refused_where_every_client_must_ask_with_resource() -> None:
    strict = {"client_ids": [], "resource_binding": True}
    async with gated(cognito_issuer(), issuer_settings=strict, resource={"scopes": [COGNITO_SCOPE]}) as door:
        assert (await door.post(honest(door.issuer))).status_code == 401
        assert door.reason == "wrong_audience"
        assert (await door.post(honest(door.issuer, claims={"aud": RESOURCE}))).status_code == 200
