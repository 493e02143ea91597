"""The server that a person or script chose: its connection, and the login for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
from mcp import Client

from client.authorization import Authorization
from client.connection import Callbacks, Connection
from client.demand import Demand, demand_of
from client.errors import ClientError, Misbehaved, NotAuthorized
from client.find import find
from client.login import Person
from client.outbound import TIMEOUT, Outbound
from client.settings import Settings
from client.tokens import Login, Logins
from client.vault import Closed, Vault

if TYPE_CHECKING:
    from mcp.shared.dispatcher import ProgressFnT
    from mcp.types import CallToolResult, GetPromptResult, Prompt, ReadResourceResult, Resource, ResourceTemplate, Tool

MAX_PAGES = 1000  # of one list: a server that never ends would otherwise hold the shell for ever
REFUSALS = 300  # and above: no answer of an issuer that did what it was asked
T = TypeVar("T")


@dataclass(frozen=True)
class LoggedOut:
    """A login that was ended; where it was not, the reason."""

    login: Login
    kept: str = ""  # why it is still on this machine
    untold: str = ""  # why its issuer takes its tokens still


class Server:
    """One server, as one client. Without a `person`, what needs a login is refused."""

    def __init__(
        self,
        settings: Settings,
        vault: Vault,
        person: Person | None,
        callbacks: Callbacks | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.logins = Logins(vault, settings.folder, settings.client_id)
        self.outbound = Outbound(allow_hosts=settings.permitted_hosts, timeout=TIMEOUT)
        self.auth = Authorization(settings, self.logins, self.outbound, person, now)
        self.connection = Connection(settings.url, self.auth, callbacks or Callbacks())
        self.known_tools: list[Tool] = []

    async def tools(self) -> list[Tool]:
        """All tools."""
        self.known_tools = await self._all(lambda client: client.list_tools, lambda page: page.tools)
        return self.known_tools

    async def resources(self) -> list[Resource]:
        """All resources."""
        return await self._all(lambda client: client.list_resources, lambda page: page.resources)

    async def templates(self) -> list[ResourceTemplate]:
        """All resource templates."""
        return await self._all(lambda client: client.list_resource_templates, lambda page: page.resource_templates)

    async def prompts(self) -> list[Prompt]:
        """All prompts."""
        return await self._all(lambda client: client.list_prompts, lambda page: page.prompts)

    async def call(self, tool: str, arguments: dict[str, Any], progress: ProgressFnT | None = None) -> CallToolResult:
        """The result of a tool; a call that was lost is made again only if the tool is said to bear it."""
        call = partial(Client.call_tool, name=tool, arguments=arguments, progress_callback=progress)
        return await self.connection.run(call, repeatable=self._bears_repeating(tool))

    async def read(self, uri: str) -> ReadResourceResult:
        """The contents of a resource."""
        return await self.connection.run(partial(Client.read_resource, uri=uri), repeatable=True)

    async def prompt(self, name: str, arguments: dict[str, str]) -> GetPromptResult:
        """The messages of a prompt."""
        return await self.connection.run(partial(Client.get_prompt, name=name, arguments=arguments), repeatable=True)

    def _bears_repeating(self, tool: str) -> bool:
        """Whether the tool only reads, or does the same again; a server that lies harms itself alone."""
        hints = next((known.annotations for known in self.known_tools if known.name == tool), None)
        return bool(hints and (hints.read_only_hint or hints.idempotent_hint))

    async def _all(
        self, method: Callable[[Client], Callable[..., Awaitable[Any]]], of: Callable[[Any], list[T]]
    ) -> list[T]:
        async def pages(client: Client) -> list[T]:
            found: list[T] = []
            cursor = None
            for _ in range(MAX_PAGES):
                page = await method(client)(cursor=cursor)
                found += of(page)
                cursor = page.next_cursor
                if cursor is None:
                    return found
            raise Misbehaved(f"The server's list has more than {MAX_PAGES} pages, so it is not shown")

        return await self.connection.run(pages, repeatable=True)

    async def log_in(self) -> Login:
        """A new login, whatever there was.

        Raises:
            ClientError: it did not succeed.
        """
        self._refuse_lambda()
        probe = {"jsonrpc": "2.0", "id": 0, "method": "ping"}
        accept = {"Accept": "application/json, text/event-stream"}
        answer = await self.outbound.send(httpx2.Request("POST", self.settings.url, json=probe, headers=accept))
        demand = demand_of(answer) or Demand(None, more_scopes=False)
        found = await find(self.settings.url, demand.challenge, self.outbound, self.settings.issuer)
        if answer.status_code != 401 and not found.published:
            raise NotAuthorized("This server wants no login")
        await self._leave()
        await self.auth.authorize(demand, found)
        return self._logged_in()

    async def fresh(self) -> Login:
        """The login, renewed if it is about to end.

        Raises:
            ClientError: there is none that works.
        """
        login = self.login
        if login and login.is_fresh(time.time()):
            return login
        self._refuse_lambda()
        try:
            return await self.renew()
        except ClientError:
            if login and login is self.auth.login and (login.expires_at or 0) > time.time():
                return login  # it is good yet, for less than a minute
            raise

    async def renew(self) -> Login:
        """The login with a new access token, without a person.

        Raises:
            ClientError: there is no way to have one.
        """
        self._refuse_lambda()
        login = self.login
        if login is None and self.settings.client_credentials:
            return await self.log_in()
        if login is None:
            raise NotAuthorized(f"You are not logged in: run bearergate login {self.settings.url}")
        if not (login.refresh_token or self.settings.client_credentials):
            raise NotAuthorized("The issuer gave nothing to renew this login with: log in again when it ends")
        if not await self.auth.renew(login.access_token):
            raise NotAuthorized("The issuer does not renew this login: log in again")
        return self._logged_in()

    async def log_out(self) -> LoggedOut | None:
        """How the login ended, if there was one: erased here, whatever comes after, and revoked at its issuer."""
        if self.login is None:
            return None
        await self._leave()
        async with self.logins.alone(self.login.issuer, self.login.resource):
            login = self.logins.find(self.settings.url) or self.login  # another program may have renewed it
            self.auth.adopt(login)
            kept = self._erase(login)
            try:
                return LoggedOut(login, kept, untold=await self._revoke(login))
            finally:
                self.auth.adopt(None)

    async def _leave(self) -> None:
        """Forget what was said to who is logged in: others may see other tools, and have no share in a session."""
        self.known_tools = []
        await self.connection.close()

    def _erase(self, login: Login) -> str:
        """Why a login stays on this machine, if it does."""
        try:
            self.logins.forget(self.settings.url, login)
        except Closed as why:
            return str(why)
        return ""

    async def _revoke(self, login: Login) -> str:
        """Why the issuer does not end the refresh token, and the access tokens with it, if it does not (RFC 7009)."""
        if not login.revocation_endpoint:
            return "it names no place to tell it"
        hint = "refresh_token" if login.refresh_token else "access_token"
        token = login.refresh_token or login.access_token
        form = {"token": token, "token_type_hint": hint, "client_id": login.client_id}
        form, headers = self.auth.context.prepare_token_auth(form, {})
        try:
            status = await self._post(login.revocation_endpoint, form, headers)
            if status == HTTPStatus.BAD_REQUEST and "client_secret" not in form:
                # The SDK's issuer wants the member all the same; an empty one says what none does (RFC 6749 §2.3.1).
                status = await self._post(login.revocation_endpoint, {**form, "client_secret": ""}, headers)
        except ClientError as error:
            return str(error)
        except asyncio.CancelledError:  # the login is erased already, and who pressed Ctrl-C must hear what is left
            return "you did not wait for its answer"
        return "" if status < REFUSALS else f"it answered with status {status}"

    async def _post(self, url: str, form: dict[str, str], headers: dict[str, str]) -> int:
        """The status of the answer to a form."""
        return (await self.outbound.send(httpx2.Request("POST", url, data=form, headers=headers))).status_code

    @property
    def login(self) -> Login | None:
        """What is kept of the last login."""
        if self.auth.login is None:
            self.auth.adopt(self.logins.find(self.settings.url))
        return self.auth.login

    def _logged_in(self) -> Login:
        if self.auth.login is None:
            raise NotAuthorized("There is no login")
        return self.auth.login

    def _refuse_lambda(self) -> None:
        if self.settings.auth_method == "lambda":
            raise NotAuthorized("With the auth method lambda the token is that of ACCESS_TOKEN: there is no login")
