"""Logins that are renewed while something else happens: a refusal, a proxy, a Ctrl-C, another program."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from client.authorization import Authorization
from client.errors import Misbehaved, NotAuthorized, NotLoggedIn, Unreachable
from client.server import Server
from client.tokens import Login, Logins
from tests.client.world import REDIRECT, Prompt, World

MACHINE = {"client_id": "batch", "client_secret": "of-the-batch", "client_credentials": True}
REFUSED = {"error": "invalid_grant"}


class Held(Response):
    """An answer that is given when a test lets it go."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer
        self.asked, self.let_go = asyncio.Event(), asyncio.Event()

    async def __call__(self, *connection: Any) -> None:
        self.asked.set()
        await self.let_go.wait()
        await self.answer(*connection)


def at_renewals(answer: Callable[[], Response]) -> Callable[[dict[str, str]], Response | None]:
    """What the token endpoint answers to a refresh token, and nothing else."""
    return lambda form: answer() if form["grant_type"] == "refresh_token" else None


async def near_its_end(here: World) -> Authorization:
    """A login whose token is good for ten seconds more."""
    auth = here.auth()
    await here.get(auth)
    here.now += 3590
    return auth


def kept(here: World) -> Login | None:
    return here.auth().logins.find(here.server.url)


def nobody(here: World) -> Authorization:
    """The next program, in which nobody can log in."""
    here.person = None
    return here.auth()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda: HTMLResponse("<h1>Blocked</h1>", 403), id="403 of a firewall"),
        pytest.param(lambda: HTMLResponse("<h1>Moved</h1>", 404), id="404 of a proxy"),
        pytest.param(lambda: RedirectResponse("/hotel", 302), id="302 of a hotel"),
        pytest.param(lambda: HTMLResponse("<h1>Log in</h1>", 200), id="200 of a hotel"),
        pytest.param(lambda: HTMLResponse("<h1>Bad</h1>", 400), id="400 without a word of OAuth"),
        pytest.param(lambda: JSONResponse(["error"], 400), id="400 with no object"),
        pytest.param(lambda: JSONResponse({"error": {"code": 7}}, 400), id="400 with an error that is no text"),
        pytest.param(lambda: Response("[" * 100_000, 400), id="400 that is nested too deeply"),
        pytest.param(lambda: JSONResponse({"error": "temporarily_unavailable"}, 400), id="400 for now"),
        pytest.param(lambda: JSONResponse({"error": "invalid_request"}, 429), id="429"),
        pytest.param(lambda: Response(status_code=503), id="503"),
    ],
)
async def test_answer_that_says_nothing_of_the_login_costs_none(here: World, answer: Callable[[], Response]) -> None:
    auth = await near_its_end(here)
    before = kept(here)
    here.authority.token = at_renewals(answer)
    here.server.refused.add("access-1")
    _, happened = await here.get(auth)
    assert isinstance(happened.refusal, (Misbehaved, Unreachable))
    assert "log in" in str(happened.refusal)
    assert kept(here) == before
    here.authority.token = lambda _form: None
    assert (await here.get(auth))[0] == 200, "nor does this program forget what it needs to renew it"
    assert (await here.get(nobody(here)))[0] == 200


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda: JSONResponse(REFUSED, 400), id="as RFC 6749 has it"),
        pytest.param(lambda: JSONResponse(REFUSED, 403), id="with 403"),
        pytest.param(lambda: JSONResponse(REFUSED, 200), id="with 200"),
        pytest.param(lambda: JSONResponse({"error": "invalid_client"}, 401), id="of the client"),
    ],
)
async def test_login_that_its_issuer_refuses_is_forgotten(here: World, answer: Callable[[], Response]) -> None:
    await near_its_end(here)
    here.authority.token = at_renewals(answer)
    here.server.refused.add("access-1")
    _, happened = await here.get(nobody(here))
    assert isinstance(happened.refusal, NotLoggedIn)
    assert kept(here) is None


async def test_renewal_ahead_of_the_end_that_fails_is_not_tried_with_every_request(here: World) -> None:
    auth = await near_its_end(here)
    here.now -= 45
    here.authority.token = at_renewals(lambda: Response(status_code=503))
    for later, tried in ((0, 1), (1, 1), (28, 1), (2, 2), (1, 2)):
        here.now += later
        assert (await here.get(auth))[0] == 200
        assert len(here.authority.asked("/token")) == 1 + tried
    here.authority.token = lambda _form: None
    here.server.refused.add("access-1")
    assert (await here.get(auth))[0] == 200, "but a server that refuses the token is reason enough"


def by_task(asking: asyncio.Task[Any], _scope: anyio.CancelScope) -> None:
    asking.cancel()


