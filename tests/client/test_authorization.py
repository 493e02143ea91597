"""Tokens as they are renewed, lost and found, in ways that no requirement names."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.responses import JSONResponse, Response

from client.clients import metadata_for
from client.errors import BadInput, ClientError, Misbehaved, NotAuthorized, NotLoggedIn, Unreachable
from client.server import Server
from client.tokens import Logins
from client.vault import Files, Memory, Vault
from tests.client.world import PRM, REDIRECT, World, another

MACHINE = {"client_id": "batch", "client_secret": "of-the-batch", "client_credentials": True}


async def test_login_outlives_the_program(here: World) -> None:
    await here.get(here.auth())
    here.person = None
    assert (await here.get(here.auth()))[0] == 200


async def test_token_is_renewed_ahead_of_its_end_and_the_new_one_is_kept(here: World) -> None:
    await here.get(here.auth())
    here.now += 3550
    assert (await here.get(here.auth()))[0] == 200
    assert here.server.seen[-1][2] == "access-2"
    kept = here.auth().logins.find(here.server.url)
    assert kept is not None
    assert (kept.access_token, kept.refresh_token) == ("access-2", "refresh-2")


async def test_refresh_token_that_is_not_rotated_is_kept(here: World) -> None:
    here.authority.rotates = False
    await here.get(here.auth())
    here.now += 3550
    here.authority.token = lambda _form: JSONResponse({"access_token": "next", "token_type": "bearer"})
    assert (await here.get(here.auth()))[0] == 200
    kept = here.auth().logins.find(here.server.url)
    assert kept is not None
    assert (kept.access_token, kept.refresh_token) == ("next", "refresh-1")


async def test_two_programs_that_renew_at_once_make_one_request(here: World, tmp_path: Path) -> None:
    here.vault = Vault([Files(tmp_path / "tokens"), Memory()], print)
    await here.get(here.auth())
    here.server.refused.add("access-1")
    programs = [here.auth() for _ in range(4)]
    for program in programs:
        program.logins = Logins(Vault([Files(tmp_path / "tokens"), Memory()], print), tmp_path)
    answers = await asyncio.gather(*[here.get(program) for program in programs])
    assert [status for status, _ in answers] == [200] * 4
    assert [each["grant_type"] for each in here.authority.asked("/token")] == ["authorization_code", "refresh_token"]


async def test_login_that_another_program_renewed_long_ago_is_renewed_again(here: World) -> None:
    first, second = here.auth(), here.auth()
    for program in (first, second):
        await here.get(program)
    for _ in range(2):
        here.now += 4000
        assert (await here.get(second))[0] == 200
    here.now += 4000
    here.server.refused |= {"access-1", "access-2", "access-3"}
    assert (await here.get(first))[0] == 200
    assert here.server.seen[-1][2] == "access-4"
    assert [each["refresh_token"] for each in here.authority.asked("/token")[1:]] == [
        "refresh-1",
        "refresh-2",
        "refresh-3",
    ]
    assert len(here.authority.asked("/authorize")) == 1


@pytest.mark.parametrize("refused", [False, True], ids=["token good", "token refused"])
@pytest.mark.parametrize("shift", [-(10**7), 10**7], ids=["behind", "ahead"])
async def test_wrong_clock_costs_a_refresh_at_most(here: World, shift: int, refused: bool) -> None:
    await here.get(here.auth())
    here.now += shift
    here.server.refused |= {"access-1"} if refused else set()
    auth = here.auth()
    assert (await here.get(auth))[0] == 200
    assert (await here.get(auth))[0] == 200
    assert len(here.authority.asked("/token")) <= 2
    assert len(here.authority.asked("/authorize")) == 1


async def test_token_without_a_stated_end_is_used_until_it_is_refused(here: World) -> None:
    here.authority.lifetime = None
    auth = here.auth()
    await here.get(auth)
    here.now += 10**9
    await here.get(auth)
    assert len(here.authority.asked("/token")) == 1
    here.server.refused.add("access-1")
    assert (await here.get(auth))[0] == 200
    assert here.authority.asked("/token")[1]["grant_type"] == "refresh_token"


async def test_issuer_that_is_down_is_said_to_be_and_costs_no_login(here: World) -> None:
    auth = here.auth()
    await here.get(auth)
    here.server.refused.add("access-1")
    here.authority.token = lambda _form: Response(status_code=503)
    _, happened = await here.get(auth)
    assert isinstance(happened.refusal, Unreachable)
    here.authority.token = lambda _form: None
    assert (await here.get(auth))[0] == 200
    assert len(here.authority.asked("/authorize")) == 1


async def test_issuer_that_is_down_does_not_matter_while_the_token_is_good(here: World) -> None:
    auth = here.auth()
    await here.get(auth)
    here.now += 3550
    here.authority.token = lambda _form: Response(status_code=503)
    assert (await here.get(auth))[0] == 200


async def test_issuer_that_cannot_be_reached_is_said_to_be(here: World) -> None:
    here.server.resource["authorization_servers"] = ["http://127.0.0.1:9"]
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, Unreachable)


async def test_revoked_refresh_token_is_forgotten(here: World) -> None:
    await here.get(here.auth())
    here.authority.refresh = "another"
    here.server.refused.add("access-1")
    here.person = None
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, NotAuthorized)
    assert here.auth().logins.find(here.server.url) is None


async def test_lambda_sends_the_token_it_was_given_and_asks_nobody(here: World) -> None:
    auth = here.auth(auth_method="lambda", access_token="given")
    assert (await here.get(auth))[0] == 200
    here.server.refused.add("given")
    _, happened = await here.get(auth)
    assert isinstance(happened.refusal, NotAuthorized)
    assert here.authority.seen == []
    assert {token for _, _, token in here.server.seen} == {"given"}


async def test_bare_403_is_a_matter_of_authorization(here: World) -> None:
    auth = here.auth(auth_method="lambda", access_token="given")
    here.server.act = lambda _request: Response(status_code=403)
    status, happened = await here.get(auth)
    assert (status, type(happened.refusal)) == (403, NotAuthorized)


async def test_auto_takes_a_server_without_an_issuer_for_one_behind_a_lambda_authorizer(here: World) -> None:
    here.server.challenge, here.server.places = "", ()
    assert (await here.get(here.auth(access_token="given")))[0] == 200
    here.server.refused.add("given")
    _, happened = await here.get(here.auth(access_token="given"))
    assert "ACCESS_TOKEN" in str(happened.refusal)
    _, happened = await here.get(here.auth())
    assert "AUTH_METHOD=oauth" in str(happened.refusal)


async def test_auto_logs_in_where_there_is_an_issuer(here: World) -> None:
    here.server.refused.add("given")
    assert (await here.get(here.auth(access_token="given")))[0] == 200
    assert [token for _, path, token in here.server.seen if path == "/mcp"] == ["given", "access-1"]


async def test_revision_without_metadata_uses_the_servers_own_endpoints(here: World) -> None:
    here.server.challenge, here.server.places = "", ()
    here.server.act = lambda _request: None
    _, happened = await here.get(here.auth(auth_method="oauth"))
    assert isinstance(happened.refusal, NotAuthorized)
    assert ("POST", "/register", None) in here.server.seen


async def test_machine_logs_in_with_its_secret_and_again_by_itself(here: World) -> None:
    here.person = None
    here.authority.refreshes = False
    here.authority.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    here.server.challenge = 'Bearer scope="a"'
    auth = here.auth(**MACHINE)
    assert (await here.get(auth))[0] == 200
    here.now += 3599
    assert (await here.get(auth))[0] == 200
    first, second = here.authority.asked("/token")
    assert first["grant_type"] == second["grant_type"] == "client_credentials"
    assert (first["client_secret"], first["resource"], second["scope"]) == ("of-the-batch", here.server.url, "a")


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (rsa.generate_private_key(65537, 2048), "RS256"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
    ids=["ES256", "ES384", "RS256", "EdDSA"],
)
async def test_machine_logs_in_with_its_key(here: World, key: ec.EllipticCurvePrivateKey, algorithm: str) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    auth = here.auth(client_id="batch", client_key=pem, client_credentials=True)
    assert (await here.get(auth))[0] == 200
    (said,) = here.authority.asked("/token")
    claims = jwt.decode(
        said["client_assertion"], key.public_key(), algorithms=[algorithm], audience=here.authority.origin
    )
    assert claims["iss"] == claims["sub"] == "batch"


async def test_key_that_is_none_is_said_to_be(here: World) -> None:
    _, happened = await here.get(here.auth(client_id="batch", client_key="no key", client_credentials=True))
    assert isinstance(happened.refusal, BadInput)


async def test_workload_logs_in_with_the_token_of_its_platform(here: World) -> None:
    auth = here.auth(client_id="batch", workload_token="of-the-platform", client_credentials=True)
    assert (await here.get(auth))[0] == 200
    (said,) = here.authority.asked("/token")
    assert said["assertion"] == "of-the-platform"


async def test_nothing_secret_is_in_what_goes_wrong(here: World) -> None:
    here.authority.token = lambda _form: JSONResponse({"error": "invalid_grant", "error_description": "\x1b[2J"}, 400)
    _, happened = await here.get(here.auth())
    said = str(happened.refusal)
    assert isinstance(happened.refusal, NotAuthorized)
    assert "a-code" not in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    "answer",
    [Response("{"), JSONResponse({"token_type": "bearer"}), JSONResponse({"access_token": "x", "token_type": "DPoP"})],
)
async def test_token_answer_that_is_none_is_refused(here: World, answer: Response) -> None:
    here.authority.token = lambda _form: answer
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, NotAuthorized)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"client_secret": "s3cret", "client_name": 7}, "What {} answers to a registration is none"),
        (["s3cret"], "What {} answers to a registration is none"),
        (
            {"client_id": "x", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "secret_handshake"},
            "The registration at {} cannot be used: ",
        ),
    ],
    ids=["no client", "no object", "a client that this one cannot be"],
)
async def test_registration_that_cannot_be_used_is_refused_without_what_is_in_it(
    here: World, answer: Any, said: str
) -> None:
    here.authority.metadata["registration_endpoint"] = f"{here.authority.origin}/token"
    here.authority.token = lambda _form: JSONResponse(answer, 201)
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, Misbehaved)
    assert str(happened.refusal).startswith(said.format(here.authority.origin))
    assert "s3cret" not in str(happened.refusal)


async def test_answer_without_end_is_cut_off(here: World) -> None:
    here.authority.token = lambda _form: Response(b"x" * 300_000)
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, Misbehaved)


async def test_authorization_endpoint_with_a_query_keeps_it(here: World) -> None:
    here.authority.metadata["authorization_endpoint"] = f"{here.authority.origin}/authorize?tenant=7"
    assert (await here.get(here.auth()))[0] == 200
    assert here.authority.asked("/authorize")[0]["tenant"] == "7"


@pytest.mark.parametrize("member", ["authorization_endpoint", "token_endpoint"])
async def test_issuer_without_a_place_to_log_in_is_said_to_have_none(here: World, member: str) -> None:
    here.authority.metadata[member] = None
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, Misbehaved)
    assert here.authority.asked("/authorize") == []


async def test_client_registered_with_a_secret_shows_it_as_oauth_has_it_by_default(here: World) -> None:
    here.authority.metadata["registration_endpoint"] = f"{here.authority.origin}/token"
    made = {"client_id": "made", "client_secret": "s3cret", "redirect_uris": [REDIRECT]}
    here.authority.token = lambda form: None if form else JSONResponse(made, 201)
    assert (await here.get(here.auth()))[0] == 200
    assert here.authority.asked("/token")[-1]["_authorization"].startswith("Basic ")


@pytest.mark.parametrize("status", [429, 502])
async def test_issuer_that_gives_no_token_now_is_said_to_be_away(here: World, status: int) -> None:
    here.authority.token = lambda _form: Response(status_code=status)
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, Unreachable)


async def test_given_client_makes_a_server_without_an_issuer_one_of_an_old_revision(here: World) -> None:
    here.server.challenge, here.server.places, here.person = "", (), None
    _, happened = await here.get(here.auth(client_id="given"))
    assert isinstance(happened.refusal, NotLoggedIn)


async def test_issuer_that_registers_nobody_is_said_to(here: World) -> None:
    here.authority.metadata["registration_endpoint"] = f"{here.authority.origin}/token"
    here.authority.token = lambda _form: Response("s3cret", status_code=403)
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, NotAuthorized)
    assert "does not register this client (status 403): ask its operator" in str(happened.refusal)


async def test_script_is_told_which_login_would_be_enough(here: World) -> None:
    await here.get(here.auth())
    here.person = None
    here.server.demanded = ["a b"]
    _, happened = await here.get(here.auth())
    assert str(happened.refusal) == (
        f"Your login is not enough for this: run bearergate login --scope 'a b' {here.server.url}"
    )


async def test_of_several_issuers_the_configured_one_is_asked(here: World) -> None:
    async with another() as second:
        here.server.resource["authorization_servers"] = [here.authority.origin, second.origin]
        assert (await here.get(here.auth(issuer=second.origin)))[0] == 200
        assert here.authority.seen == []


async def test_page_in_the_browser_is_told_how_it_ended(here: World) -> None:
    assert here.person is not None
    await here.get(here.auth())
    here.vault = Vault([Memory()], print)
    here.authority.back["error"] = "access_denied"
    here.authority.back["code"] = None
    await here.get(here.auth())
    assert [outcome.split(".")[0] for outcome in here.person.outcomes] == [
        "You are logged in",
        "The login did not succeed",
    ]


def server_of(here: World, **settings: object) -> Server:
    auth = here.auth(**settings)
    return Server(auth.settings, here.vault, here.person)


async def test_explicit_login_renewal_and_logout(here: World) -> None:
    server = server_of(here)
    assert await server.log_out() is None
    with pytest.raises(NotAuthorized):
        await server.renew()
    assert (await server.log_in()).access_token == "access-1"
    assert (await server.fresh()).access_token == "access-1"
    assert (await server.renew()).access_token == "access-2"
    assert (await server.log_in()).access_token == "access-3"
    assert await server.log_out() is not None
    assert here.authority.asked("/revoke")[0]["token"] == "refresh-3"
    assert server.login is None


async def test_revocation_proves_the_client_as_its_issuer_wants_it(here: World) -> None:
    server = server_of(here, client_id="me", client_secret="s3cret")
    await server.log_in()
    await server.log_out()
    (said,) = here.authority.asked("/revoke")
    assert said["_authorization"].startswith("Basic ")
    assert "client_secret" not in said


async def test_login_at_a_server_that_wants_none_is_refused(here: World) -> None:
    here.server.refused, here.server.places = set(), ()
    with pytest.raises(NotAuthorized, match="wants no login"):
        await server_of(here).log_in()


async def test_machine_gets_a_token_without_a_request_before(here: World) -> None:
    here.person = None
    assert (await server_of(here, **MACHINE).fresh()).access_token == "access-1"
    assert time.time() > 0


async def test_lambda_has_no_login(here: World) -> None:
    for action in (server_of(here, auth_method="lambda").log_in, server_of(here, auth_method="lambda").renew):
        with pytest.raises(ClientError, match="ACCESS_TOKEN"):
            await action()


def test_redirect_uri_is_said_as_it_is() -> None:
    (uri,) = metadata_for("http://localhost:1").redirect_uris or []
    assert str(uri) == "http://localhost:1"
    with pytest.raises(BadInput):
        metadata_for("no url")
    assert urlsplit(PRM).path == PRM
