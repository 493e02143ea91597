"""The client as the official conformance suite drives it: `python -m client.conformance URL`, with nobody at a browser.

What to do is in the environment: MCP_CONFORMANCE_SCENARIO, MCP_CONFORMANCE_PROTOCOL_VERSION, MCP_CONFORMANCE_CONTEXT.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from mcp.types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult, Tool

from client.authorization import Authorization
from client.connection import Callbacks, Connection
from client.errors import ClientError
from client.find import find
from client.login import Visit, parameters
from client.outbound import Outbound
from client.settings import LOOPBACK, Settings
from client.tokens import Logins
from client.vault import Memory, Vault

if TYPE_CHECKING:
    from mcp import Client
    from mcp.client.context import ClientRequestContext

DOCUMENT = "https://conformance-test.local/client-metadata.json"  # the client id that the suite knows; never fetched
REDIRECT = "http://localhost:3000/callback"  # nothing needs to listen there
MACHINES = (
    "auth/client-credentials-basic",
    "auth/client-credentials-jwt",
    "auth/wif-jwt-bearer",
    "auth/enterprise-managed-authorization",
)
SECONDS = 60  # the suite runs all its scenarios at once, so an answer can take its time
MODERN = "2026-07-28"


class Nobody:
    """Logs in by asking for the authorization URL: the suite's issuer answers with the redirect at once."""

    redirect_uri = REDIRECT

    @asynccontextmanager
    async def visit(self, redirect_uri: str, why: str = "") -> AsyncIterator[Visit]:
        """A trip without a browser."""
        del redirect_uri, why
        yield self

    async def go(self, url: str) -> dict[str, str]:
        """The parameters of the redirect, which is not followed."""
        async with httpx2.AsyncClient() as http:
            answer = await http.get(url, follow_redirects=False)
        return parameters(answer.headers["location"])

    def finish(self, outcome: str) -> None:
        """Nobody looks."""


async def defaults(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """An accepted form with the defaults of its schema (SEP-1034)."""
    del context
    if not isinstance(params, ElicitRequestFormParams):
        return ElicitResult(action="decline")
    properties: dict[str, Any] = params.requested_schema.get("properties", {})
    content = {name: schema["default"] for name, schema in properties.items() if "default" in schema}
    return ElicitResult(action="accept", content=content)


def settings_for(url: str, context: dict[str, Any], scenario: str) -> Settings:
    """The settings of a scenario."""
    return Settings(
        url=url,
        auth_method="oauth",
        client_id=context.get("client_id", ""),
        client_secret=context.get("client_secret", ""),
        issuer=context.get("issuer", ""),
        client_metadata_url=DOCUMENT,
        client_key=context.get("private_key_pem", ""),
        workload_token=context.get("valid_jwt", ""),
        client_credentials=scenario in MACHINES,
        redirect_uri=REDIRECT,
        folder=Path(os.devnull),
    )


async def scenario(url: str, name: str, revision: str, context: dict[str, Any]) -> None:
    """Connect, list the tools and call what the scenario wants called."""
    if "idp_id_token" in context:
        context = {**context, "valid_jwt": await identity_assertion(url, context)}
    settings = settings_for(url, context, name)
    logins = Logins(Vault([Memory()], print), settings.folder, settings.client_id)
    auth = Authorization(settings, logins, Outbound(allow_hosts=settings.permitted_hosts, timeout=SECONDS), Nobody())
    mode = "auto" if revision == MODERN else "legacy"
    connection = Connection(url, auth, Callbacks(elicit=defaults), mode)
    try:
        tools = (await connection.run(lambda client: client.list_tools(), repeatable=True)).tools
        for tool, arguments in calls(tools, context):
            await connection.run(partial(call, tool=tool, arguments=arguments), repeatable=False)
        await connection.run(read_everything, repeatable=True)
    finally:
        await connection.close()


async def identity_assertion(url: str, context: dict[str, Any]) -> str:
    """What an enterprise's issuer gives for an ID token: an assertion for the server's own issuer (RFC 8693, SEP-990).

    Elsewhere this is the business of the platform that the client runs on, which hands over the result.
    """
    outbound = Outbound(allow_hosts=LOOPBACK, timeout=SECONDS)
    found = await find(url, None, outbound)
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": context["idp_id_token"],
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
        "audience": found.issuer.issuer,
        "resource": found.resource,
        "client_id": context["idp_client_id"],
    }
    answer = await outbound.send(httpx2.Request("POST", context["idp_token_endpoint"], data=form))
    return str(answer.json()["access_token"])


def calls(tools: list[Tool], context: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The calls that the suite lists, else one of every tool."""
    listed = context.get("toolCalls")
    if listed is not None:
        return [(each["name"], each.get("arguments", {})) for each in listed]
    schemas = {tool.name: tool.input_schema for tool in tools}
    known: dict[str, dict[str, Any]] = {
        "add_numbers": {"a": 5, "b": 3},
        "json_schema_echo": {"schema": schemas.get("json_schema_2020_12_tool")},
    }
    return [(tool.name, known.get(tool.name, {})) for tool in tools]


async def call(client: Client, tool: str, arguments: dict[str, Any]) -> None:
    """One call, whose answer does not matter."""
    await client.call_tool(tool, arguments)


async def read_everything(client: Client) -> None:
    """Every resource and every prompt, of a server that has them."""
    if client.server_capabilities.resources:
        for resource in (await client.list_resources()).resources:
            await client.read_resource(str(resource.uri))
    if client.server_capabilities.prompts:
        for prompt in (await client.list_prompts()).prompts:
            await client.get_prompt(prompt.name)


def main() -> None:
    """Run the scenario of the environment."""
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    name = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    revision = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "")
    try:
        asyncio.run(scenario(sys.argv[-1], name, revision, context))
    except ClientError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
