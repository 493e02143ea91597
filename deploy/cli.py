"""The `bearergate` command. Every command imports what it needs when it runs, and ends bad input in one sentence.

The command line is read by argparse: typer would take a fifth of the time in which the gate is up and refusing.
"""

from __future__ import annotations

import os
import stat
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from deploy import aws_commands, clients, policies
from deploy.doctor import command as doctor
from deploy.ending import leave, missing, one_sentence

if TYPE_CHECKING:
    from gateway.settings import Settings


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["conformance"]:
        judge_server(given[1:])
    parser = command_line()
    said = parser.parse_args(given)
    if said.version:
        print_version()
    elif said.run is None:
        parser.print_help(sys.stderr)
        raise SystemExit(2)
    else:
        with one_sentence():
            said.run(said)


def command_line() -> ArgumentParser:
    """The commands and their options."""
    parser = ArgumentParser("bearergate", description="The OAuth 2.1 front door for MCP servers.", allow_abbrev=False)
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")

    def command(run: Callable[[Namespace], None]) -> ArgumentParser:
        words = run.__doc__ or ""
        made = commands.add_parser(run.__name__, help=words, description=words, allow_abbrev=False)
        made.set_defaults(run=run)
        return made

    laptop = command(dev)
    laptop.add_argument("--port", type=port, default=8000, metavar="N", help="port of the gate (8000)")
    laptop.add_argument("--issuer-port", type=port, default=8001, metavar="N", help="port of the issuer (8001)")
    laptop.add_argument(
        "--token-seconds", type=positive, default=3600, metavar="N", help="how long access tokens live (3600)"
    )
    laptop.add_argument("--metrics-port", type=port, default=0, metavar="N", help="port of metrics; 0 is none (0)")
    server = command(serve)
    server.add_argument("--host", metavar="ADDRESS", help="address to listen on, over that of the settings")
    server.add_argument("--port", type=port, metavar="N", help="port to listen on, over that of the settings")
    checker = command(check)
    checker.add_argument("--schema", action="store_true", help="print the JSON Schema of the settings instead")
    command(conformance)
    explainer = command(explain)
    explainer.add_argument("id", metavar="ID", help="the id from a refusal, or from a line of the log")
    explainer.add_argument("--log", metavar="FILE", help="the audit log; - is standard input")
    for made in (server, checker, explainer):
        made.add_argument("-f", "--file", type=Path, help="settings file; bearergate.yaml if it is there")
    clients.add(command)
    policies.add(command)
    aws_commands.add(command)
    doctor.add(command)
    return parser


def port(text: str) -> int:
    """A port of a command line; 0 lets the system choose."""
    if not text.isdecimal() or int(text) > 65535:
        raise ArgumentTypeError(f"{text} is no port: give a number from 0 to 65535")
    return int(text)


def positive(text: str) -> int:
    """A number of seconds."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text} is no number of seconds: give 1 or more")
    return int(text)


def dev(said: Namespace) -> None:
    """Run a protected MCP server with its own issuer on this laptop"""
    try:
        from deploy.local import dev as run_dev
    except ImportError as error:
        missing(error, "dev")
    run_dev(said.port, said.issuer_port, said.token_seconds, said.metrics_port)


def serve(said: Namespace) -> None:
    """Run the gate and its tools from settings"""
    from deploy.asgi import serve as run_server

    run_server(settings_of(said.file, host=said.host, port=said.port))


def check(said: Namespace) -> None:
    """Check settings and print what would be published"""
    from deploy.check import print_report, print_schema

    if said.schema:
        print_schema()
    else:
        print_report(settings_of(said.file))


def explain(said: Namespace) -> None:
    """Say why a request was refused, and what to change"""
    from deploy.explain import explain as in_words

    print(in_words(said.id, said.log or audit_log_of(said.file)))


def conformance(_: Namespace) -> None:
    """Judge any protected MCP server; `bearergate conformance --help` says how"""
    judge_server([])


def judge_server(arguments: list[str]) -> NoReturn:
    """Run the judge, which reads its own arguments, and end with its status."""
    try:
        from conformance.command import main as judge
    except ImportError as error:
        missing(error, "conformance")
    raise SystemExit(judge(arguments, "bearergate conformance"))


def print_version() -> None:
    """Print the version that is installed, and whether its hot modules are compiled."""
    from importlib.metadata import version
    from importlib.util import find_spec

    spec = find_spec("gateway.upstream")
    compiled = spec is not None and spec.origin is not None and not spec.origin.endswith(".py")
    print(version("bearergate") + (" (compiled)" if compiled else ""))


def settings_of(file: Path | None, **over: str | int | None) -> Settings:
    """The settings of a file and the environment, with what the command line says on top."""
    from gateway.sources import PREFIX, load

    said = {PREFIX + key.upper(): str(value) for key, value in over.items() if value is not None}
    return load(file, {**os.environ, **said})


def audit_log_of(file: Path | None) -> str:
    """Where the log to read is when nobody says: what is piped in, or the file that the settings name."""
    if sys.stdin is not None:  # which it is where whoever started the process closed it
        piped = os.fstat(sys.stdin.fileno()).st_mode
        if stat.S_ISFIFO(piped) or stat.S_ISREG(piped):
            return "-"
    from gateway.sources import SettingsError

    try:
        destination = settings_of(file).audit_log
    except SettingsError:
        if file is not None:
            raise
        leave("No good settings say where the audit log is (bearergate check): name its file with --log, or pipe it in")
    if destination in ("stdout", "stderr", "off"):
        leave(f"The settings send the audit log to {destination}: pipe it in, or name a file with --log")
    return destination


if __name__ == "__main__":
    main()
