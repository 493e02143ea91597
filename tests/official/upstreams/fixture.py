"""The server that the official suite asks for, on the Python SDK: `python -m tests.official.upstreams.fixture`.

Names, contents and behaviour are those of the descriptions that the suite prints. It serves over plain HTTP, or over
TLS with the certificate and key that are its arguments, prints its endpoint, and runs until it is told to stop; with
the argument `stdio`, it serves on standard input and output.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import anyio
import uvicorn
from mcp import types
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from pydantic import TypeAdapter, WithJsonSchema

from deploy.server import listen
from tools.event_store import BoundedEventStore

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
STEP_SECONDS = 0.05
AWAY_SECONDS = 0.2  # that the client has to come back in
RETRY_MILLISECONDS = 100
MISSING_CAPABILITY = -32021
Region = Annotated[str, WithJsonSchema({"type": "string", "x-mcp-header": "Region"})]

ADDRESS = {
    "$anchor": "addressDef",
    "type": "object",
    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
}
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": ADDRESS},
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

DEFAULTS = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
TITLED = [{"const": "value1", "title": "First"}, {"const": "value2", "title": "Second"}]
ENUMS = {
    "untitledSingle": {"type": "string", "enum": ["option1", "option2"]},
    "titledSingle": {"type": "string", "oneOf": TITLED},
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["One", "Two"]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2"]}},
    "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
}

server = MCPServer("fixture", version="1", log_level="WARNING")
_requests = TypeAdapter(types.InputRequests)


def text(said: str) -> types.TextContent:
    return types.TextContent(type="text", text=said)


def image() -> types.ImageContent:
    return types.ImageContent(type="image", data=PNG, mime_type="image/png")


def embedded(uri: str, mime_type: str, said: str) -> types.EmbeddedResource:
    contents = types.TextResourceContents(uri=uri, mime_type=mime_type, text=said)
    return types.EmbeddedResource(type="resource", resource=contents)


def form(message: str, **properties: object) -> dict[str, Any]:
    """A question to a person, as a server writes it into a result."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def sample(prompt: str, max_tokens: int = 100) -> dict[str, Any]:
    """A question to a model, likewise."""
    message = {"role": "user", "content": {"type": "text", "text": prompt}}
    return {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": max_tokens}}


ROOTS = {"method": "roots/list", "params": {}}
NAME = {"user_name": form("What is your name?", name={"type": "string"})}
CONFIRM = {"confirm": form("Please confirm", ok={"type": "boolean"})}


def asking(requests: dict[str, Any], state: str | None = None) -> types.InputRequiredResult:
    """The result that asks for more."""
    return types.InputRequiredResult(input_requests=_requests.validate_python(requests), request_state=state)


def answered(ctx: Context, *keys: str) -> list[Any] | None:
    """What the client has answered; None unless all of it is there."""
    given = {key: answer.model_dump(mode="json", by_alias=True) for key, answer in (ctx.input_responses or {}).items()}
    return [given[key] for key in keys] if all(key in given for key in keys) else None


Asked = types.CallToolResult | types.InputRequiredResult


def done(said: object) -> types.CallToolResult:
    return types.CallToolResult(content=[text(str(said))])


@server.tool(description="Answers with a text.")
def test_simple_text() -> types.CallToolResult:
    return done("This is a simple text response for testing.")


@server.tool(description="Answers with an image.")
def test_image_content() -> types.CallToolResult:
    return types.CallToolResult(content=[image()])


@server.tool(description="Answers with a sound.")
def test_audio_content() -> types.CallToolResult:
    return types.CallToolResult(content=[types.AudioContent(type="audio", data=WAV, mime_type="audio/wav")])


@server.tool(description="Answers with a resource.")
def test_embedded_resource() -> types.CallToolResult:
    said = embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    return types.CallToolResult(content=[said])


@server.tool(description="Answers with a text, an image and a resource.")
def test_multiple_content_types() -> types.CallToolResult:
    said = embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return types.CallToolResult(content=[text("Multiple content types test:"), image(), said])


@server.tool(description="Fails.")
def test_error_handling() -> types.CallToolResult:
    said = text("This tool intentionally returns an error for testing")
    return types.CallToolResult(content=[said], is_error=True)


@server.tool(description="Logs three lines on its way.")
async def test_tool_with_logging(ctx: Context) -> types.CallToolResult:
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(line)
        await anyio.sleep(STEP_SECONDS)
    return done("logged")


@server.tool(description="Reports how far it is.")
async def test_tool_with_progress(ctx: Context) -> types.CallToolResult:
    for percent in (0, 50, 100):
        await ctx.report_progress(percent, 100)
        await anyio.sleep(STEP_SECONDS)
    return done("all done")


@server.tool(description="Hangs up in the middle, and has its result for whoever comes back.")
async def test_reconnection(ctx: Context) -> types.CallToolResult:
    await ctx.close_sse_stream()
    await anyio.sleep(AWAY_SECONDS)
    return done("reconnected")


@server.tool(description="Asks the client's model.")
async def test_sampling(prompt: str, ctx: Context) -> types.CallToolResult:
    asked = types.CreateMessageRequest.model_validate(sample(prompt))
    about = ServerMessageMetadata(related_request_id=ctx.request_id)
    said = await ctx.session.send_request(asked, types.CreateMessageResult, metadata=about)
    return done(f"LLM response: {getattr(said.content, 'text', '')}")


async def elicited(ctx: Context, message: str, properties: dict[str, Any]) -> types.CallToolResult:
    schema = {"type": "object", "properties": properties}
    said = await ctx.session.elicit_form(message, schema, ctx.request_id)
    return done(f"Elicitation completed: action={said.action}, content={json.dumps(said.content)}")


@server.tool(description="Asks the person before the client.")
async def test_elicitation(message: str, ctx: Context) -> types.CallToolResult:
    return await elicited(ctx, message, {"username": {"type": "string"}, "email": {"type": "string"}})


@server.tool(description="Asks with defaults.")
async def test_elicitation_sep1034_defaults(ctx: Context) -> types.CallToolResult:
    return await elicited(ctx, "Please check", DEFAULTS)


@server.tool(description="Asks for choices.")
async def test_elicitation_sep1330_enums(ctx: Context) -> types.CallToolResult:
    return await elicited(ctx, "Please choose", ENUMS)


@server.tool(description="Needs a client with a model.")
def test_missing_capability(ctx: Context) -> types.CallToolResult:
    if ctx.client_capabilities is None or ctx.client_capabilities.sampling is None:
        data: dict[str, object] = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_CAPABILITY, "This needs the sampling capability.", data)
    return done("it is there")


