"""What a server asks a person in the middle of a call (MCP, Elicitation): forms, and pages to visit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp.types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult

from client.ask import Asker, Declined, answer
from client.errors import BadInput, ClientError
from client.login import check_address
from client.output import Output
from client.schema import properties_of, required_of

if TYPE_CHECKING:
    from mcp.client.context import ClientRequestContext


async def elicit(asked: ElicitRequestParams, asker: Asker, output: Output) -> ElicitResult:
    """The answer to a server that asks in the middle of a call; declined where nobody is there to ask."""
    output.say(f"The server asks: {asked.message}")
    try:
        if isinstance(asked, ElicitRequestFormParams):
            schemas = properties_of(asked.requested_schema)
            required = required_of(asked.requested_schema)
            content: dict[str, Any] = {}
            for name, schema in schemas.items():
                given = await answer(name, schema, asker, optional=name not in required)
                if given is not None:
                    content[name] = given
            return ElicitResult(action="accept", content=content)
        return await _visit(asked.url, asker, output)
    except Declined:
        return ElicitResult(action="cancel")
    except BadInput as error:
        output.say(str(error))
        return ElicitResult(action="decline")


async def _visit(url: str, asker: Asker, output: Output) -> ElicitResult:
    """A page that the server wants visited, which the person decides about (MCP, URL Mode Elicitation)."""
    try:
        check_address(url)
    except ClientError as error:
        output.say(str(error))
        return ElicitResult(action="decline")
    output.say(f"It wants you to open this address in a browser:\n{url}")
    visited = await answer("Have you done so", {"type": "boolean"}, asker)
    return ElicitResult(action="accept" if visited else "decline")


def elicitation(asker: Asker, output: Output) -> Any:
    """`elicit` as the SDK calls it."""

    async def ask(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        del context
        return await elicit(params, asker, output)

    return ask