def by_scope(_asking: asyncio.Task[Any], scope: anyio.CancelScope) -> None:
    """As the SDK does, which cancels again until the scope is left."""
    scope.cancel()


@pytest.mark.parametrize("cancel", [by_task, by_scope])
async def test_ctrl_c_in_the_middle_of_a_renewal_loses_no_login(
    here: World, cancel: Callable[[asyncio.Task[Any], anyio.CancelScope], None]
) -> None:
    auth = await near_its_end(here)
    held = Held(JSONResponse({"access_token": "next", "token_type": "bearer", "refresh_token": "rotated"}))
    here.authority.token = at_renewals(lambda: held)
    scope = anyio.CancelScope()

    async def ask() -> None:
        with scope:
            await here.get(auth)

    asking = asyncio.create_task(ask())
    await held.asked.wait()
    cancel(asking, scope)
    for _ in range(5):
        await asyncio.sleep(0)  # the Ctrl-C gets where it goes
    held.let_go.set()
    await asyncio.wait([asking])
    found = kept(here)
    assert found
    assert (found.access_token, found.refresh_token) == ("next", "rotated")
    assert ("GET", "/mcp", "next") not in here.server.seen, "the request itself is not made any more"


async def test_login_that_another_program_ended_does_not_come_back(here: World) -> None:
    auth = await near_its_end(here)
    here.authority.revoking = Response(status_code=503)
    await Server(here.auth().settings, here.vault, None).log_out()
    auth.person = None
    _, happened = await here.get(auth)
    assert isinstance(happened.refusal, NotLoggedIn)
    assert kept(here) is None
    assert len(here.authority.asked("/token")) == 1


async def test_login_that_another_program_made_is_used(here: World) -> None:
    waiting = here.auth()
    waiting.person = None
    assert isinstance((await here.get(waiting))[1].refusal, NotLoggedIn)
    await here.get(here.auth())
    assert (await here.get(waiting))[0] == 200
    here.server.refused.add("access-1")
    here.authority.refresh = "gone"
    other = here.auth()
    assert (await here.get(other))[0] == 200
    assert (await here.get(waiting))[0] == 200
    assert waiting.token == other.token
    assert len(here.authority.asked("/authorize")) == 2


async def test_scopes_that_another_program_got_need_no_second_login(here: World) -> None:
    first, second = here.auth(), here.auth()
    for program in (first, second):
        await here.get(program)
    for program in (first, second):
        here.server.demanded = ["more"]
        assert (await here.get(program))[0] == 200
    assert len(here.authority.asked("/authorize")) == 2


async def test_older_login_that_another_program_has_is_not_taken_for_a_newer_one(here: World) -> None:
    auth = here.auth()
    await here.get(auth)
    assert auth.login
    stale = msgspec.structs.replace(auth.login, access_token="stale", refresh_token=None, obtained_at=here.now - 7200)
    auth.logins.keep(here.server.url, stale)
    auth.adopt(None)
    assert (await here.get(auth))[0] == 200
    assert "stale" not in {token for _, _, token in here.server.seen}


@pytest.mark.parametrize("good", [True, False], ids=["takes the last", "takes none"])
async def test_server_gets_every_token_that_there_is_once(here: World, good: bool) -> None:
    first, second = here.auth(), here.auth()
    for program in (first, second):
        await here.get(program)
    assert second.login
    second.logins.keep(here.server.url, msgspec.structs.replace(second.login, access_token="newer"))
    here.server.refused |= {"access-1", "newer", "access-2"} | (set() if good else {"access-3"})
    status, happened = await here.get(first)
    assert [token for _, _, token in here.server.seen if token][-4:] == ["access-1", "newer", "access-2", "access-3"]
    assert (status == 200) is good
    assert good or "goes on asking for more" in str(happened.refusal)


async def test_login_is_not_erased_by_another_program_whose_renewal_is_refused(here: World, tmp_path: Path) -> None:
    renewing, logging_in = here.auth(), here.auth()
    for program in (renewing, logging_in):
        program.logins = Logins(here.vault, tmp_path)
    await here.get(renewing)
    here.server.refused.add("access-1")
    held, redeemed = Held(JSONResponse(REFUSED, 400)), asyncio.Event()

    def answer(form: dict[str, str]) -> Response | None:
        if form["grant_type"] == "refresh_token":
            return held
        redeemed.set()
        return None

    here.authority.token = answer
    renewing.person = None
    asking = asyncio.create_task(here.get(renewing))
    await held.asked.wait()
    server = Server(logging_in.settings, here.vault, here.person)
    server.auth.logins = logging_in.logins
    login = asyncio.create_task(server.log_in())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(redeemed.wait(), 0.5)
    held.let_go.set()
    await asking
    assert (await login).access_token == "access-2"
    found = kept(here)
    assert found
    assert found.access_token == "access-2"


