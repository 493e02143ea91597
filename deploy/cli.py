"""The `bearergate` command. Every command imports what it needs when it runs, and ends bad input in one sentence."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from gateway.settings import Settings

OWN = {"gateway", "discovery", "tools", "deploy", "conformance"}

app = typer.Typer(
    help="The OAuth 2.1 front door for MCP servers.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

File = Annotated[Path | None, typer.Option("--file", "-f", help="Settings file; bearergate.yaml if it is there.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on, over that of the settings.")]


@app.command()
def dev(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the gate.")] = 8000,
    issuer_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the embedded issuer.")] = 8001,
    token_seconds: Annotated[
        int, typer.Option(min=1, help="Seconds an access token lives; a few show how clients refresh.")
    ] = 3600,
) -> None:
    """Run a protected MCP server with its own issuer on this laptop."""
    try:
        from deploy.local import dev as run_dev
    except ImportError as error:
        missing(error, "dev")
    with one_sentence():
        run_dev(port, issuer_port, token_seconds)


@app.command()
def serve(
    file: File = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on, over that of the settings.")] = None,
    port: Port = None,
) -> None:
    """Run the gate and its tools from settings."""
    try:
        from deploy.asgi import serve as run_server
    except ImportError as error:
        missing(error, "tools")
    with one_sentence():
        run_server(settings_of(file, host=host, port=port))


@app.command()
def check(
    file: File = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the settings instead.")] = False,
) -> None:
    """Check settings and print what would be published."""
    from deploy.check import print_report, print_schema

    with one_sentence():
        if schema:
            print_schema()
        else:
            print_report(settings_of(file))


@app.command()
def explain(
    decision_id: Annotated[str, typer.Argument(metavar="ID", help="The id from a refusal, or from a line of the log.")],
    log: Annotated[str | None, typer.Option(help="The audit log; - is standard input.")] = None,
    file: File = None,
) -> None:
    """Say why a request was refused, and what to change."""
    from deploy.explain import explain as in_words

    with one_sentence():
        print(in_words(decision_id, log or audit_log_of(file)))


@app.callback(invoke_without_command=True)
def bearergate(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """The OAuth 2.1 front door for MCP servers."""
    if version:
        print(importlib.metadata.version("bearergate"))
        raise typer.Exit


def settings_of(file: Path | None, **over: str | int | None) -> Settings:
    """The settings of a file and the environment, with what the command line says on top."""
    from gateway.sources import PREFIX, load

    said = {PREFIX + key.upper(): str(value) for key, value in over.items() if value is not None}
    return load(file, {**os.environ, **said})


def audit_log_of(file: Path | None) -> str:
    """Where the log to read is when nobody says: what is piped in, or the file that the settings name."""
    piped = os.fstat(sys.stdin.fileno()).st_mode
    if stat.S_ISFIFO(piped) or stat.S_ISREG(piped):
        return "-"
    destination = settings_of(file).audit_log
    if destination in ("stdout", "stderr", "off"):
        leave(f"The settings send the audit log to {destination}: pipe it in, or name a file with --log")
    return destination


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Ends the command with a sentence per problem, and exit status 1, where the cause is not a fault of ours."""
    from deploy.explain import NotExplainedError
    from deploy.output import CannotWriteError
    from deploy.server import CannotListenError
    from gateway.sources import SettingsError
    from tools.registry import PluginError

    try:
        yield
    except (SettingsError, PluginError, CannotListenError, CannotWriteError, NotExplainedError) as error:
        leave(str(error))


def missing(error: ImportError, extra: str) -> NoReturn:
    """End a command whose parts are not installed."""
    if error.name is not None and error.name.partition(".")[0] in OWN:
        raise error  # a fault of ours, not a part left out
    leave(f"This command needs {error.name}, which is not installed: pip install 'bearergate[{extra}]'")


def leave(text: str) -> NoReturn:
    """Say why on standard error and end with status 1."""
    for line in text.splitlines():
        print(f"bearergate: {line}", file=sys.stderr)
    raise SystemExit(1)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
