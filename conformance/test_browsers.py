"""TRN-ORIG and TRN-CORS: who may call from a browser, and what its pages may read (MCP Transports, Fetch)."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

import pytest

from . import revisions
from .plugin import Judge
from .requirements import requirement
from .target import Target

FOREIGN = "https://conformance-evil.test"
HEADERS = (
    "authorization",
    "content-type",
    "accept",
    "mcp-protocol-version",
    "mcp-session-id",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-param-conformance",
)


def lookalike(target: Target) -> str:
    """An origin that begins as the target's own does."""
    parts = urlsplit(target.origin)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}.conformance-evil.test{port}"


def allowed(target: Target) -> str:
    """An origin that the target lets in: as given, or its own if it lets that in."""
    given = target.options.allowed_origin
    origin = given or target.origin
    answer = target.stranger(target.usual).post(revisions.opening(target.usual), {"Origin": origin})
    if answer.status == 403:
        pytest.skip("No web origin is known that the target lets in: give --allowed-origin.")
    if not given and not answer.has("access-control-allow-origin"):
        pytest.skip("No web origin is known that the target lets pages of read its answers: give --allowed-origin.")
    return origin


@requirement("TRN-ORIG-01")
@pytest.mark.parametrize("how", ["foreign", "null", "alike"])
def test_foreign_origin_is_refused(target: Target, judge: Judge, token: str, revision: str, how: str) -> None:
    origin = {"foreign": FOREIGN, "null": "null", "alike": lookalike(target)}[how]
    answer = target.caller(revision).post(revisions.opening(revision), {"Origin": origin})
    due = answer.status == 403 if revision >= "2025-11-25" else 400 <= answer.status < 500
    judge.expect(
        due,
        f"A request of a page of {origin} is answered {answer.said()}, where 403 is due.",
        answer,
        fix="Compare Origin with a list, as a whole, and answer 403 to what is not on it; let requests "
        "without Origin through.",
    )


@requirement("TRN-ORIG-01")
def test_request_without_origin_is_served(target: Target, judge: Judge, token: str, revision: str) -> None:
    answer = target.caller(revision).start()
    judge.expect(
        answer.ok,
        f"A request without Origin is answered {answer.said()}.",
        answer,
        fix="Only browsers send Origin: let requests without it through.",
    )


@requirement("TRN-ORIG-02")
def test_local_server_looks_at_the_host(target: Target, judge: Judge, token: str, revision: str) -> None:
    if not target.loopback:
        pytest.skip("The target is not on this machine.")
    rebound = {"Host": "conformance-evil.test", "Origin": "http://conformance-evil.test"}
    answer = target.caller(revision).post(revisions.opening(revision), rebound)
    judge.expect(
        400 <= answer.status < 500,
        f"A request that DNS rebinding would make (Host and Origin of another site) is answered {answer.said()}.",
        answer,
        fix="Compare Host with a list as well: a page whose name was turned to 127.0.0.1 sends its own name.",
    )


@requirement("TRN-CORS-01")
def test_preflight_needs_no_token_and_allows_what_mcp_sends(target: Target, judge: Judge) -> None:
    origin = allowed(target)
    asked = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", ", ".join(HEADERS)),
    ]
    answer = target.wire.send("OPTIONS", target.url, asked)
    fix = "Answer OPTIONS with 204 before credentials are looked at, and allow the headers that are asked for."
    if not judge.expect(
        answer.ok,
        f"The preflight is answered {answer.said()}: clients in browsers cannot call at all.",
        answer,
        fix=fix,
    ):
        return
    said = {each.strip().lower() for each in answer.header("access-control-allow-headers").split(",")}
    missing = [each for each in HEADERS if each not in said and (each == "authorization" or "*" not in said)]
    judge.expect(not missing, f"The preflight does not allow {', '.join(missing)}.", answer, fix=fix)
    methods = {each.strip().upper() for each in answer.header("access-control-allow-methods").split(",")}
    judge.expect(bool(methods & {"POST", "*"}), "The preflight does not allow POST.", answer, fix=fix)


@requirement("TRN-CORS-02")
def test_refusal_can_be_read_by_the_page(target: Target, judge: Judge) -> None:
    origin = allowed(target)
    answer = target.stranger(target.usual).post(revisions.opening(target.usual), {"Origin": origin})
    fix = "Send Access-Control-Allow-Origin and Access-Control-Expose-Headers with refusals too."
    judge.expect(
        answer.header("access-control-allow-origin") in (origin, "*"),
        "The 401 cannot be read by the page that asked.",
        answer,
        fix=fix,
    )
    exposed = {each.strip().lower() for each in answer.header("access-control-expose-headers").split(",")}
    missing = [each for each in ("www-authenticate", "mcp-session-id") if each not in exposed and "*" not in exposed]
    judge.expect(not missing, f"The page cannot read {', '.join(missing)}.", answer, fix=fix)


@requirement("TRN-CORS-03")
def test_arbitrary_origin_is_not_reflected(target: Target, judge: Judge) -> None:
    origin = f"https://{secrets.token_hex(4)}.conformance-evil.test"
    for answer in (
        target.stranger(target.usual).post(revisions.opening(target.usual), {"Origin": origin}),
        target.wire.send(
            "OPTIONS",
            target.url,
            [
                ("Origin", origin),
                ("Access-Control-Request-Method", "POST"),
                ("Access-Control-Request-Headers", "authorization"),
            ],
        ),
    ):
        fix = "Allow the origins of a list, answer Vary: Origin, and never allow credentials."
        said = answer.header("access-control-allow-origin")
        with_credentials = answer.header("access-control-allow-credentials").lower() == "true"
        judge.expect(
            not (said == origin and with_credentials),
            "Any origin is reflected, and its pages may send credentials.",
            answer,
            fix=fix,
        )
        judge.expect(said != origin, "An origin that nobody listed is reflected.", answer, fix=fix)
        judge.expect(
            said in ("", "*") or "origin" in answer.header("vary").lower(),
            "The answer depends on Origin and does not say so in Vary.",
            answer,
            fix=fix,
        )
