"""What the server makes of tokens: of ones that are none, and of the one that was given."""

from __future__ import annotations

from conformance import revisions
from conformance.challenges import bearer
from conformance.wire import Answer
from deploy.doctor.claims import audiences, doubts, granted, in_words, number, read_claims, span
from deploy.doctor.findings import quoted
from deploy.doctor.refusal import opening
from deploy.doctor.visit import Visit

NO_TOKENS = {"not-a-token": "a word that is no JWT", "e30.e30.e30": "an empty, unsigned JWT"}
GRACE = 330  # seconds after its end: the greatest leeway of the settings, and the clocks' usual difference
SPOKEN = ("2025-06-18", "2025-11-25", revisions.MODERN)


async def with_bad_tokens(visit: Visit) -> None:
    """Whether what is no token gets the 401 that lets a client log in again."""
    if not visit.asker.trusted:
        visit.findings.skip("bad tokens", "https with a certificate that holds")
        return
    for token, words in NO_TOKENS.items():
        answer = await opening(visit, token=token)
        if not _bad_token(visit, answer, words):
            return
    visit.findings.good("What is no token is answered 401")


def _bad_token(visit: Visit, answer: Answer, words: str) -> bool:
    came = f"A bearer token that is {words} is answered {answer.said()}"
    if answer.ok:
        visit.findings.add(
            "bad-token-accepted",
            f"{came}: anybody gets in.",
            "Let nothing reach the server but through the gate, which verifies every token.",
        )
        return False
    if answer.status == 429:
        visit.findings.skip("bad tokens", "a minute without requests: the server limits how often it is asked")
        return False
    if answer.status != 401:
        visit.findings.add(
            "bad-token-error",
            f"{came}, where 401 is due: a client whose token has become useless never logs in again.",
            visit.at("header", 'Answer 401 with error="invalid_token"; see the server\'s log for what went wrong.'),
        )
        return False
    challenge = bearer(answer.all("www-authenticate"))
    if challenge is not None and challenge.get("error") != "invalid_token":
        visit.findings.add(
            "bad-token-unnamed",
            f'The 401 for a bearer token that is {words} does not say error="invalid_token": clients cannot tell that '
            "it was the token.",
            'Name error="invalid_token" in the challenge where a token came and was refused.',
        )
        return False
    return True


async def with_token(visit: Visit) -> None:
    """What the given token says of itself, and what the server says to it, in each revision."""
    token = visit.question.token
    if not token:
        visit.findings.skip("the way with a token", "an access token: --token-file, - or ACCESS_TOKEN")
        return
    if not visit.asker.trusted:
        visit.findings.skip("the token", "https with a certificate that holds: the token was not sent")
        return
    visit.claims = read_claims(token)
    if visit.claims is None:
        visit.findings.skip("what the token says of itself", "a JWT: this one is opaque or encrypted")
    else:
        visit.findings.good(f"The token says of itself, not verified: {in_words(visit.claims, visit.now())}")
    answers = {revision: await opening(visit, revision=revision, token=token) for revision in SPOKEN}
    visit.revisions = tuple(revision for revision, answer in answers.items() if _speaks(revision, answer))
    await _end_sessions(visit, answers)
    await _judge(visit, answers)


def _speaks(revision: str, answer: Answer) -> bool:
    result = answer.result() or {}
    listed = result.get("supportedVersions")
    if revision == revisions.MODERN:
        return isinstance(listed, list) and revision in listed
    return result.get("protocolVersion") == revision


async def _end_sessions(visit: Visit, answers: dict[str, Answer]) -> None:
    """Leave no session behind."""
    for revision, answer in answers.items():
        if session := answer.header("mcp-session-id"):
            fields = [("Mcp-Session-Id", session), ("MCP-Protocol-Version", revision)]
            await visit.asker.ask("DELETE", visit.url, fields, token=visit.question.token)