@server.tool(description="Tells that the tools have changed.")
async def test_trigger_tool_change(ctx: Context) -> types.CallToolResult:
    await ctx.notify_tools_changed()
    return done("told")


@server.tool(description="Tells that the prompts have changed.")
async def test_trigger_prompt_change(ctx: Context) -> types.CallToolResult:
    await ctx.notify_prompts_changed()
    return done("told")


@server.tool(description="Has a schema with all that JSON Schema 2020-12 offers.")
def json_schema_2020_12_tool() -> types.CallToolResult:
    return done("valid")


@server.tool(description="Has an argument that is repeated in a header.")
def test_x_mcp_header(region: Region) -> types.CallToolResult:
    return done(region)


@server.tool(description="Asks a person within its result.")
def test_input_required_result_elicitation(ctx: Context) -> Asked:
    given = answered(ctx, "user_name")
    return done(f"Hello, {given[0]['content']['name']}!") if given else asking(NAME)


@server.tool(description="Asks a model within its result.")
def test_input_required_result_sampling(ctx: Context) -> Asked:
    given = answered(ctx, "capital_question")
    return done(json.dumps(given)) if given else asking({"capital_question": sample("What is the capital of France?")})


@server.tool(description="Asks for roots within its result.")
def test_input_required_result_list_roots(ctx: Context) -> Asked:
    given = answered(ctx, "client_roots")
    return done(json.dumps(given)) if given else asking({"client_roots": ROOTS})


@server.tool(description="Needs its state back.")
def test_input_required_result_request_state(ctx: Context) -> Asked:
    if answered(ctx, "confirm") and ctx.request_state == "waits":
        return done("state-ok")
    return asking(CONFIRM, "waits")


@server.tool(description="Asks for several things at once.")
def test_input_required_result_multiple_inputs(ctx: Context) -> Asked:
    given = answered(ctx, "user_name", "greeting", "client_roots")
    if given:
        return done(json.dumps(given))
    return asking({**NAME, "greeting": sample("Generate a greeting", 50), "client_roots": ROOTS}, "several")


@server.tool(description="Asks twice.")
def test_input_required_result_multi_round(ctx: Context) -> Asked:
    if ctx.request_state == "second" and (given := answered(ctx, "step2")):
        return done(json.dumps(given))
    if ctx.request_state == "first" and answered(ctx, "step1"):
        asked = form("Step 2: What is your favorite color?", color={"type": "string"})
        return asking({"step2": asked}, "second")
    return asking({"step1": form("Step 1: What is your name?", name={"type": "string"})}, "first")


