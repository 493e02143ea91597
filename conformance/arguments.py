"""What the judge is given on its command line, and what of it cannot be used, each with a sentence."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .addresses import split
from .options import Login, Options
from .requirements import REQUIREMENTS
from .revisions import MODERN, REVISIONS

REPORTS = ("json", "junit", "sarif", "html")


def command_line(program: str) -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(program, description="Judge a protected MCP server.", allow_abbrev=False)
    parser.add_argument("url", metavar="URL", help="the MCP endpoint, as clients call it")
    parser.add_argument(
        "--revision",
        action="append",
        choices=(*REVISIONS, "draft"),
        help="only this revision of MCP; repeatable (all that the target speaks)",
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID", help="only requirements whose id begins so; repeatable"
    )
    parser.add_argument("--strict", action="store_true", help="practice counts like the rest: SHOULD warns, MUST fails")
    parser.add_argument(
        "--timeout", type=_seconds, default=10.0, metavar="SECONDS", help="until an answer has to be there (10)"
    )
    parser.add_argument(
        "--max-seconds", type=_seconds, default=300.0, metavar="SECONDS", help="until the run is ended (300)"
    )
    parser.add_argument(
        "--grace", type=_seconds, default=12.0, metavar="SECONDS", help="for which a used refresh token may work (12)"
    )
    _add_credentials(
        parser.add_argument_group(
            "credentials", "A secret is given as env:NAME or @FILE, so that it stays out of the process list."
        )
    )
    _add_issuer(parser.add_argument_group("an issuer that the target trusts, and what its tokens hold"))
    _add_surroundings(parser.add_argument_group("what surrounds the target"))
    _add_reports(parser.add_argument_group("reports"))
    return parser


def _add_reports(group: Any) -> None:
    for kind in REPORTS:
        group.add_argument(f"--{kind}", type=Path, metavar="FILE", help=f"write the report as {kind}")
    group.add_argument(
        "--expected-failures",
        type=Path,
        metavar="FILE",
        help="requirements that may fail, one a line: ID reason; one that does not fail is an error",
    )
    group.add_argument("--quiet", action="store_true", help="print the counts and the failures alone")


def _add_credentials(group: Any) -> None:
    group.add_argument("--token", metavar="TOKEN", help="an access token with every scope")
    group.add_argument("--second-token", metavar="TOKEN", help="of another principal")
    group.add_argument("--low-token", metavar="TOKEN", help="without the scope that --privileged-tool needs")
    group.add_argument("--username", metavar="NAME", help="log in as this person, without a screen")
    group.add_argument("--password", metavar="PASSWORD")
    group.add_argument("--second-username", metavar="NAME", help="another person, for what is between two")
    group.add_argument("--second-password", metavar="PASSWORD")
    group.add_argument("--browser", action="store_true", help="open a browser, where a person logs in")
    group.add_argument("--client-id", metavar="ID", help="a client that is registered by hand")
    group.add_argument("--client-secret", metavar="SECRET")
    group.add_argument("--client-document", metavar="URL", help="the URL of a client id metadata document")
    group.add_argument("--redirect-uri", metavar="URI", help="as registered for the client")
    group.add_argument(
        "--low-scope", action="append", metavar="SCOPE", help="what the token without some scope has; repeatable"
    )
    group.add_argument(
        "--privileged-tool",
        metavar="NAME[=JSON]",
        help="a tool that --low-token may not call, with arguments it can be called with",
    )
    group.add_argument("--state-tool", metavar="NAME", help="a tool that answers input_required with a requestState")


def _add_issuer(group: Any) -> None:
    group.add_argument(
        "--issuer-port", type=_port, metavar="N", help="be an issuer at http://127.0.0.1:N, which the target trusts"
    )
    group.add_argument(
        "--issuer-host", default="127.0.0.1", metavar="ADDRESS", help="listen here, if the target is on another machine"
    )
    group.add_argument(
        "--issuer-url", default="", metavar="URL", help="where the target reaches that issuer, if not at 127.0.0.1"
    )
    group.add_argument(
        "--issuer-client",
        action="append",
        default=[],
        metavar="ID[:SECRET]=REDIRECT",
        help="a client of that issuer: a gateway that logs in there itself",
    )
    group.add_argument(
        "--audience", default="", metavar="URI", help="what tokens for the target are for (its resource identifier)"
    )
    group.add_argument(
        "--scope", action="append", metavar="SCOPE", help="what good tokens have; repeatable (the challenge's)"
    )
    group.add_argument(
        "--claim",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="a claim that good tokens have besides; repeatable",
    )
    group.add_argument(
        "--client", default="mcp-conformance", metavar="ID", help="client_id of good tokens (mcp-conformance)"
    )


def _add_surroundings(group: Any) -> None:
    group.add_argument(
        "--upstream-port", type=_port, metavar="N", help="be the server behind the gateway, at this port"
    )
    group.add_argument("--upstream-host", default="127.0.0.1", metavar="ADDRESS")
    group.add_argument(
        "--other-url",
        default="",
        metavar="URL",
        help="another resource of the same gateway, whose tokens must not open this one",
    )
    group.add_argument("--allowed-origin", default="", metavar="ORIGIN", help="a web origin that the target lets in")
    group.add_argument(
        "--log",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a log of the target, searched for tokens afterwards; repeatable",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return seconds


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError(f"{text} is no port: give one from 1 to 65535")
    return port


def read(said: argparse.Namespace) -> Options:
    """What the command line means.

    Raises:
        ValueError: an option cannot be used; the text says why.
    """
    _check_addresses(said)
    _check_names(said)
    _check_files(said)
    tool, _, arguments = (said.privileged_tool or "").partition("=")
    return Options(
        said.url,
        _revisions(said.revision),
        token=_token(said.token),
        second_token=_token(said.second_token),
        low_token=_token(said.low_token),
        login=_login(said),
        second_login=Login(said.second_username or "", secret(said.second_password)),
        issuer_port=said.issuer_port,
        issuer_host=said.issuer_host,
        issuer_url=said.issuer_url,
        issuer_clients=tuple(said.issuer_client),
        audience=said.audience,
        scopes=None if said.scope is None else tuple(filter(None, said.scope)),
        low_scopes=None if said.low_scope is None else tuple(filter(None, said.low_scope)),
        claims=dict(map(_claim, said.claim)),
        client=said.client,
        upstream_port=said.upstream_port,
        upstream_host=said.upstream_host,
        privileged_tool=tool,
        privileged_arguments=_object(arguments or "{}", "--privileged-tool"),
        state_tool=said.state_tool or "",
        other_url=said.other_url,
        allowed_origin=said.allowed_origin,
        logs=tuple(said.log),
        only=tuple(said.only),
        strict=said.strict,
        patience=said.timeout,
        seconds=said.max_seconds,
        grace=said.grace,
    )


def _check_addresses(said: argparse.Namespace) -> None:
    """What has to be a URL is one."""
    parts = split(said.url)
    if not _is_url(said.url) or parts.fragment or parts.username is not None:
        raise ValueError(f"{said.url!r} is no URL of an MCP endpoint: give one like https://host/mcp.")
    for name in ("redirect_uri", "client_document", "other_url", "issuer_url", "allowed_origin"):
        if (url := getattr(said, name)) and not _is_url(url):
            raise ValueError(f"{_option(name)} {url!r} is no URL: give one like https://host/path.")


def _is_url(text: str) -> bool:
    return (
        text.isascii()
        and text.isprintable()
        and " " not in text
        and bool(split(text).scheme in ("http", "https") and split(text).hostname)
    )


def _check_names(said: argparse.Namespace) -> None:
    """What is named exists, and names do not come alone."""
    for each in said.only:
        if not any(name.startswith(each) for name in REQUIREMENTS):
            raise ValueError(f"No requirement's id begins with {each}: give one like RS-401 or PRM-04.")
    for name, password in (("username", "password"), ("second_username", "second_password")):
        if bool(getattr(said, name)) != bool(getattr(said, password)):
            raise ValueError(f"{_option(name)} and {_option(password)} come together: give both.")
    if said.second_username and not (said.username or said.browser):
        raise ValueError("--second-username is of no use without a first login: give --username and --password.")
    for each in said.issuer_client:
        if not _is_url(each.partition("=")[2].partition(",")[0]):
            raise ValueError(f"--issuer-client {each.partition(':')[0]} is not ID[:SECRET]=REDIRECT.")


def _check_files(said: argparse.Namespace) -> None:
    """What is read at the end is there, and what is written then can be; nobody waits a minute to hear of it."""
    for file in said.log:
        if not _holds(file.is_file):
            raise ValueError(f"--log {file} is no file.")
    for kind in REPORTS:
        file = getattr(said, kind)
        if file and (_holds(file.is_dir) or not _holds(file.absolute().parent.is_dir)):
            raise ValueError(f"--{kind} {file} cannot be written: give a file in a folder that is there.")


def _holds(said: Callable[[], bool]) -> bool:
    try:
        return said()
    except OSError:  # such as a name that is too long
        return False


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _revisions(named: list[str] | None) -> tuple[str, ...]:
    wanted = {MODERN if each == "draft" else each for each in named or REVISIONS}
    return tuple(each for each in REVISIONS if each in wanted)


def _login(said: argparse.Namespace) -> Login:
    return Login(
        said.username or "",
        secret(said.password),
        said.client_id or "",
        secret(said.client_secret),
        said.client_document or "",
        said.redirect_uri or "",
        said.browser,
    )


def secret(text: str | None) -> str:
    """A secret of the command line: itself, of a variable, or of a file; "" where none is given.

    Raises:
        ValueError: there is no such variable or file, or nothing in it.
    """
    if text is None:
        return ""
    if text.startswith("env:"):
        found = os.environ.get(text[4:], "")
    else:
        found = read_text(Path(text[1:])).strip() if text.startswith("@") else text
    if not found:
        raise ValueError(f"The variable {text[4:]} is not set." if text.startswith("env:") else "A secret is empty.")
    return found


def _token(text: str | None) -> str:
    found = secret(text)
    if not (found.isascii() and found.isprintable()) or " " in found:
        raise ValueError("A token has no blanks, no line ends and no characters beyond ASCII: see what is in it.")
    return found


def read_text(file: Path) -> str:
    """The text of a file.

    Raises:
        ValueError: it cannot be read, or is no text.
    """
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file} is no text in UTF-8.") from None


def _claim(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"--claim {text} is not NAME=JSON.")
    return name, _json(value, "--claim")


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(f"What follows = in {option} is no JSON: strings need quotes.") from None


def _object(text: str, option: str) -> dict[str, Any]:
    found = _json(text, option)
    if not isinstance(found, dict):
        raise ValueError(f"What follows = in {option} is no JSON object.")  # noqa: TRY004 - a mistake of the caller
    return found
