"""GWP: what a gateway passes on, and what it keeps to itself (MCP Security Best Practices, RFC 9700, RFC 9112)."""

from __future__ import annotations

import json
import time

import pytest

from . import revisions
from .mcp_server import ECHO, SLOW, Reply, as_json, event
from .plugin import Judge
from .requirements import requirement
from .revisions import MODERN
from .target import Fields, Target
from .upstream import Upstream
from .wire import Answer, written

LONG = 6  # events of a stream that is cut short
STEP = 0.2  # seconds between two of them
SMUGGLED = 474_747  # the number of a request that hides behind another


def call(target: Target, revision: str, headers: Fields = ()) -> Answer:
    """The answer to a call through the gateway."""
    given = {"name": ECHO, "arguments": {"text": "conformance"}}
    return target.opened(revision).ask("tools/call", given, headers)


def reached(target: Target, revision: str, upstream: Upstream) -> None:
    """Not tested unless a good call reaches the upstream."""
    answer = call(target, revision)
    if not any(b"tools/call" in request.body for request in upstream.calls()):
        pytest.skip(f"A good call does not reach the upstream under the suite's control: {answer.said()}.")
    upstream.forget()


def seen(upstream: Upstream) -> str:
    """Everything that reached the upstream, as text."""
    parts = [
        f"{each.method} {each.path}\n{each.fields}\n{each.body.decode('utf-8', 'replace')}"
        for each in upstream.requests
    ]
    return "\n".join(parts)


@requirement("GWP-01")
def test_token_of_the_client_stays_at_the_gateway(
    target: Target, judge: Judge, upstream: Upstream, revision: str
) -> None:
    reached(target, revision, upstream)
    for answer in (None, as_json(500, {}), as_json(401, {})):
        upstream.answer = answer
        said = call(target, revision)
        judge.expect(
            target.token not in seen(upstream),
            "The client's token reached the upstream.",
            said,
            fix="Strip Authorization, and use a token of the gateway's own where the upstream wants one.",
        )


@requirement("RS-CRED-02")
def test_token_in_the_query_is_neither_used_nor_passed_on(
    target: Target, judge: Judge, upstream: Upstream, second_token: str, revision: str
) -> None:
    reached(target, revision, upstream)
    answer = target.caller(revision).post(revisions.opening(revision), query=f"?access_token={second_token}")
    judge.expect(
        answer.ok or answer.status == 400,
        f"A token in the header and another in the query are answered {answer.said()}, where success or 400 is due.",
        answer,
        fix="Ignore tokens in the query, or answer 400.",
    )
    judge.expect(
        second_token not in seen(upstream),
        "The token of the query reached the upstream.",
        answer,
        fix="Do not pass the query on, or take access_token out of it.",
    )


IDENTITY = [
    "X-Forwarded-User",
    "X-Remote-User",
    "X-Amzn-Oidc-Data",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-User",
    "X_Forwarded_User",
    "x-FORWARDED-user",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "Forwarded",
]


@requirement("GWP-03")
def test_identity_headers_of_strangers_do_not_reach_the_upstream(
    target: Target, judge: Judge, upstream: Upstream, revision: str
) -> None:
    reached(target, revision, upstream)
    marks = {name: f"conformance-{number}" for number, name in enumerate(IDENTITY)}
    sent = {name: f"for={mark}" if name == "Forwarded" else mark for name, mark in marks.items()}
    answer = call(target, revision, headers=sent)
    passed = [name for name, mark in marks.items() if mark in seen(upstream)]
    judge.expect(
        not passed,
        f"The upstream got the client's {', '.join(passed)}.",
        answer,
        fix="Take identity and forwarding headers of clients out, and set your own.",
    )


@requirement("GWP-04")
def test_refusal_of_the_upstream_is_not_the_clients(
    target: Target, judge: Judge, upstream: Upstream, revision: str
) -> None:
    reached(target, revision, upstream)
    challenge = 'Bearer resource_metadata="https://conformance-upstream.test/metadata"'
    upstream.answer = Reply(401, headers={"www-authenticate": challenge})
    answer = target.caller(revision).ask("tools/list")
    judge.expect(
        answer.status != 401,
        "The upstream's 401 is passed on: the client would throw its good token away.",
        answer,
        fix="Answer 502 where the upstream refuses the gateway.",
    )
    said = answer.text + str(answer.headers)
    judge.expect(
        "conformance-upstream.test" not in said,
        "The upstream's challenge reaches the client.",
        answer,
        fix="Take the upstream's WWW-Authenticate out.",
    )


SIDE_DOORS = [
    "/{p}",
    "{p}/",
    "{p}/.",
    "{e}",
    "{p};x",
    "{u}",
    "/.well-known/oauth-protected-resource/..{p}",
    "/x/..{p}",
    "{p}%2f",
    "{p}%00",
    "{p}\\",
    "//{h}{p}",
    "http://{h}{p}",
]