@server.tool(description="Notices that its state was changed.")
def test_input_required_result_tampered_state(ctx: Context) -> Asked:
    return done("unchanged") if answered(ctx, "confirm") and ctx.request_state else asking(CONFIRM, "protected")


@server.tool(description="Asks only what the client can answer.")
def test_input_required_result_capabilities(ctx: Context) -> Asked:
    able = ctx.client_capabilities
    wanted = {
        "user_name": NAME["user_name"] if able and able.elicitation is not None else None,
        "greeting": sample("Generate a greeting") if able and able.sampling is not None else None,
    }
    asked = {key: value for key, value in wanted.items() if value is not None}
    return asking(asked) if asked and not ctx.input_responses else done("nothing to ask")


@server.prompt(description="Is simple.")
def test_simple_prompt() -> str:
    return "This is a simple prompt for testing."


@server.prompt(description="Has two arguments.")
def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@server.prompt(description="Embeds a resource.")
def test_prompt_with_embedded_resource(resourceUri: str) -> list[Message]:  # noqa: N803 - the suite's name
    said = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
    return [UserMessage(said), UserMessage("Please process the embedded resource above.")]


@server.prompt(description="Shows an image.")
def test_prompt_with_image() -> list[Message]:
    return [UserMessage(image()), UserMessage("Please analyze the image above.")]


@server.prompt(description="Asks a person before it is there.")
def test_input_required_result_prompt(ctx: Context) -> str | types.InputRequiredResult:
    given = answered(ctx, "user_context")
    if given:
        return f"Use this: {given[0]['content']['context']}"
    return asking({"user_context": form("What context should the prompt use?", context={"type": "string"})})


@server.resource("test://static-text", mime_type="text/plain", description="A text.")
def static_text() -> str:
    return "This is the content of the static text resource."


@server.resource("test://static-binary", mime_type="image/png", description="An image.")
def static_binary() -> bytes:
    return base64.b64decode(PNG)


@server.resource("test://watched-resource", mime_type="text/plain", description="A text to be watched.")
def watched_resource() -> str:
    return "Watched resource content"


@server.resource("test://template/{id}/data", mime_type="application/json", description="Data by its id.")
def template(id: str) -> str:  # noqa: A002 - the suite's name
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


@server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # the SDK says no types here
async def complete(
    _: types.PromptReference | types.ResourceTemplateReference,
    argument: types.CompletionArgument,
    __: types.CompletionContext | None,
) -> types.Completion:
    return types.Completion(values=[f"{argument.value}-completed"], total=1, has_more=False)


def finish() -> MCPServer:
    """The server with what its decorators have no words for: a schema to the letter, and requests without an answer."""
    tool = server._tool_manager.get_tool("json_schema_2020_12_tool")
    assert tool is not None
    tool.parameters = SCHEMA
    accept: Callable[[Any, Any], Awaitable[types.EmptyResult]] = _accept
    for method, params in (
        ("resources/subscribe", types.SubscribeRequestParams),
        ("resources/unsubscribe", types.UnsubscribeRequestParams),
        ("logging/setLevel", types.SetLevelRequestParams),
    ):
        server._lowlevel_server.add_request_handler(method, params, accept)
    return server


async def _accept(_: Any, __: Any) -> types.EmptyResult:
    return types.EmptyResult()


def main() -> None:
    if sys.argv[1:] == ["stdio"]:
        finish().run("stdio")
        return
    app = finish().streamable_http_app(
        event_store=BoundedEventStore(),
        retry_interval=RETRY_MILLISECONDS,
        transport_security=TransportSecuritySettings(
            allowed_hosts=["localhost:*", "127.0.0.1:*"], allowed_origins=["http://localhost:*", "http://127.0.0.1:*"]
        ),
    )
    sockets = listen(["127.0.0.1"], 0)
    certificate = sys.argv[1] if sys.argv[1:] else None  # and its key
    # Of uvicorn's parsers, h11 alone takes off the blanks around a header's value, on which one check insists.
    config = uvicorn.Config(app, http="h11", log_config=None, ssl_certfile=certificate, timeout_graceful_shutdown=1)
    scheme = "https" if certificate else "http"
    sys.stdout.write(f"{scheme}://localhost:{sockets[0].getsockname()[1]}/mcp\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets)


if __name__ == "__main__":
    main()