async def _judge(visit: Visit, answers: dict[str, Answer]) -> None:
    """What the answers say of the token, together with what it says of itself."""
    refused = next((answer for answer in answers.values() if answer.status == 401), None)
    forbidden = next((answer for answer in answers.values() if answer.status == 403), None)
    broken = next((answer for answer in answers.values() if not answer.status or answer.status >= 500), None)
    if refused is not None:
        _refused(visit, refused)
    elif forbidden is not None:
        _forbidden(visit, forbidden)
    elif broken is not None:
        visit.findings.add(
            "token-error",
            f"A request with the token is answered {broken.said()}.",
            visit.at("time", "See the log of the server, and of what stands before it."),
        )
    elif not visit.revisions and any(answer.status == 429 for answer in answers.values()):
        visit.findings.skip("the token", "a minute without requests: the server limits how often it is asked")
    elif not visit.revisions:
        said = "; ".join(f"{revision}: {answer.said()}" for revision, answer in answers.items())
        visit.findings.add(
            "no-revision",
            f"A request with the token is not answered in any revision of MCP ({said}).",
            "Check that path and upstream lead to an MCP endpoint of Streamable HTTP, not to a page or another API.",
        )
    else:
        visit.findings.good(f"The server takes the token, and speaks {', '.join(visit.revisions)}")
        _taken(visit)


def _refused(visit: Visit, answer: Answer) -> None:
    challenge = bearer(answer.all("www-authenticate"))
    why = " ".join(
        f"{name}={quoted(value)}"
        for name in ("error", "error_description")
        if challenge is not None and (value := challenge.get(name))
    )
    data = answer.error().get("data")
    refusal = data.get("refusal") if isinstance(data, dict) else None
    id_ = refusal if isinstance(refusal, str) and refusal.isalnum() else "ID"
    visit.findings.add(
        "token-refused",
        f"The token is answered 401 ({why or quoted(answer.error().get('message') or 'without a reason')}).",
        f"bearergate explain {id_} says why, from the gate's audit log; what follows is what the token says of itself, "
        "decoded and not verified.",
    )
    for finding, what, change in doubts(visit):
        visit.findings.add(finding, what, change)


def _forbidden(visit: Visit, answer: Answer) -> None:
    challenge = bearer(answer.all("www-authenticate"))
    asked = challenge.scopes if challenge else []
    lacks = [scope for scope in asked if scope not in granted(visit.claims or {})]
    if lacks:
        visit.findings.add(
            "token-forbidden",
            f"The token is answered 403: it lacks the scope {', '.join(lacks)}.",
            "Log in again with these scopes; the issuer must grant them to the client (Cognito: AllowedOAuthScopes).",
        )
        return
    named = "no challenge that names scopes" if challenge is None or not asked else "a challenge for scopes it has"
    visit.findings.add(
        "token-forbidden",
        f"The token is answered 403 with {named}: a client cannot know what would help.",
        visit.at(
            "header",
            "If the gate refused (denied_by_policy, origin_refused), its log says why; if the front did, let it pass "
            "the gate's own answer on.",
        ),
    )


def _taken(visit: Visit) -> None:
    """What is odd about a token that the server takes."""
    claims = visit.claims
    if claims is None:
        return
    audience = audiences(claims)
    if not audience:
        visit.findings.add(
            "token-no-audience",
            "The token names no audience, and is taken. That is fine for Cognito, which writes aud only where the "
            "client asked with resource, as long as the client is under client_ids and a scope is of your own "
            "resource server.",
            "Let clients ask with resource, and set resource_binding: true of the issuer.",
        )
    elif visit.url not in audience and visit.metadata.get("resource") not in audience:
        visit.findings.add(
            "foreign-audience-accepted",
            f"The token is for {', '.join(map(quoted, audience))}, not for {visit.url}, and is taken.",
            "If aliases of the resource names it, all is well; else let the server compare aud with its own URL.",
        )
    ends = number(claims, "exp")
    if ends is not None and ends < visit.now() - GRACE:
        visit.findings.add(
            "bad-token-accepted",
            f"The token ended {span(visit.now() - ends)} ago, and is taken.",
            "Verify exp; if an authorizer of API Gateway remembers answers, set AuthorizerCacheSeconds to 0.",
        )
