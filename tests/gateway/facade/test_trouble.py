"""Trouble at the issuer, as clients are told of it."""

from __future__ import annotations

import json

import pytest

from tests.gateway.facade.rig import USE, Rig, rig
from tests.gateway.facade.test_token import refused

TOKEN = "/oauth2/token"


def broken(made: Rig, status: int, body: bytes, media_type: str = "application/json") -> None:
    made.way.faults[TOKEN] = status, body, media_type


@pytest.mark.parametrize(
    ("status", "body", "error", "expected"),
    [
        pytest.param(500, b"<h1>oops</h1>", "temporarily_unavailable", 503, id="500 with a page"),
        pytest.param(503, b"", "temporarily_unavailable", 503, id="503 with nothing"),
        pytest.param(429, b"slow down", "temporarily_unavailable", 503, id="429"),
        pytest.param(429, b'{"error":"invalid_grant"}', "temporarily_unavailable", 503, id="429 with an error"),
        pytest.param(400, b'{"error":"invalid_grant"}', "invalid_grant", 400, id="a code that is used"),
        pytest.param(400, b'{"error":"interaction_required"}', "invalid_grant", 400, id="a second factor is due"),
        pytest.param(400, b'{"error":"invalid_scope"}', "invalid_scope", 400, id="a scope"),
        pytest.param(400, b'{"error":"invalid_target"}', "invalid_target", 400, id="a resource"),
        pytest.param(400, b'{"error":"invalid_client"}', "server_error", 502, id="our own client, by 400"),
        pytest.param(401, b'{"error":"invalid_client"}', "server_error", 502, id="our own client"),
        pytest.param(400, b'{"error":"unauthorized_client"}', "server_error", 502, id="our client's grants"),
        pytest.param(400, b'{"error":"invalid_request"}', "server_error", 502, id="our own request"),
        pytest.param(400, b'{"error":"made_up"}', "server_error", 502, id="an error nobody knows"),
        pytest.param(400, b'{"error":null,"error_description":7}', "server_error", 502, id="an error of another type"),
        pytest.param(400, b"garbage", "server_error", 502, id="garbage"),
        pytest.param(200, b"garbage", "server_error", 502, id="garbage with 200"),
        pytest.param(200, b"", "server_error", 502, id="nothing with 200"),
        pytest.param(200, b"[]", "server_error", 502, id="a list"),
        pytest.param(200, b'{"access_token":7}', "server_error", 502, id="a token of another type"),
        pytest.param(200, b'{"token_type":"Bearer"}', "server_error", 502, id="no token"),
        pytest.param(200, b"\xff\xfe", "server_error", 502, id="no text"),
        pytest.param(200, b'{"a":' + b"[" * 100_000, "server_error", 502, id="nested too deeply"),
        pytest.param(200, b"x" * 1_000_000, "server_error", 502, id="a megabyte"),
        pytest.param(400, b'{"access_token":"a"}', "server_error", 502, id="a token beside an error"),
        pytest.param(302, b"", "server_error", 502, id="a redirect"),
        pytest.param(204, b"", "server_error", 502, id="no content"),
    ],
)
async def test_trouble_of_the_issuer_is_said_exactly(status: int, body: bytes, error: str, expected: int) -> None:
    async with rig() as made:
        app = await made.register()
        tokens = await app.tokens()
        code = await app.code()
        broken(made, status, body)
        for answer in (await app.redeem(code), await app.refresh(tokens["refresh_token"])):
            assert refused(answer, error, expected)
            assert ("retry-after" in answer.headers) == (expected == 503)
        made.way.faults.clear()
        assert (await app.redeem(code)).status_code == 200


async def test_an_issuer_that_hangs_up_is_unavailable() -> None:
    async with rig() as made:
        app = await made.register()
        code = await app.code()
        document = made.issuer.metadata() | {"token_endpoint": "http://localhost:9/token"}  # nobody listens there
        made.issuer.metadata_server.body = json.dumps(document).encode()
        await made.replace()
        answer = await app.redeem(code)
        assert refused(answer, "temporarily_unavailable", 503)
        assert "no answer (ConnectError)" in made.detail


async def test_an_issuer_without_a_token_endpoint_is_a_server_error() -> None:
    async with rig() as made:
        document = made.issuer.metadata()
        del document["token_endpoint"]
        made.issuer.metadata_server.body = json.dumps(document).encode()
        app = await made.register()
        assert refused(await app.redeem(await app.code()), "server_error", 502)


async def test_members_that_are_null_count_as_left_out() -> None:
    async with rig() as made:
        app = await made.register()
        code = await app.code()
        broken(made, 200, b'{"access_token":"a","refresh_token":null,"scope":null,"expires_in":null,"x":null}')
        assert (await app.redeem(code)).json() == {"access_token": "a", "token_type": "Bearer", "scope": USE}


async def test_the_scope_that_the_issuer_names_is_the_one_that_was_granted() -> None:
    async with rig() as made:
        app = await made.register()
        code = await app.code()
        broken(made, 200, b'{"access_token":"a","scope":"less","id_token":"for-our-client-alone","expires_in":"60"}')
        answer = await app.redeem(code)
        assert answer.json() == {"access_token": "a", "token_type": "Bearer", "scope": "less", "expires_in": "60"}
