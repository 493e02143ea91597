"""One judgement from beginning to end: what is started for it, what is found out first, and the run of the tests."""

from __future__ import annotations

import contextlib
import io
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from .addresses import may_fetch
from .control import FIRST, PASSWORD, SECOND, Control
from .forms import Person
from .login import CannotLogin, Journey, discovery_urls
from .mcp_server import McpServer
from .options import Login, Options
from .out_of_reach import OUT_OF_REACH
from .plugin import Plugin
from .redaction import Redaction
from .report import Report
from .serving import serving
from .target import CannotJudge, Target
from .upstream import Upstream
from .wire import TargetGone, Wire

HERE = Path(__file__).parent
KEYS_SECONDS = 35.0  # until a target has the keys of an issuer that was not there when it started
# Third-party plugins of whoever runs this have no say in a judgement, and nothing is written beside the tests.
ENGINE = (
    "-p",
    "no:cacheprovider",
    "-p",
    "no:terminal",
    "-p",
    "no:faulthandler",
    "-p",
    "no:logging",
    "-p",
    "no:warnings",
)
QUIET = ("-p", "no:unraisableexception", "-p", "no:threadexception", "-s", "--disable-plugin-autoload")


def judge(options: Options) -> Report:
    """What becomes of a target when every requirement that can be tested is. It does not raise for what a target does.

    Raises:
        CannotJudge: there is nothing to judge; the text says what to do.
        CannotListen: a port for the issuer or the upstream is taken.
    """
    started = time.monotonic()
    secrets = Redaction()
    secrets.hide(options.token, options.second_token, options.low_token)
    secrets.hide(options.login.password, options.login.client_secret, options.second_login.password)
    secrets.hide(*(each.partition("=")[0].partition(":")[2] for each in options.issuer_clients))
    report = Report(options.url, datetime.now(UTC).isoformat(timespec="seconds"), secrets=secrets)
    report.reasons, report.filtered = OUT_OF_REACH, bool(options.only)
    with contextlib.ExitStack() as stack:
        wire = Wire(options.patience)
        stack.callback(wire.close)
        target = Target(options, wire, secrets)
        try:
            _prepare(target, stack)
        except CannotJudge as why:
            raise CannotJudge(secrets.text(str(why))) from None
        except (TargetGone, pytest.skip.Exception) as why:
            raise CannotJudge(secrets.text(f"{options.url} cannot be judged: {why}")) from None
        report.revisions, report.stopped = target.spoken, target.no_token
        report.given, report.missing = _inventory(target)
        _run(Plugin(target, report))
        target.end_sessions()
    report.seconds = time.monotonic() - started
    return report


def _prepare(target: Target, stack: contextlib.ExitStack) -> None:
    """Start what the judge plays, look at the target as a stranger, and come by tokens."""
    options = target.options
    if options.issuer_port is not None:
        url = options.issuer_url or f"http://127.0.0.1:{options.issuer_port}"
        target.control = Control(url, options.client, options.claims, options.issuer_clients, options.scopes or ())
        stack.enter_context(serving(target.control.app, options.issuer_port, options.issuer_host))
    if options.upstream_port is not None:
        target.upstream = Upstream(McpServer())
        stack.enter_context(serving(target.upstream, options.upstream_port, options.upstream_host))
    target.discover()
    _find_authorization_server(target)
    if target.control is not None:
        _mint(target, target.control)
    elif not target.token and target.journey is not None and (options.login.name or options.login.browser):
        _log_in(target, target.journey)
    if target.token:
        target.spoken = target.speaks()
    if target.control is not None:
        # From here on there are keys that the target cannot know; the first unknown one that it meets has it look.
        target.control.publish_late()


def _mint(target: Target, control: Control) -> None:
    """Tokens of every kind, by the issuer under control."""
    options = target.options
    control.scopes = options.scopes if options.scopes is not None else tuple(target.scopes())
    published = target.found.metadata().get("resource")
    control.audience = options.audience or str(published or target.url)
    _wait_for_keys(target, control)
    control.audience = options.audience or _accepted_audience(target, control, published)
    target.token = target.token or control.token(FIRST)
    target.second_token = target.second_token or control.token(SECOND)
    target.low_token = target.low_token or control.token(FIRST, scopes=options.low_scopes or ())


def _wait_for_keys(target: Target, control: Control) -> None:
    """Who looked for the issuer's keys before it was there may take half a minute until the next look."""
    ends = time.monotonic() + KEYS_SECONDS
    while target.caller(target.usual, control.token()).start().status == 503 and time.monotonic() < ends:
        time.sleep(0.5)


