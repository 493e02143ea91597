"""The verb `doctor`: what it is asked, and how it ends: 0 nothing is wrong, 1 something is, 2 nothing was examined."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.ending import Add, leave, reader_gone

if TYPE_CHECKING:
    from deploy.doctor.visit import Visit

CANNOT = 2  # the exit status where nothing was examined
BEARER = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 §2.1
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._\[\]:-]+")  # as browsers write one (RFC 6454 §6.2)
MAX_TOKEN = 64 * 1024  # characters


class BadQuestion(Exception):
    """What was asked cannot be examined; the text says what to do."""


def add(command: Add) -> None:
    """Put the verb on a command line."""
    made = command(doctor)
    say = made.add_argument
    say("url", metavar="URL", help="the MCP endpoint, as clients call it")
    say("--token", metavar="TOKEN", help="an access token, or env:NAME, @FILE or - to keep it off the process list")
    say("--token-file", metavar="FILE", help="a file that holds one; - is standard input (else ACCESS_TOKEN)")
    say("--origin", metavar="ORIGIN", help="of a web page that is to call, as https://app.example.com")
    say("--tool", metavar="NAME[=JSON]", help="a harmless, slow tool that tells its progress, with arguments")
    say("--timeout", type=seconds, default=10.0, metavar="SECONDS", help="for one answer (10)")
    say("--json", action="store_true", help="print the report as JSON")


def seconds(text: str) -> float:
    """A number of seconds."""
    try:
        given = float(text)
    except ValueError:
        given = 0.0
    if not 0 < given <= 300:
        raise ArgumentTypeError(f"{text} is no number of seconds: give one above 0, up to 300")
    return given


def doctor(said: Namespace) -> None:
    """Say why clients cannot log in to a server, and which line to change"""
    with ended():
        import asyncio

        from deploy.doctor.examination import examine
        from deploy.doctor.visit import Question

        tool, arguments = tool_of(said.tool)
        question = Question(
            said.url,
            token=token_of(said),
            origin=origin_of(said.origin),
            tool=tool,
            arguments=arguments,
            patience=said.timeout,
        )
        end(asyncio.run(examine(question)), as_json=said.json)


def end(visit: Visit, *, as_json: bool) -> None:
    """Print the report, and end with 1 where something is wrong."""
    from deploy.doctor.output import exit_code, show

    show(visit, as_json=as_json)
    if status := exit_code(visit):
        raise SystemExit(status)


def tool_of(given: str | None) -> tuple[str, dict[str, Any]]:
    """A tool and its arguments.

    Raises:
        BadQuestion: they are no JSON object.
    """
    name, _, text = (given or "").partition("=")
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise BadQuestion(f"--tool {name}: its arguments must be a JSON object, as --tool '{name}={{\"a\": 1}}'")
    return name, arguments


def origin_of(given: str | None) -> str:
    """The origin of a web page, as browsers write it.

    Raises:
        BadQuestion: it is none.
    """
    if given and not ORIGIN.fullmatch(given):
        raise BadQuestion("--origin is an origin alone, as https://app.example.com or http://localhost:6274")
    return given or ""


def token_of(said: Namespace) -> str:
    """The token, from wherever it is; "" without one.

    Raises:
        BadQuestion: it cannot be read, or is none.
    """
    if said.token and said.token_file:
        raise BadQuestion("Give --token or --token-file, not both")
    token = read_token(said).strip()
    if token[:7].lower() == "bearer ":
        token = token[7:].strip()
    if token and (len(token) > MAX_TOKEN or not BEARER.fullmatch(token)):
        raise BadQuestion("What was given as token is none: a bearer token has letters, digits and -._~+/= alone")
    return token


def read_token(said: Namespace) -> str:
    """What was given as token, read from where it is kept."""
    given: str = said.token or ""
    if said.token_file or given == "-" or given.startswith("@"):
        return contents(said.token_file or given.removeprefix("@"))
    if given.startswith("env:"):
        name = given.removeprefix("env:")
        if not os.environ.get(name):
            raise BadQuestion(f"The variable {name} is not set: it is to hold the token")
        return os.environ[name]
    return given or os.environ.get("ACCESS_TOKEN", "")


def contents(file: str) -> str:
    """What a file or standard input holds."""
    try:
        text = sys.stdin.read(MAX_TOKEN + 1) if file == "-" else Path(file).read_text("utf-8")
    except (OSError, ValueError):  # UnicodeDecodeError is a ValueError, as is a NUL in the name
        text = ""
    if not text.strip():
        where = "Standard input" if file == "-" else file
        raise BadQuestion(f"{where} cannot be read, or holds nothing: it is to hold the token")
    return text


@contextlib.contextmanager
def ended() -> Iterator[None]:
    """Ends the command with one sentence and status 2 where nothing was examined."""
    from client.plain import line
    from deploy.doctor.visit import CannotExamine

    try:
        yield
    except (BadQuestion, CannotExamine) as why:
        leave(line(str(why)), CANNOT)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        reader_gone()
