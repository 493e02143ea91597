"""The server that a person or script chose: its connection, and the login for it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
from mcp import Client

from client.authorization import Authorization
from client.connection import Callbacks, Connection
from client.demand import Demand, demand_of
from client.errors import ClientError, NotAuthorized
from client.find import find
from client.login import Person
from client.outbound import TIMEOUT, Outbound
from client.settings import Settings
from client.tokens import Login, Logins
from client.vault import Vault

if TYPE_CHECKING:
    from mcp.shared.dispatcher import ProgressFnT
    from mcp.types import CallToolResult, GetPromptResult, Prompt, ReadResourceResult, Resource, ResourceTemplate, Tool

MAX_PAGES = 1000  # of one list: a server that never ends would otherwise hold the shell for ever
T = TypeVar("T")


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
                    break
            return found

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
        return await self.renew()

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
        if not await self.auth.renew(login.access_token):
            raise NotAuthorized("The issuer does not renew this login: log in again")
        return self._logged_in()

    async def log_out(self) -> bool:
        """Whether there was a login; it is revoked at the issuer, if that can be done, and erased here."""
        login = self.login
        if login is None:
            return False
        form = {"token": login.refresh_token or login.access_token, "client_id": login.client_id}
        form, headers = self.auth.context.prepare_token_auth(form, {})
        self.logins.forget(self.settings.url, login)
        self.auth.adopt(None)
        if login.revocation_endpoint:
            await self._revoke(httpx2.Request("POST", login.revocation_endpoint, data=form, headers=headers))
        return True

    async def _revoke(self, request: httpx2.Request) -> None:
        """RFC 7009; the refresh token, which takes the access tokens with it."""
        try:
            await self.outbound.send(request)
        except ClientError:
            return  # erased here all the same

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
