"""What logging out ends, and what is said of what it could not end."""

from __future__ import annotations

import asyncio
import io
import re
from pathlib import Path

import pytest
from starlette.responses import Response
from starlette.types import Receive

from client.account import log_out
from client.errors import NotEnded
from client.output import Output
from client.server import Server
from client.tokens import Login
from client.vault import Closed, Files, Memory, Vault
from tests.client.world import World

MACHINE = {"client_id": "batch", "client_secret": "of-the-batch", "client_credentials": True}
IN_AN_HOUR = r"until it expires at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, in (1 h 0 min|59 min \d+ s)"


async def logged_in(here: World, **settings: object) -> Server:
    server = Server(here.auth(**settings).settings, here.vault, here.person)
    await server.log_in()
    return server


async def left_with(server: Server) -> str:
    """What the person reads when logging out fails."""
    with pytest.raises(NotEnded) as failure:
        await log_out(server, Output(out=io.StringIO(), err=io.StringIO()))
    assert failure.value.exit == 7
    assert server.login is None, "this program uses it no more"
    return str(failure.value)


async def test_login_that_is_ended_everywhere_is_said_to_be_in_two_words(here: World) -> None:
    server, said = await logged_in(here), io.StringIO()
    await log_out(server, Output(err=said))
    await log_out(server, Output(err=said))
    assert said.getvalue() == "Logged out.\nThere was no login.\n"


async def test_issuer_that_is_down_is_said_not_to_know(here: World) -> None:
    here.authority.metadata["revocation_endpoint"] = "http://127.0.0.1:9/revoke"
    said = await left_with(await logged_in(here))
    assert said.startswith(
        f"Logged out here, but {here.authority.origin} was not told to end the tokens: "
        "127.0.0.1 cannot be reached (ConnectError). A copy of the access token works until it expires at "
    )
    assert re.search(f"{IN_AN_HOUR}, one of the refresh token for as long as the issuer takes it.$", said)
    assert here.auth().logins.find(here.server.url) is None


@pytest.mark.parametrize("status", [302, 400, 503])
async def test_issuer_that_answers_with_an_error_is_said_to(here: World, status: int) -> None:
    here.authority.revoking = Response(status_code=status, headers={"Location": "/elsewhere"})
    said = await left_with(await logged_in(here))
    assert f"it answered with status {status}. A copy" in said
    assert here.auth().logins.find(here.server.url) is None


async def test_issuer_without_a_place_to_revoke_at_is_said_to_have_none(here: World) -> None:
    here.authority.metadata["revocation_endpoint"] = None
    assert "it names no place to tell it. A copy" in await left_with(await logged_in(here))


async def test_endpoint_that_is_not_called_is_said_to_be_none(here: World) -> None:
    here.authority.metadata["revocation_endpoint"] = "https://169.254.169.254/revoke"
    assert "an address that is not called" in await left_with(await logged_in(here))


async def test_token_without_a_stated_end_is_said_to_last_until_its_issuer_ends_it(here: World) -> None:
    here.authority.lifetime, here.authority.refreshes = None, False
    here.authority.metadata["revocation_endpoint"] = None
    said = await left_with(await logged_in(here))
    assert said.endswith("A copy of the access token works until the issuer ends it.")


async def test_refresh_token_outlives_the_access_token(here: World) -> None:
    here.authority.metadata["revocation_endpoint"] = None
    here.authority.lifetime = 0
    assert "works no more, for it has expired, one of the refresh token" in await left_with(await logged_in(here))


async def test_login_of_which_nothing_is_left_needs_nobody_to_be_told(here: World) -> None:
    here.authority.metadata["revocation_endpoint"] = None
    here.authority.lifetime, here.authority.refreshes = 0, False
    said = io.StringIO()
    await log_out(await logged_in(here, **MACHINE), Output(err=said))
    assert said.getvalue() == "Logged out.\n"


class Stuck(Memory):
    """A place out of which nothing goes."""

    def erase(self, name: str) -> None:
        raise Closed(f"it holds on to {name.partition(' ')[0]}")


async def test_tokens_that_cannot_be_erased_are_said_to_stay(here: World) -> None:
    here.vault = Vault([Stuck(), Memory()], print)
    said = await left_with(await logged_in(here))
    assert said == (
        "Logged out of this program only, for the tokens stay here: it holds on to login. "
        f"{here.authority.origin} has ended them."
    )
    here.authority.metadata["revocation_endpoint"] = None
    said = await left_with(await logged_in(here))
    assert re.match(r"Logged out of this program only, .*: it holds on to login\. http\S+ was not told .*\.$", said)


async def test_login_that_another_program_renewed_is_ended_as_it_is_now(here: World, tmp_path: Path) -> None:
    here.vault = Vault([Files(tmp_path), Memory()], print)
    first = await logged_in(here)
    second = Server(first.settings, Vault([Files(tmp_path), Memory()], print), None)
    await second.renew()
    assert await first.log_out() is not None
    assert here.authority.asked("/revoke")[0]["token"] == "refresh-2"
    assert second.logins.find(here.server.url) is None


class Silent(Response):
    """An answer that never comes."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def __call__(self, _scope: object, receive: Receive, _send: object) -> None:
        self.asked.set()
        await receive()  # until the client has gone: the request was read to its end


async def test_ctrl_c_while_the_issuer_is_told_leaves_nothing_unsaid(here: World) -> None:
    here.authority.revoking = silent = Silent()
    leaving = asyncio.create_task(left_with(await logged_in(here)))
    await silent.asked.wait()
    leaving.cancel()
    assert "was not told to end the tokens: you did not wait for its answer. A copy" in await leaving
    assert here.auth().logins.find(here.server.url) is None


async def test_nothing_secret_is_in_what_is_left(here: World) -> None:
    here.authority.revoking = Response("refresh-1", status_code=503)
    server = await logged_in(here)
    assert isinstance(server.login, Login)
    said = await left_with(server)
    assert "refresh-1" not in said
    assert "access-1" not in said
