"""The token and revocation endpoints: who may redeem what, and the exact answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.facade.errors import REMEDIES
from gateway.facade.sealed import (
    APPROVALS,
    CLIENT,
    CODE,
    CONSENT,
    REFRESH,
    STATE,
    Code,
    Refresh,
    Registration,
    s256,
)
from tests.gated import PUBLIC, RESOURCE
from tests.gateway.facade.rig import OTHER, OTHER_RESOURCE, USE, VERIFIER, WEB, App, a_seal, new_key, rig

TWO = [{"path": "/mcp", "scopes": [USE]}, {"path": "/other", "scopes": [OTHER]}]
TOKEN = "/oauth2/token"


def refused(answer: Any, error: str, status: int = 400) -> bool:
    """Whether an answer is this error, said as RFC 6749 §5.2 asks."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    body = answer.json()
    assert set(body) == {"error", "error_description", "refusal"}
    assert body["error"] in REMEDIES
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)
    assert (answer.status_code, body["error"]) == (status, error), answer.text
    return True


async def test_the_answer_holds_the_issuers_token_its_scope_and_a_sealed_refresh_token() -> None:
    async with rig() as made:
        app = await made.register()
        answer = await app.redeem(await app.code())
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"
        said = answer.json()
        assert set(said) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
        assert (said["token_type"], said["scope"]) == ("Bearer", USE)
        refresh = a_seal(made).open(REFRESH, said["refresh_token"], Refresh)
        assert (refresh.resource, refresh.scopes) == (RESOURCE, (USE,))
        asked = made.way.asked(TOKEN)
        assert len(asked) == 1
        assert asked[0]["redirect_uri"] == f"{PUBLIC}/oauth/callback"
        assert asked[0]["code_verifier"] != VERIFIER
        assert set(asked[0]) == {"grant_type", "code", "redirect_uri", "code_verifier"}
        assert made.way.headers[-1]["authorization"].startswith("Basic ")


async def test_a_public_client_of_ours_sends_its_id_alone() -> None:
    async with rig(secret=None) as made:
        await (await made.register()).tokens()
        assert made.way.asked(TOKEN)[0]["client_id"] == "gate"
        assert "authorization" not in made.way.headers[-1]


async def test_an_issuer_that_takes_secrets_in_the_form_alone_gets_it_there() -> None:
    async with rig() as made:
        document = made.issuer.metadata() | {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
        made.issuer.metadata_server.body = json.dumps(document).encode()
        await (await made.register()).tokens()
        assert made.way.asked(TOKEN)[0]["client_secret"] == "the-gates-own-secret"
        assert "authorization" not in made.way.headers[-1]


@pytest.mark.parametrize("secret", ["with:colon and+blank%", "ünïcode"])
async def test_a_secret_of_any_characters_is_encoded(secret: str) -> None:
    async with rig(secret=secret) as made:
        await (await made.register()).tokens()


@pytest.mark.parametrize(
    ("changes", "error", "status"),
    [
        pytest.param({"grant_type": None}, "invalid_request", 400, id="no grant type"),
        pytest.param({"grant_type": "password"}, "unsupported_grant_type", 400, id="a password"),
        pytest.param({"grant_type": "client_credentials"}, "unsupported_grant_type", 400, id="a machine"),
        pytest.param({"client_id": None}, "invalid_client", 401, id="no client"),
        pytest.param({"client_id": "unknown"}, "invalid_client", 401, id="an unknown client"),
        pytest.param({"client_id": "gate"}, "invalid_client", 401, id="our own client at the issuer"),
        pytest.param({"client_id": "known"}, "invalid_grant", 400, id="another client"),
        pytest.param({"code": None}, "invalid_request", 400, id="no code"),
        pytest.param({"code": "x"}, "invalid_grant", 400, id="no code of ours"),
        pytest.param({"code_verifier": None}, "invalid_grant", 400, id="no verifier"),
        pytest.param({"code_verifier": VERIFIER[:-1] + "x"}, "invalid_grant", 400, id="another verifier"),
        pytest.param({"code_verifier": s256(VERIFIER)}, "invalid_grant", 400, id="the challenge, as plain would"),
        pytest.param({"code_verifier": "x" * 42}, "invalid_grant", 400, id="a short verifier"),
        pytest.param({"code_verifier": "x" * 129}, "invalid_grant", 400, id="a long verifier"),
        pytest.param({"code_verifier": VERIFIER + "\n"}, "invalid_grant", 400, id="a line's end behind it"),
        pytest.param({"code_verifier": VERIFIER[:-1] + "é"}, "invalid_grant", 400, id="a verifier beyond ASCII"),
        pytest.param({"redirect_uri": WEB}, "invalid_grant", 400, id="another redirect"),
        pytest.param({"redirect_uri": "http://127.0.0.1:1/callback"}, "invalid_grant", 400, id="another port"),
        pytest.param({"resource": "https://evil.example"}, "invalid_target", 400, id="another's resource"),
        pytest.param({"resource": OTHER_RESOURCE}, "invalid_target", 400, id="another resource of ours"),
        pytest.param({"resource": [RESOURCE, OTHER_RESOURCE]}, "invalid_target", 400, id="two resources"),
        pytest.param({"code_verifier": [VERIFIER, VERIFIER]}, "invalid_request", 400, id="two verifiers"),
    ],
)
async def test_a_code_is_refused_before_the_issuer_is_asked(changes: dict[str, Any], error: str, status: int) -> None:
    async with rig(resources=TWO) as made:
        app = await made.register()
        code = await app.code()
        assert refused(await app.redeem(code, **changes), error, status)
        assert made.way.asked(TOKEN) == []
        assert (await app.redeem(code)).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"redirect_uri": None}, id="without redirect, as OAuth 2.1 has it"),
        pytest.param({"resource": RESOURCE}, id="with the resource"),
        pytest.param({"resource": f"{RESOURCE}/"}, id="with another spelling of the resource"),
        pytest.param({"resource": [RESOURCE, RESOURCE]}, id="with the resource twice"),
        pytest.param({"scope": "whatever"}, id="with a scope, which means nothing here"),
        pytest.param({"client_secret": "x"}, id="with a secret nobody gave it"),
    ],
)
async def test_a_code_is_redeemed(changes: dict[str, Any]) -> None:
    async with rig() as made:
        app = await made.register()
        assert (await app.redeem(await app.code(), **changes)).status_code == 200


