"""Servers that do what they have to in another way than ours, or stand behind something, fail nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.types import Receive, Scope, Send

from conformance.judge import judge
from conformance.mcp_server import Reply, Request, as_json
from conformance.options import Login, Options
from conformance.report import Report
from conformance.revisions import MODERN
from conformance.serving import serving
from conformance.target import CannotJudge
from tests.conformance.judge.correct import BASE, Protected
from tests.conformance.judge.judged import quiet
from tests.conformance.judge.login_server import NAME, PASSWORD, LoginServer, answer
from tests.conformance.judge.test_mutants import told
from tests.ports import free_port

Way = Callable[[Protected, Request, Reply], Reply]
AT = "/mcp"
STRANGER = ("RS-401", "RS-CRED", "GWP-05", "PRM-0", "TRN-CORS", "JWT-FMT")
SESSIONS = ("SES-01", "SES-03", "SES-06", "TRN-GET")


class Other(Protected):
    """A server that answers as `way` says, given what would be answered otherwise."""

    def __init__(self, url: str, issuer: str, way: Way) -> None:
        super().__init__(url, issuer)
        self.way = way

    def reply(self, request: Request) -> Reply:
        """The answer, changed."""
        return self.way(self, request, super().reply(request))


def called(request: Request) -> bool:
    """Whether it is a request to the MCP endpoint."""
    return request.path.partition("?")[0].rstrip("/") == AT


def old_alone(_: Protected, request: Request, reply: Reply) -> Reply:
    """It looks at the revision first, and knows those with a handshake."""
    return as_json(400, {}) if request.get("mcp-protocol-version") == MODERN else reply


def modern_alone(_: Protected, request: Request, reply: Reply) -> Reply:
    """It looks at the revision first, and knows the newest."""
    old = called(request) and request.method == "POST" and request.get("mcp-protocol-version") != MODERN
    return as_json(400, {}) if old else reply


def accept_first(_: Protected, request: Request, reply: Reply) -> Reply:
    """It looks at Accept first."""
    fits = all(each in (request.get("accept") or "") for each in ("application/json", "text/event-stream"))
    return reply if fits or request.method != "POST" or not called(request) else Reply(406)


def behind_a_filter(_: Protected, request: Request, reply: Reply) -> Reply:
    """Something before it knows no other hosts, and turns odd or long fields away with words of its own."""
    said = request.get("authorization")
    if "evil" in (request.get("host") or ""):
        return Reply(404, b"There is no evil.test here.", {"content-type": "text/html"})
    odd = said is not None and (len(said) < 8 or not said.isascii() or len(said) > 8000)
    return Reply(403, b"<html>Blocked", {"content-type": "text/html"}) if odd else reply


def several_challenges(_: Protected, __: Request, reply: Reply) -> Reply:
    """It asks for other schemes too, and says more than it has to."""
    if not (said := reply.headers.get("www-authenticate")):
        return reply
    more = f'DPoP algs="ES256 PS256", Basic realm="x, y", {said}, realm="mcp", authorization_uri="https://x/?a=b,c"'
    return replace(reply, headers={**reply.headers, "www-authenticate": more})


def posts_alone(_: Protected, request: Request, reply: Reply) -> Reply:
    """It has no route for other verbs."""
    if not called(request) or request.method in ("POST", "OPTIONS"):
        return reply
    return Reply(405, headers={"allow": "POST"}) if request.method == "GET" else Reply(404)


def unknown_session_is_a_bad_request(_: Protected, request: Request, reply: Reply) -> Reply:
    """It cannot tell a session that there never was from a mistake."""
    return Reply(400) if reply.status == 404 and "feed" in (request.get("mcp-session-id") or "") else reply


def unknown_verbs_are_not_implemented(_: Protected, request: Request, reply: Reply) -> Reply:
    """Verbs that it has never heard of are a 501, and HEAD is answered as GET."""
    if request.method in ("PUT", "PATCH"):
        return Reply(501)
    return Reply(200, headers={"content-type": "text/event-stream"}) if request.method == "HEAD" else reply


def metadata_in_the_challenge_alone(_: Protected, request: Request, reply: Reply) -> Reply:
    """Its metadata are at the place with the path, and nowhere else."""
    return Reply(404) if request.path == "/.well-known/oauth-protected-resource" else reply


def report_of(way: Way, path: str = AT, *, trusted: bool = False, only: tuple[str, ...] = STRANGER) -> Report:
    """What is said of such a server, as it is said to everybody."""
    port, issuer_port = free_port(), free_port()
    app = Other(f"http://127.0.0.1:{port}{path}", f"http://127.0.0.1:{issuer_port}", way)
    options = Options(app.url, issuer_port=issuer_port if trusted else None, scopes=(BASE,), patience=5, only=only)
    with quiet(), serving(app, port, lifespan=True):
        return judge(options)


@pytest.mark.parametrize(
    "way",
    [
        old_alone,
        modern_alone,
        accept_first,
        behind_a_filter,
        several_challenges,
        posts_alone,
        metadata_in_the_challenge_alone,
    ],
    ids=lambda way: way.__name__,
)
def test_other_way_to_refuse_strangers_fails_nothing(way: Way) -> None:
    report = report_of(way)
    assert [line for line in told(report) if ": failed:" in line] == []
    assert report.exit_code == 0


@pytest.mark.parametrize(
    ("way", "only"),
    [
        pytest.param(posts_alone, SESSIONS, id="posts alone"),
        pytest.param(unknown_session_is_a_bad_request, SESSIONS, id="an unknown session is a 400"),
        pytest.param(unknown_verbs_are_not_implemented, ("TRN-GET",), id="unknown verbs are a 501"),
    ],
)
def test_other_way_to_serve_fails_nothing(way: Way, only: tuple[str, ...]) -> None:
    report = report_of(way, trusted=True, only=only)
    assert [line for line in told(report) if ": failed:" in line] == []
    assert report.exit_code == 0


@pytest.mark.parametrize(("way", "spoken"), [(old_alone, False), (modern_alone, True)], ids=["old", "modern"])
def test_revision_that_is_a_bad_request_to_strangers_is_not_spoken(way: Way, spoken: bool) -> None:
    report = report_of(way, only=("RS-401-01",))
    assert (MODERN in report.revisions, report.verdict("RS-401-01")) == (spoken, "passed")


@pytest.mark.parametrize("path", ["", "/", "/mcp/", "/mcp?tenant=one"])
def test_url_of_any_form_is_judged(path: str) -> None:
    def with_its_query(_: Protected, __: Request, reply: Reply) -> Reply:
        return replace(reply, body=reply.body.replace(b'/mcp"', f'{path}"'.encode()))

    report = report_of(with_its_query, path, only=("PRM-02", "PRM-04"))
    assert [report.verdict(name) for name in ("PRM-02", "PRM-04")] == ["passed", "passed"], told(report)


@pytest.mark.parametrize("status", [301, 307, 308])
def test_url_that_only_redirects_to_another_spelling_is_named(status: int) -> None:
    def redirects(_: Protected, request: Request, reply: Reply) -> Reply:
        return Reply(status, headers={"location": "/mcp/"}) if request.path == AT else reply

    with pytest.raises(CannotJudge, match=r"redirects to http://127.0.0.1:[0-9]+/mcp/: judge that URL"):
        report_of(redirects)


@pytest.mark.parametrize("path", ["/token", "/register", "/authorize"])
def test_authorization_server_that_limits_how_often_it_is_asked_fails_nothing(path: str) -> None:
    port = free_port()
    own = f"http://127.0.0.1:{port}"
    server, asked = LoginServer(own, f"{own}{AT}"), 0

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal asked
        asked += scope["path"] == path
        await (answer(send, 429) if scope["path"] == path and asked > 1 else server(scope, receive, send))

    app = Protected(f"{own}{AT}", own, servers=(own,))
    app.beside = limited
    with quiet(), serving(app, port, lifespan=True):
        report = judge(Options(app.url, login=Login(NAME, PASSWORD), patience=5, grace=0.1, only=("ASM",)))
    assert [line for line in told(report) if ": failed:" in line] == []
    assert any("answered 429: it limits" in check.reason for check in report.checks)


def test_target_that_found_no_keys_at_first_is_waited_for() -> None:
    asked = 0

    def late(_: Protected, request: Request, reply: Reply) -> Reply:
        nonlocal asked
        asked += request.get("authorization") is not None
        return Reply(503) if 0 < asked < 9 else reply

    report = report_of(late, trusted=True, only=("TRN-POST-01",))
    assert report.verdict("TRN-POST-01") == "passed", told(report)


def test_sessions_that_were_opened_are_ended() -> None:
    port, issuer_port = free_port(), free_port()
    app = Protected(f"http://127.0.0.1:{port}{AT}", f"http://127.0.0.1:{issuer_port}")
    with serving(app, port, lifespan=True):
        report = judge(Options(app.url, issuer_port=issuer_port, scopes=(BASE,), only=("TRN-POST-01", "SES-03")))
    assert (report.verdict("SES-03"), app.sessions) == ("passed", {})