@requirement("GWP-06")
@pytest.mark.parametrize("door", SIDE_DOORS)
def test_no_spelling_of_the_path_leads_past_the_gate(
    target: Target, judge: Judge, upstream: Upstream, door: str
) -> None:
    path = target.path or "/"
    escaped = "".join(f"%{ord(char):02x}" if char.isalpha() else char for char in path)
    spelled = door.format(p=path, e=escaped, u=path.upper(), h=target.host)
    revision = target.usual
    sent = revisions.message(revision, "tools/list")
    fields = target.stranger(revision).fields(revisions.headers(revision, sent), ())
    upstream.forget()
    answer = target.wire.raw(
        target.url, written("POST", target.url, fields, json.dumps(sent).encode(), target=spelled), patience=3
    )
    fix = "Decide about access on the very path that is routed, and refuse what is spelled oddly."
    judge.expect(
        not upstream.requests, f"A request without a token for {spelled} reached the upstream.", answer, fix=fix
    )
    judge.expect(
        not answer.ok, f"A request without a token for {spelled} is answered {answer.said()}.", answer, fix=fix
    )


def framed(target: Target, how: str, body: bytes) -> bytes:
    """A request whose end can be read in two ways."""
    revision = target.usual
    sent = revisions.message(revision, "tools/list")
    fields = target.caller(revision).fields(revisions.headers(revision, sent), ())
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    start = f"POST {target.path} HTTP/1.1\r\nHost: {target.host}\r\n{head}"
    inner = json.dumps(revisions.message(revision, "tools/list", number=SMUGGLED)).encode()
    smuggled = f"{start}Content-Length: {len(inner)}\r\n\r\n".encode() + inner
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    made: dict[str, bytes] = {
        "both lengths": f"{start}Content-Length: {len(body)}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + chunked
        + smuggled,
        "two lengths": f"{start}Content-Length: {len(body)}\r\nContent-Length: {len(body) + 5}\r\n\r\n".encode()
        + body
        + smuggled,
        "a folded line": f"{start}Content-Length:\r\n {len(body)}\r\nX-Fold: a\r\n b\r\n\r\n".encode() + body,
        "a length with a sign": f"{start}Content-Length: +{len(body)}\r\n\r\n".encode() + body,
        "an unknown coding": f"{start}Transfer-Encoding: xchunked\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
        + smuggled,
        "a chunked coding in the middle": f"{start}Transfer-Encoding: chunked, identity\r\n\r\n".encode()
        + chunked
        + smuggled,
        "a blank before the colon": f"{start}Content-Length : {len(body)}\r\n".encode()
        + b"Transfer-Encoding : chunked\r\n\r\n"
        + chunked
        + smuggled,
    }
    return made[how]


@requirement("GWP-07")
@pytest.mark.parametrize(
    "how",
    [
        "both lengths",
        "two lengths",
        "a folded line",
        "a length with a sign",
        "an unknown coding",
        "a chunked coding in the middle",
        "a blank before the colon",
    ],
)
def test_ambiguous_framing_is_refused(target: Target, judge: Judge, upstream: Upstream, how: str) -> None:
    upstream.forget()
    body = json.dumps(revisions.message(target.usual, "tools/list")).encode()
    answer = target.wire.raw(target.url, framed(target, how, body), patience=2)
    fix = "Answer 400 and close the connection, and never forward such a request."
    smuggled = [each for each in upstream.requests if str(SMUGGLED).encode() in each.body]
    judge.expect(
        not smuggled and len(upstream.calls()) <= 1,
        f"A request with {how} became {len(upstream.calls())} upstream, one of them smuggled.",
        answer,
        fix=fix,
    )
    strict = how in ("both lengths", "two lengths")
    clean = answer.status >= 400 or not answer.status
    (judge.expect if strict else judge.advise)(
        clean, f"A request with {how} is answered {answer.said()}, where 400 is due.", answer, fix=fix
    )


@requirement("GWP-08")
@pytest.mark.parametrize("version", [MODERN, "2025-11-25", None], ids=["2026-07-28", "2025-11-25", "no version"])
def test_forbidden_tool_does_not_hide_behind_the_header_of_another(
    target: Target, judge: Judge, *, upstream: Upstream, low_token: str, revision: str, version: str | None
) -> None:
    if not target.options.privileged_tool:
        pytest.skip("No tool is known that the token may not call: give --privileged-tool.")
    forbidden = target.options.privileged_tool
    written_as = revision if version == MODERN else (version or "2025-03-26")
    for method, name in (("tools/call", ECHO), ("tools/list", None)):
        upstream.forget()
        caller = (
            target.opened(written_as, low_token)
            if written_as in target.spoken
            else target.caller(written_as, low_token)
        )
        sent = revisions.message(
            written_as, "tools/call", {"name": forbidden, "arguments": target.options.privileged_arguments}
        )
        answer = caller.post(sent, {"MCP-Protocol-Version": version, "Mcp-Method": method, "Mcp-Name": name})
        ran = [each for each in upstream.calls() if forbidden.encode() in each.body]
        fix = (
            "Compare Mcp-Method and Mcp-Name with the body before you decide by them, and answer 400 where they differ."
        )
        judge.expect(
            not ran, f"{forbidden} reached the upstream under the header of {name or method}.", answer, fix=fix
        )
        if version == MODERN:
            judge.expect(
                400 <= answer.status < 500,
                f"{forbidden} under the header of {name or method} is answered {answer.said()}, where 400 is due.",
                answer,
                fix=fix,
            )