@pytest.mark.parametrize("kind", ["DCR", "CIMD", "static"])
async def test_a_code_of_one_client_is_of_no_use_to_another(kind: str) -> None:
    async with rig() as made:
        document = made.documents.put("https://evil.example/client.json", redirect_uris=[WEB])
        thieves = {"DCR": (await made.register(WEB)).client_id, "CIMD": document, "static": "known"}
        app = await made.register(WEB)
        thief = App(made, thieves[kind], WEB)
        code = await app.code()
        assert refused(await thief.redeem(code), "invalid_grant")
        assert made.way.asked(TOKEN) == []
        assert made.detail == "the code is another client's"
        tokens = (await app.redeem(code)).json()
        assert refused(await thief.refresh(tokens["refresh_token"]), "invalid_grant")
        assert refused(await thief.revoke(tokens["refresh_token"]), "invalid_client", 401)
        assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_code_is_over_after_a_minute() -> None:
    async with rig() as made:
        app = await made.register()
        code = await app.code()
        made.issuer.clock.move(60)
        answer = await app.redeem(code)
        assert refused(answer, "invalid_grant")
        assert "over" in answer.json()["error_description"]
        assert made.way.asked(TOKEN) == []


async def test_a_code_is_good_once() -> None:
    async with rig() as made:
        app = await made.register()
        code = await app.code()
        assert (await app.redeem(code)).status_code == 200
        assert refused(await app.redeem(code), "invalid_grant")


async def test_a_code_that_was_changed_anywhere_is_refused() -> None:
    async with rig() as made:
        app = await made.register()
        code = await app.code()
        wrong = [code[:i] + ("A" if c != "A" else "B") + code[i + 1 :] for i, c in enumerate(code)]
        for text in [*wrong[::9], *(code[:i] for i in range(1, len(code), 97)), code + "A", code.swapcase()]:
            assert refused(await app.redeem(text), "invalid_grant")
            assert len(text) < 40 or text not in b"".join(made.lines).decode()
        assert made.way.asked(TOKEN) == []


