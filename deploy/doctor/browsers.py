"""What a web page meets that calls the server: Origin, the preflight, and which headers it may read."""

from __future__ import annotations

from deploy.doctor.findings import quoted
from deploy.doctor.refusal import opening
from deploy.doctor.visit import Visit

SENT = "authorization, content-type, accept, mcp-protocol-version, mcp-session-id, last-event-id, mcp-method, mcp-name"
READ = ("WWW-Authenticate", "Mcp-Session-Id")  # what a page must be able to read of an answer


async def as_page(visit: Visit) -> None:
    """Call as a page does: of the origin that was given, else of the server's own."""
    given = visit.question.origin
    origin = given or visit.home.origin
    answer = await opening(visit, ("Origin", origin))
    if not answer.status:
        visit.findings.skip("calls from web pages (CORS)", f"an answer to a request with Origin ({answer.note})")
        return
    open_to = answer.header("access-control-allow-origin")
    if not given and open_to not in (origin, "*"):
        visit.findings.skip("calls from web pages (CORS)", "--origin with the origin of a page that is to call")
        return
    if answer.status in (400, 403):
        visit.findings.add(
            "origin-refused",
            f"A request of a page of {quoted(origin)} is answered {answer.status}: no client there can call.",
            visit.at("cors", f"Add {origin} to allowed_origins."),
        )
        return
    sound = await _preflight(visit, origin)
    if open_to not in (origin, "*"):
        visit.findings.add(
            "cors-answer",
            f"The {answer.status} for a page of {quoted(origin)} has Access-Control-Allow-Origin {quoted(open_to)}: "
            "the page cannot read it, so it never sees the challenge.",
            visit.at("cors", f"Add {origin} to allowed_origins, and let nothing but the gate write CORS headers."),
        )
        return
    exposed = {each.strip().lower() for each in answer.header("access-control-expose-headers").split(",")}
    if missing := [name for name in READ if name.lower() not in exposed and "*" not in exposed]:
        visit.findings.add(
            "cors-expose",
            f"A page cannot read {' and '.join(missing)}: Access-Control-Expose-Headers does not name it.",
            visit.at("cors", f"Send Access-Control-Expose-Headers: {', '.join(READ)}, on refusals too."),
        )
    elif sound:
        visit.findings.good(f"Pages of {origin} can call, and read refusals")


async def _preflight(visit: Visit, origin: str) -> bool:
    """Whether the question that browsers send first is answered well, without a token."""
    asked = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", SENT),
    ]
    answer = await visit.asker.ask("OPTIONS", visit.url, asked)
    allowed = {each.strip().lower() for each in answer.header("access-control-allow-headers").split(",")}
    # `*` does not stand for Authorization (WHATWG Fetch, CORS-non-wildcard request-header name)
    missing = [
        name for name in SENT.split(", ") if name not in allowed and (name == "authorization" or "*" not in allowed)
    ]
    if answer.ok and not missing:  # POST needs no permission (WHATWG Fetch, CORS-safelisted method)
        return True
    lacks = f"does not allow {', '.join(missing)}" if answer.ok else f"is answered {answer.said()}"
    visit.findings.add(
        "preflight",
        f"The preflight of a page of {quoted(origin)} {lacks}: browsers then send nothing.",
        visit.at("cors", "Pass OPTIONS on to the gate, which answers 204 before it looks at credentials."),
    )
    return False
