"""The commands of the shell, by name, with their usage and what they do."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from client.errors import BadInput
from client.plain import check_text, line
from client.schema import properties_of, required_of

if TYPE_CHECKING:
    from mcp.types import Tool

    from client.shell import Shell

Run = Callable[["Shell", str], Awaitable[None]]


class WrongCount(Exception):
    """A command got too many words, or too few."""


class Command(NamedTuple):
    """One command: how it is typed, what it does, and the function, which gets the rest of the line."""

    usage: str
    about: str
    run: Run


COMMANDS: dict[str, Command] = {}
ALIASES = {"exit": "quit"}


def command(usage: str, about: str) -> Callable[[Run], Run]:
    """A function as a command; the name is the first word of its usage."""

    def add(run: Run) -> Run:
        COMMANDS[usage.split(maxsplit=1)[0]] = Command(usage, about, run)
        return run

    return add


async def perform(shell: Shell, text: str) -> None:
    """Run one line.

    Raises:
        ClientError: why it did not work.
    """
    check_text(text)
    name, _, rest = text.partition(" ")
    found = COMMANDS.get(ALIASES.get(name.lower(), name.lower()))
    if found is None:
        raise BadInput(f"There is no command {line(name)}: type help for those there are")
    try:
        await found.run(shell, rest.strip())
    except WrongCount:
        raise BadInput(f"Usage: {found.usage}") from None


@command("connect [url]", "Connect, to another server if a URL is given")
async def connect(shell: Shell, rest: str) -> None:
    (url,) = words(rest, 0, 1) or [""]
    if url and url != shell.settings.url:
        await shell.change(url=url)
    await opened(shell)


@command("disconnect", "Close the connection")
async def disconnect(shell: Shell, rest: str) -> None:
    words(rest, 0, 0)
    if not shell.has_server or shell.server.connection.client is None:
        shell.output.say("Not connected.")
        return
    await shell.close()
    shell.output.say("Disconnected.")


@command("reconnect", "Close the connection and connect again")
async def reconnect(shell: Shell, rest: str) -> None:
    words(rest, 0, 0)
    await shell.close()
    await opened(shell)


@command("terminate-session", "Have the server end its session")
async def terminate_session(shell: Shell, rest: str) -> None:
    words(rest, 0, 0)
    if not shell.has_server or shell.server.connection.session is None:
        shell.output.say("There is no session: servers of revision 2026-07-28 have none.")
    elif await shell.server.connection.end_session():
        shell.output.say("The session is ended.")
    else:
        shell.output.say("The server does not end sessions when asked; it is forgotten here.")


async def opened(shell: Shell) -> None:
    """Connect, and say to what."""
    client = await shell.server.connection.open()
    info = client.server_info
    name = f"{line(info.name)} {line(info.version)}".strip() if info else "a server that does not say its name"
    shell.output.say(f"Connected to {name} at {line(shell.settings.url)} (MCP {line(client.protocol_version)}).")
    if client.server_capabilities.tools is not None:
        await shell.server.tools()


@command("list-tools", "List the tools")
async def list_tools(shell: Shell, rest: str) -> None:
    words(rest, 0, 0)
    listed(shell, await shell.server.tools(), ("name", "arguments", "description"), _tool_row)


def _tool_row(tool: Tool) -> list[str]:
    required = required_of(tool.input_schema)
    names = [name if name in required else f"[{name}]" for name in properties_of(tool.input_schema)]
    return [tool.name, " ".join(names), tool.description or tool.title or ""]


@command("list-resources", "List the resources and resource templates")
async def list_resources(shell: Shell, rest: str) -> None:
    words(rest, 0, 0)
    resources, templates = await shell.server.resources(), await shell.server.templates()
    if shell.output.as_json:
        listed(shell, [*resources, *templates], (), list)
        return
    listed(shell, resources, ("uri", "name", "description"), lambda r: [str(r.uri), r.name, r.description or ""])
    if templates:
        columns = ("template", "name", "description")
        listed(shell, templates, columns, lambda t: [t.uri_template, t.name, t.description or ""])


@command("list-prompts", "List the prompts")
async def list_prompts(shell: Shell, rest: str) -> None:
    words(rest, 0, 0)
    listed(
        shell,
        await shell.server.prompts(),
        ("name", "arguments", "description"),
        lambda p: [p.name, " ".join(a.name if a.required else f"[{a.name}]" for a in p.arguments or []), p.description],
    )


def listed(shell: Shell, found: list, columns: tuple[str, ...], row: Callable) -> None:  # type: ignore[type-arg]
    """A list of what a server has."""
    from client.results import as_json

    if shell.output.as_json:
        shell.output.json([as_json(each) for each in found])
    elif found:
        shell.output.table(columns, [row(each) for each in found])
    else:
        shell.output.say("There are none.")


@command("call-tool <name> [json]", "Call a tool; missing arguments are asked for")
async def call_tool(shell: Shell, rest: str) -> None:
    from client.ask import arguments_of

    name, _, arguments = rest.partition(" ")
    if not name:
        raise BadInput('Usage: call-tool <name> [json], as in: call-tool greet {"name": "Ada"}')
    await called(shell, name, arguments_of(arguments))


async def called(shell: Shell, name: str, arguments: dict[str, object]) -> None:
    """Call a tool and show its result.

    Raises:
        ToolFailed: the tool says that it failed; what else it says was shown.
    """
    from client.calling import call

    if shell.interactive and not shell.server.known_tools:
        await shell.server.tools()
    await call(shell.server, name, arguments, shell.output, shell.asker)


@command("greet [name]", "Call the tool greet")
async def greet(shell: Shell, rest: str) -> None:
    await called(shell, "greet", {"name": rest or "MCP User"})


@command("multi-greet [name]", "Call the tool multi-greet, which reports as it goes")
async def multi_greet(shell: Shell, rest: str) -> None:
    await called(shell, "multi-greet", {"name": rest or "MCP User"})


@command("bedrock-report [region] [log_group] [days] [account_id]", "Report the use of Amazon Bedrock")
async def bedrock_report(shell: Shell, rest: str) -> None:
    names = ("region", "log_group_name", "days", "aws_account_id")
    arguments: dict[str, object] = dict(zip(names, words(rest, 0, len(names)), strict=False))
    if "days" in arguments:
        if not str(arguments["days"]).isdecimal() or int(str(arguments["days"])) < 1:
            raise BadInput("The number of days is a whole number from 1 on")
        arguments["days"] = int(str(arguments["days"]))
    defaults = {"region": "us-east-1", "log_group_name": "/aws/bedrock/modelinvocations", "days": 1}
    await called(shell, "get_bedrock_usage_report", {**defaults, **arguments})


@command("read-resource <uri>", "Read a resource")
async def read_resource(shell: Shell, rest: str) -> None:
    from client.results import show_resource

    (uri,) = words(rest, 1, 1)
    show_resource(await shell.server.read(uri), shell.output)


@command("get-prompt <name> [json]", "Get a prompt; missing arguments are asked for")
async def get_prompt(shell: Shell, rest: str) -> None:
    from client.ask import arguments_of, completed
    from client.results import show_prompt

    name, _, text = rest.partition(" ")
    if not name:
        raise BadInput("Usage: get-prompt <name> [json]")
    known = next((p.arguments or [] for p in await shell.server.prompts() if p.name == name), [])
    schema = {
        "required": [each.name for each in known if each.required],
        "properties": {each.name: {"description": each.description or ""} for each in known},
    }
    arguments = await completed(schema, arguments_of(text), shell.asker)
    texts = {key: value if isinstance(value, str) else str(value) for key, value in arguments.items()}
    show_prompt(await shell.server.prompt(name, texts), name, shell.output)


@command("auth login|logout|status|refresh", "Log in, log out, show or renew the login")
async def auth(shell: Shell, rest: str) -> None:
    from client import account

    actions = {
        "login": account.log_in,
        "logout": account.log_out,
        "status": account.show_status,
        "refresh": account.refresh,
    }
    if rest not in actions:
        raise BadInput("Usage: auth login, auth logout, auth status or auth refresh")
    await actions[rest](shell.server, shell.output)


@command("set-auth-method oauth|lambda|auto", "Choose where tokens come from")
async def set_auth_method(shell: Shell, rest: str) -> None:
    (method,) = words(rest, 1, 1)
    await shell.change(auth_method=method)
    shell.output.say(f"Auth method set to {method}.")


@command("debug on|off", "Show every request to the server")
async def debug(shell: Shell, rest: str) -> None:
    if rest not in ("on", "off", ""):
        raise BadInput("Usage: debug on or debug off")
    if rest:
        import dataclasses

        shell.settings = dataclasses.replace(shell.settings, debug=rest == "on")
    shell.output.say(f"Debug is {'on' if shell.settings.debug else 'off'}.")


@command("history", "Show what was typed in this shell")
async def history(shell: Shell, rest: str) -> None:
    words(rest, 0, 0)
    if shell.output.as_json:
        shell.output.json(shell.history)
    else:
        shell.output.text("\n".join(f"{count:5}  {line(text)}" for count, text in enumerate(shell.history, 1)))


@command("help", "Show the commands")
async def help_(shell: Shell, rest: str) -> None:
    del rest
    if shell.output.as_json:
        shell.output.json([{"usage": each.usage, "about": each.about} for each in COMMANDS.values()])
    else:
        shell.output.table(("command", "what it does"), [(each.usage, each.about) for each in COMMANDS.values()])


@command("quit", "Leave")
async def quit_(shell: Shell, rest: str) -> None:
    words(rest, 0, 0)
    shell.done = True


def words(rest: str, least: int, most: int) -> list[str]:
    """The words of a line, of which there must be so many.

    Raises:
        WrongCount: there are more or fewer.
        BadInput: a quote is left open.
    """
    try:
        found = shlex.split(rest)
    except ValueError:
        raise BadInput("A quote is left open") from None
    if not least <= len(found) <= most:
        raise WrongCount
    return found


ABOUT = {name: each.about for name, each in COMMANDS.items()}