@pytest.mark.parametrize("status", [400, 401])
async def test_machine_whose_secret_is_refused_is_told_so_when_its_token_ends(here: World, status: int) -> None:
    here.person = None
    auth = here.auth(**MACHINE)
    await here.get(auth)
    here.now += 3590
    here.authority.token = lambda _form: JSONResponse({"error": "invalid_client"}, status)
    assert (await here.get(auth))[0] == 200, "the token is good yet"
    here.server.refused.add("access-1")
    _, happened = await here.get(auth)
    assert str(happened.refusal) == "The issuer gives no token: invalid_client"
    assert isinstance(happened.refusal, NotAuthorized)


async def test_machine_renews_the_login_that_an_earlier_run_left(here: World) -> None:
    await here.get(here.auth(**MACHINE))
    here.now += 3590
    assert (await here.get(here.auth(**MACHINE)))[0] == 200
    assert here.server.seen[-1] == ("GET", "/mcp", "access-2")


async def test_token_that_cannot_be_renewed_is_given_while_it_is_good(here: World) -> None:
    server = Server(here.auth().settings, here.vault, here.person)
    login = await server.log_in()
    server.auth.adopt(msgspec.structs.replace(login, obtained_at=time.time() - 3550))
    server.logins.keep(here.server.url, server.auth.login or login)
    here.authority.token = at_renewals(lambda: Response(status_code=503))
    assert (await server.fresh()).access_token == "access-1"
    here.authority.token = at_renewals(lambda: JSONResponse(REFUSED, 400))
    with pytest.raises(NotAuthorized, match="log in again"):
        await server.fresh()


async def test_token_that_is_over_and_cannot_be_renewed_is_not_given(here: World) -> None:
    server = Server(here.auth().settings, here.vault, here.person)
    login = await server.log_in()
    server.auth.adopt(msgspec.structs.replace(login, obtained_at=time.time() - 3601, refresh_token=None))
    with pytest.raises(NotAuthorized, match="gave nothing to renew"):
        await server.fresh()


@pytest.mark.parametrize("settings", [{}, {"client_id": "given"}], ids=["registered", "given client"])
async def test_kept_login_does_not_stand_in_the_way_of_another_at_a_configured_address(
    here: World, settings: dict[str, str]
) -> None:
    chosen = {"redirect_uri": REDIRECT, **settings}
    await here.get(here.auth(**chosen))
    here.server.demanded = ["more"]
    assert (await here.get(here.auth(**chosen)))[0] == 200
    server = Server(here.auth(**chosen).settings, here.vault, here.person)
    assert server.login, "which it holds from here on"
    assert (await server.log_in()).access_token == "access-3"


class Leaving(Prompt):
    """A person who closes the browser."""

    async def go(self, url: str) -> dict[str, str]:
        del url
        raise NotAuthorized("Nobody logged in")


async def test_login_that_fails_leaves_the_one_before_as_it_was(here: World) -> None:
    auth = await near_its_end(here)
    auth.person = Leaving()
    here.server.demanded = ["more"]
    here.now -= 3590
    _, happened = await here.get(auth)
    assert str(happened.refusal) == "Nobody logged in"
    here.now += 3590
    here.server.refused.add("access-1")
    assert (await here.get(auth))[0] == 200
    login, renewal = here.authority.asked("/token")
    assert renewal["grant_type"] == "refresh_token"
    assert renewal["client_id"] == login["client_id"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"id_token": "x" * 200 + "s3cret", "token_type": "bearer"}, id="no access token"),
        pytest.param({"access_token": 7, "token_type": "bearer", "refresh_token": "s3cret"}, id="a number"),
        pytest.param({"access_token": "s3cret", "token_type": "DPoP"}, id="of another type"),
    ],
)
async def test_nothing_of_a_token_answer_that_is_none_is_shown(here: World, answer: dict[str, Any]) -> None:
    here.authority.token = lambda _form: JSONResponse(answer)
    _, happened = await here.get(here.auth())
    assert str(happened.refusal) == "The issuer gives no token: what it answers is none that can be used"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: JSONResponse({**REFUSED, "error_description": "No \x1b[2J."}, 400), r"No \x1b[2J."),
        (lambda: JSONResponse(REFUSED, 400), "invalid_grant"),
        (lambda: Response(b"\xff s3cret", 400), "it answers with status 400"),
    ],
    ids=["described", "named", "neither"],
)
async def test_refusal_of_a_token_is_said_in_the_words_of_oauth(
    here: World, answer: Callable[[], Response], said: str
) -> None:
    here.authority.token = lambda _form: answer()
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, NotAuthorized)
    assert str(happened.refusal) == f"The issuer gives no token: {said}"