@requirement("GWP-10")
def test_unknown_parameters_in_headers_pass_unchanged(
    target: Target, judge: Judge, upstream: Upstream, revision: str
) -> None:
    reached(target, revision, upstream)
    value = revisions.sentinel("Zoë".encode())
    answer = target.caller(revision).ask("tools/list", headers={"Mcp-Param-Conformance": value})
    got = [each.get("mcp-param-conformance") for each in upstream.calls()]
    judge.expect(
        got[-1:] == [value],
        f"Mcp-Param-Conformance reached the upstream as {got[-1:]}.",
        answer,
        fix="Pass Mcp-Param-* on as they are.",
    )


@requirement("GWP-11")
def test_events_pass_as_they_come(target: Target, judge: Judge, upstream: Upstream, revision: str) -> None:
    reached(target, revision, upstream)
    arrived: list[float] = []
    started = time.monotonic()

    def note(body: bytes) -> bool:
        while body.count(b"data:") > len(arrived):
            arrived.append(time.monotonic() - started)
        return body.count(b"data:") >= 4

    caller = target.opened(revision)
    started = time.monotonic()
    answer = caller.post(caller.message("tools/call", {"name": SLOW, "arguments": {}}), done=note)
    if answer.media_type != "text/event-stream":
        pytest.skip(f"A call that is answered by a stream upstream is answered {answer.said()}.")
    spread = arrived[-1] - arrived[0] if len(arrived) > 1 else 0.0
    judge.expect(
        spread > 0.15,
        f"{len(arrived)} events that left the upstream one after another arrived within "
        f"{spread * 1000:.0f} ms: they were held back.",
        answer,
        fix="Pass every chunk on at once: no buffering, no compression of event streams.",
    )
    judge.inform(
        answer.header("x-accel-buffering").lower() == "no",
        "The stream does not say X-Accel-Buffering: no.",
        answer,
        fix="Send it, so that proxies before you do not buffer either.",
    )


@requirement("GWP-12")
def test_client_that_leaves_means_what_its_revision_says(
    target: Target, judge: Judge, upstream: Upstream, revision: str
) -> None:
    reached(target, revision, upstream)
    caller = target.opened(revision)
    note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 0, "progress": 1}}
    upstream.answer = Reply(200, events=tuple((STEP, event(note)) for _ in range(LONG)))
    answer = caller.post(
        caller.message("tools/call", {"name": SLOW, "arguments": {}}), done=lambda body: b"data:" in body
    )
    if revision == MODERN:
        gone = upstream.gone.wait(STEP * 6)
        judge.expect(
            gone,
            "The client closed the stream, and the upstream was not told.",
            answer,
            fix="Close the connection to the upstream when a 2026-07-28 client closes its own.",
        )
    else:
        over = upstream.finished.wait(STEP * LONG + 2)
        judge.advise(
            over and not upstream.gone.is_set(),
            "The client lost its connection, and the call upstream was cut off.",
            answer,
            fix="Up to 2025-11-25 let the upstream finish: only notifications/cancelled cancels.",
        )
    upstream.answer = None


@requirement("GWP-13")
def test_private_results_are_not_shared(
    target: Target, judge: Judge, upstream: Upstream, second_token: str, revision: str
) -> None:
    reached(target, revision, upstream)
    for number, token in enumerate((target.token, second_token, target.token)):
        result = {
            "resultType": "complete",
            "tools": [],
            "ttlMs": 3_600_000,
            "cacheScope": "private",
            "mark": f"for-{number % 2}",
        }
        upstream.answer = as_json(200, {"jsonrpc": "2.0", "id": 4711, "result": result})
        sent = revisions.message(revision, "tools/list", number=4711)
        answer = target.caller(revision, token).post(sent)
        mark = (answer.result() or {}).get("mark")
        judge.expect(
            mark in (None, f"for-{number % 2}"),
            "One principal was given the private result of another.",
            answer,
            fix="Key private results by the principal, or do not cache.",
        )


@requirement("GWP-16")
def test_credentials_that_break_parsers_reach_nobody(target: Target, judge: Judge, upstream: Upstream) -> None:
    upstream.forget()
    for token in ("a.b.c", "eyJhbGciOm51bGx9.e30.AAAA", "\xff\xfe", "e30.e30.", "[]", "." * 3000):
        answer = target.caller(target.usual, token).ask("tools/list")
        judge.expect(
            not upstream.calls() and not answer.ok,
            "A request that could not be authorized reached the upstream.",
            answer,
            fix="Refuse whatever raises in the authorization layer; never go on.",
        )
