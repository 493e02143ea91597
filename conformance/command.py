"""The command line of the judge: what it is given, what it writes, and how it ends."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .judge import judge
from .options import Login, Options
from .report import Report
from .revisions import MODERN, REVISIONS
from .serving import CannotListen
from .target import CannotJudge

CANNOT = 2  # the exit status where there was no judgement


def main(arguments: Sequence[str] | None = None, program: str = "python -m conformance") -> int:
    """Judge, write the reports, and return the exit status: 0, 1 for failures, 2 where no judgement was possible."""
    parser = command_line(program)
    said = parser.parse_args(arguments)
    try:
        options = read(said)
        expected = read_expected(said.expected_failures) if said.expected_failures else {}
        report = judge(options)
    except (CannotJudge, CannotListen, ValueError) as why:
        print(f"conformance: {why}", file=sys.stderr)  # noqa: T201 - how a command speaks
        return CANNOT
    report.expected = expected
    try:
        write(report, said)
    except OSError as error:
        print(f"conformance: {error.filename} cannot be written ({error.strerror}).", file=sys.stderr)  # noqa: T201 - likewise
        return CANNOT
    return report.exit_code


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
        "--timeout", type=float, default=10.0, metavar="SECONDS", help="until an answer has to be there (10)"
    )
    parser.add_argument(
        "--max-seconds", type=float, default=300.0, metavar="SECONDS", help="until the run is ended (300)"
    )
    parser.add_argument(
        "--grace", type=float, default=12.0, metavar="SECONDS", help="for which a used refresh token may work (12)"
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
    for kind in ("json", "junit", "sarif", "html"):
        group.add_argument(f"--{kind}", type=Path, metavar="FILE", help=f"write the report as {kind}")
    group.add_argument(
        "--expected-failures",
        type=Path,
        metavar="FILE",
        help="requirements that may fail, one a line: ID reason; one that is met is an error",
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
        "--issuer-port", type=int, metavar="N", help="be an issuer at http://127.0.0.1:N, which the target trusts"
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
    group.add_argument("--upstream-port", type=int, metavar="N", help="be the server behind the gateway, at this port")
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


def read(said: argparse.Namespace) -> Options:
    """What the command line means.

    Raises:
        ValueError: an option cannot be used; the text says why.
    """
    parts = urlsplit(said.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or parts.username:
        raise ValueError(f"{said.url} is no URL of an MCP endpoint: give one like https://host/mcp.")
    tool, _, arguments = (said.privileged_tool or "").partition("=")
    return Options(
        said.url,
        _revisions(said.revision),
        token=secret(said.token),
        second_token=secret(said.second_token),
        low_token=secret(said.low_token),
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
        privileged_arguments=_json(arguments or "{}", "--privileged-tool"),
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
    """A secret of the command line: itself, of a variable, or of a file.

    Raises:
        ValueError: there is no such variable or file.
    """
    if text and text.startswith("env:"):
        if not (found := os.environ.get(text[4:])):
            raise ValueError(f"The variable {text[4:]} is not set.")
        return found
    if text and text.startswith("@"):
        try:
            return Path(text[1:]).read_text("utf-8").strip()
        except OSError as error:
            raise ValueError(f"{text[1:]} cannot be read ({error.strerror}).") from None
    return text or ""


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


def read_expected(file: Path) -> dict[str, str]:
    """The requirements that are expected to fail, with the reason.

    Raises:
        ValueError: the file cannot be read, or names a requirement that there is not.
    """
    from .requirements import REQUIREMENTS  # noqa: PLC0415

    try:
        lines = [line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines()]
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}).") from None
    found = dict(_named(line) for line in lines if line)
    for name in found:
        if name not in REQUIREMENTS:
            raise ValueError(f"{file}: there is no requirement {name}.")
    return found


def _named(line: str) -> tuple[str, str]:
    name, _, why = line.partition(" ")
    return name, why.strip()


def write(report: Report, said: argparse.Namespace) -> None:
    """Write every report that was asked for, and the summary on standard output."""
    from . import junit, page, sarif, terminal  # noqa: PLC0415

    print(terminal.write(report, quiet=said.quiet, colours=sys.stdout.isatty() and "NO_COLOR" not in os.environ))  # noqa: T201 - the summary
    written: dict[str, Callable[[Report], str]] = {
        "json": lambda made: json.dumps(made.as_json(), indent=1),
        "junit": junit.write,
        "sarif": sarif.write,
        "html": page.write,
    }
    for kind, as_text in written.items():
        if file := getattr(said, kind):
            file.write_text(as_text(report), "utf-8")