def _accepted_audience(target: Target, control: Control, published: object) -> str:
    """What good tokens are for: what the metadata say, unless only the URL itself is accepted."""
    for audience in dict.fromkeys([str(published or target.url), target.url]):
        control.audience = audience
        if any(target.caller(revision, control.token()).start().ok for revision in reversed(target.options.revisions)):
            return audience
    return str(published or target.url)


def _find_authorization_server(target: Target) -> None:
    """The authorization server that the resource names, and whether the judge can deal with it."""
    named = target.found.metadata().get("authorization_servers")
    issuer = named[0] if isinstance(named, list) and named and isinstance(named[0], str) else ""
    if not issuer:
        target.no_journey = "The resource metadata name no authorization server."
        return
    for url in discovery_urls(issuer):
        if not may_fetch(url, target.near):
            continue
        target.server_answer = target.get(url)
        if isinstance(found := target.server_answer.json(), dict) and target.server_answer.ok:
            target.server_metadata = found
            break
    if target.control is not None and issuer.rstrip("/") == target.control.issuer.url:
        target.no_journey = "The authorization server is the suite's own, so there is nothing of the target to judge."
        return
    login = _whose_login(target)
    if not target.server_metadata:
        target.no_journey = f"{issuer} publishes no metadata, so nobody can log in there."
    elif not login.name and not login.browser:
        target.no_journey = "It needs a login: give --username and --password, or --browser."
    else:
        target.journey = Journey(target, issuer, target.server_metadata, login)


def _whose_login(target: Target) -> Login:
    """The login given; before an issuer under control, that of a principal it knows."""
    login = target.options.login
    if login.name or login.browser or target.control is None:
        return login
    return Login(FIRST, PASSWORD, login.client_id, login.client_secret, login.client_document, login.redirect_uri)


def _log_in(target: Target, journey: Journey) -> None:
    """Tokens by logins."""
    options = target.options
    try:
        target.token = str(journey.tokens()["access_token"])
        if options.second_login.name and not target.second_token:
            second = Person(options.second_login.name, options.second_login.password)
            target.second_token = str(journey.tokens(second)["access_token"])
        if options.low_scopes is not None and not target.low_token:
            target.low_token = str(journey.tokens(scope=" ".join(options.low_scopes) or None)["access_token"])
    except CannotLogin as why:
        target.no_token = str(why)


def _inventory(target: Target) -> tuple[list[str], list[str]]:
    """What the judge has in its hands, and what it lacks, each with the way to give it."""
    options = target.options
    has = {
        "a token, or a login (--token, --username and --password, --browser)": bool(target.token),
        "a second principal (--second-token, --second-username)": bool(target.second_token),
        "a token without some scope (--low-token, --low-scope), and what needs it (--privileged-tool)": bool(
            target.low_token and options.privileged_tool
        ),
        "a login of its own at the target's authorization server": target.journey is not None,
        "an issuer under its control (--issuer-port)": target.control is not None,
        "the server behind the gateway (--upstream-port)": target.upstream is not None,
        "another resource of the same gateway (--other-url)": bool(options.other_url),
        "the logs of the target (--log)": bool(options.logs),
    }
    return [words for words, there in has.items() if there], [words for words, there in has.items() if not there]


def _run(plugin: Plugin) -> None:
    """Have pytest run the documents; what it would print goes nowhere."""
    files = [str(file) for file in sorted(HERE.glob("test_*.py"), key=_order)]
    arguments = [
        *ENGINE,
        *QUIET,
        "-c",
        str(HERE / "pytest.ini"),
        f"--rootdir={HERE.parent}",
        "--import-mode=importlib",
        *files,
    ]
    theirs = {name: os.environ.pop(name) for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS") if name in os.environ}
    try:
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
            code = pytest.main(arguments, plugins=[plugin])
    finally:
        os.environ.update(theirs)
    if code in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
        plugin.report.stopped = f"The suite itself failed: {said.getvalue().strip()[-600:]}"
    elif code == pytest.ExitCode.INTERRUPTED and not plugin.report.stopped:
        plugin.report.stopped = "The run was interrupted."


def _order(file: Path) -> tuple[bool, str]:
    """What changes the issuer's keys comes after all that need them, and what looks over every answer comes last."""
    return file.stem in ("test_keys", "test_overall"), file.stem