@pytest.mark.parametrize("purpose", [CLIENT, CONSENT, APPROVALS, STATE, REFRESH, CODE])
async def test_what_was_sealed_for_one_thing_is_good_for_no_other(purpose: str) -> None:
    """All purposes at all openings that a client can reach; `test_callback` and `test_consent` have the browser's."""
    async with rig() as made:
        app = await made.register()
        tokens = await app.tokens()
        seal = a_seal(made)
        values = {
            CLIENT: app.client_id,
            CODE: await app.code(),
            REFRESH: tokens["refresh_token"],
            STATE: made.way.asked("/oauth2/authorize")[-1]["state"],
            CONSENT: seal.seal(CONSENT, seal.open(CLIENT, app.client_id, Registration)),
            APPROVALS: seal.seal(APPROVALS, ["x", []]),
        }
        value = values[purpose]
        if purpose != CODE:
            assert refused(await app.redeem(value), "invalid_grant")
        if purpose != REFRESH:
            assert refused(await app.refresh(value), "invalid_grant")
            assert (await app.revoke(value)).status_code == 200
        if purpose != CLIENT:
            stranger = App(made, value)
            assert refused(await stranger.refresh(tokens["refresh_token"]), "invalid_client", 401)
            assert (await made.browser.open(stranger.url())).answer.status_code == 400
        assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_what_another_key_sealed_is_refused() -> None:
    async with rig() as made:
        app = await made.register()
        tokens = await app.tokens()
        ours = a_seal(made)
        foreign = a_seal(made, new_key())
        refresh = ours.open(REFRESH, tokens["refresh_token"], Refresh)
        code = ours.open(CODE, await app.code(), Code)
        registration = ours.open(CLIENT, app.client_id, Registration)
        assert refused(await app.refresh(foreign.seal(REFRESH, refresh)), "invalid_grant")
        assert refused(await app.redeem(foreign.seal(CODE, code)), "invalid_grant")
        assert refused(await App(made, foreign.seal(CLIENT, registration)).refresh("x"), "invalid_client", 401)


@pytest.mark.parametrize("endpoint", ["/oauth/token", "/oauth/revoke"])
@pytest.mark.parametrize(
    ("request_", "error", "status"),
    [
        pytest.param({"json": {"grant_type": "refresh_token"}}, "invalid_request", 400, id="JSON"),
        pytest.param({"content": b"", "headers": {}}, "invalid_request", 400, id="nothing"),
        pytest.param({"data": {"client_id": "x" * 70_000}}, "invalid_request", 413, id="too large"),
        pytest.param({"data": {"client_id": ["known", "known"]}}, "invalid_request", 400, id="two clients"),
        pytest.param({"data": {f"f{i}": "1" for i in range(60)}}, "invalid_request", 400, id="too many fields"),
        pytest.param({"data": {"client_id": "known"}}, "invalid_request", 400, id="no grant or token"),
        pytest.param(
            {"data": {"client_id": "known"}, "headers": {"authorization": "Basic a25vd246"}},
            "invalid_client",
            401,
            id="client authentication",
        ),
        pytest.param(
            {"data": {"client_id": "eyJhbGciOiJkaXIifQ.a.b.c.d"}}, "invalid_client", 401, id="no seal of ours"
        ),
        pytest.param(
            {"data": {"client_id": "WyJhbGciLCJlbmMiXQ.a.b.c.d"}}, "invalid_client", 401, id="a header of lists"
        ),
        pytest.param({"data": {"client_id": "http://localhost/x"}}, "invalid_client", 401, id="a plain http id"),
    ],
)
async def test_what_is_no_request_is_refused_exactly(
    endpoint: str, request_: dict[str, Any], error: str, status: int
) -> None:
    async with rig() as made:
        assert refused(await made.http.post(f"{PUBLIC}{endpoint}", **request_), error, status)


async def test_content_type_may_have_parameters() -> None:
    async with rig() as made:
        headers = {"content-type": "Application/X-WWW-Form-URLEncoded ; charset=utf-8"}
        answer = await made.http.post(f"{PUBLIC}/oauth/token", content=b"client_id=known", headers=headers)
        assert answer.json()["error_description"] == "grant_type is missing."


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/register"])
async def test_pages_of_any_origin_may_call(path: str) -> None:
    async with rig() as made:
        asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
        preflight = await made.http.options(
            f"{PUBLIC}{path}", headers={**asked, "access-control-request-headers": "mcp-protocol-version"}
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "*"
        assert "mcp-protocol-version" in preflight.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in preflight.headers
        answer = await made.http.post(f"{PUBLIC}{path}", headers=asked)
        assert answer.headers["access-control-allow-origin"] == "*"
        plain = await made.http.options(f"{PUBLIC}{path}")
        assert (plain.status_code, plain.headers["allow"], plain.content) == (204, "POST, OPTIONS", b"")
        for method in ("GET", "PUT", "HEAD"):
            assert (await made.http.request(method, f"{PUBLIC}{path}")).status_code == 405


@pytest.mark.parametrize(
    "verifier",
    [
        pytest.param("x" * 42, id="too short"),
        pytest.param("x" * 129, id="too long"),
        pytest.param("x" * 43 + "\n", id="a line's end"),
        pytest.param("x" * 43 + "é", id="beyond ASCII"),
        pytest.param("x" * 43 + " ", id="a blank"),
    ],
)
async def test_a_verifier_that_rfc_7636_does_not_allow_is_refused_even_if_it_fits(verifier: str) -> None:
    async with rig() as made:
        app = await made.register()
        code = await app.code(code_challenge=s256(verifier))
        assert refused(await app.redeem(code, code_verifier=verifier), "invalid_grant")
        assert made.way.asked("/oauth2/token") == []
