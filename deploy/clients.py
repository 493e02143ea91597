"""The verbs of the client: `shell`, `call`, `login` and `token`. Each imports what it needs when it runs."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.ending import Add, missing, reader_gone

if TYPE_CHECKING:
    from client.output import Output
    from client.settings import Settings


def add(command: Add) -> None:
    """Put the verbs on a command line."""
    interactive, once, *others = made = [command(run) for run in (shell, call, login, token)]
    for each in made:
        options(each)
    interactive.add_argument("url", nargs="?", metavar="URL", help="the server; MCP_SERVER_URL, or the one of `dev`")
    interactive.add_argument("-c", dest="commands", action="append", metavar="COMMANDS", help="run these, one a line")
    once.add_argument("url", metavar="URL", help="the server")
    once.add_argument("tool", metavar="TOOL", help="the tool's name")
    once.add_argument("arguments", nargs="?", default="", metavar="JSON", help="its arguments; - is standard input")
    for each in others:
        each.add_argument("url", metavar="URL", help="the server")


def options(parser: ArgumentParser) -> None:
    """What all verbs have in common. A secret has no option: others could read it in the list of processes."""
    say = parser.add_argument
    say("--json", action="store_true", help="print results as JSON")
    say("--auth", dest="auth_method", choices=("oauth", "lambda", "auto"), help="where tokens come from (auto)")
    say("--no-browser", action="store_true", help="print the login's address, and paste what it ends at")
    say("--client-id", metavar="ID", help="a client registered beforehand")
    say("--client-secret-file", type=Path, metavar="FILE", help="its secret; else OAUTH_CLIENT_SECRET")
    say("--client-key-file", type=Path, metavar="FILE", help="its private key (PEM), in place of a secret")
    say("--workload-token-file", type=Path, metavar="FILE", help="a token of the platform it runs on, in place of both")
    say("--ask-client-secret", action="store_true", help="ask for its secret")
    say("--client-credentials", action="store_true", default=None, help="log in as the client itself")
    say("--client-metadata-url", metavar="URL", help="a client id that is a document")
    say("--issuer", metavar="URL", help="the issuer that the client id belongs to")
    say("--redirect-uri", metavar="URI", help="where the login ends (a free loopback port)")
    say("--scope", metavar="SCOPES", help="scopes to ask for beside what the server names")
    say("--allow-host", action="append", metavar="HOST", help="a host of yours that may be at a private address")


def shell(said: Namespace) -> None:
    """Talk to a protected MCP server"""
    with ended():
        import asyncio

        from client import shell as shells

        settings, output = chosen(said)
        if said.commands is not None:
            status = shells.piped(settings, output, shells.check_commands(said.commands))
        elif shells.at_terminal() and not said.json:
            status = asyncio.run(shells.interactive(settings, output))
        else:
            status = shells.piped(settings, output)
        if status:
            raise SystemExit(status)


def call(said: Namespace) -> None:
    """Call one tool of a server, without a person"""
    with ended():
        from client.once import call_once

        settings, output = chosen(said)
        call_once(settings, output, said.tool, said.arguments)


def login(said: Namespace) -> None:
    """Log in to a server, for later calls"""
    with ended():
        from client.once import log_in_once

        settings, output = chosen(said)
        log_in_once(settings, output)


def token(said: Namespace) -> None:
    """Print an access token for a server that is valid now"""
    with ended():
        from client.once import token_once

        settings, output = chosen(said)
        token_once(settings, output)


def chosen(said: Namespace) -> tuple[Settings, Output]:
    """What the environment and the command line choose."""
    from client.output import Output
    from client.settings import from_environment

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show it all
    settings = from_environment(
        os.environ,
        url=said.url,
        auth_method=said.auth_method,
        client_id=said.client_id,
        client_secret=secret(said),
        client_key=contents(said.client_key_file),
        workload_token=contents(said.workload_token_file),
        client_credentials=said.client_credentials,
        client_metadata_url=said.client_metadata_url,
        issuer=said.issuer,
        redirect_uri=said.redirect_uri,
        scope=said.scope,
        allow_hosts=frozenset(said.allow_host or ()) or None,
    )
    if said.no_browser:
        from dataclasses import replace

        settings = replace(settings, browser=False)
    return settings, Output(as_json=said.json)


def secret(said: Namespace) -> str | None:
    """The client's secret from a file or a question, if one is named."""
    if said.ask_client_secret:
        from getpass import getpass

        return getpass("Client secret: ")
    return contents(said.client_secret_file)


def contents(file: Path | None) -> str | None:
    """What a file holds, if there is one named."""
    from client.errors import BadInput

    try:
        return None if file is None else file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise BadInput(f"{file} cannot be read: it is to hold what proves the client") from None


@contextlib.contextmanager
def ended() -> Iterator[None]:
    """Ends the command with one sentence, and the status that tells its cause apart."""
    from client.errors import CANCELLED, ClientError
    from client.plain import plain

    try:
        yield
    except ClientError as error:
        print(f"bearergate: {plain(str(error))}", file=sys.stderr)
        raise SystemExit(error.exit) from None
    except KeyboardInterrupt:
        raise SystemExit(CANCELLED) from None
    except BrokenPipeError:
        reader_gone()
    except ImportError as error:
        missing(error, "client")
