"""RS-401: what a request without a usable token is answered (MCP Authorization, RFC 6750 §3, RFC 9728 §5.1)."""

from __future__ import annotations

import pytest

from . import revisions
from .addresses import is_loopback, may_fetch, split
from .challenges import bearer, lint
from .plugin import Judge
from .requirements import requirement
from .target import Target
from .verdicts import CHECK_FIRST, CLEAN, challenged
from .wire import Answer

ACCEPT = "application/json, text/event-stream"
ALLOWED_CODES = {-32020, -32021, -32022}
PLAIN = "Answer a request without credentials with a challenge that names no error: RFC 6750 keeps those for tokens."
EVIL = 'x"\r\nSet-Cookie: evil=1\r\n\\<script>'


def metadata_url(answer: Answer) -> str | None:
    """Where a challenge says that the resource metadata is."""
    found = bearer(answer.all("www-authenticate"))
    return found.get("resource_metadata") if found else None


@requirement("RS-401-01")
def test_request_without_a_token_is_challenged(target: Target, judge: Judge, revision: str) -> None:
    challenged(judge, target.stranger(revision).start(), "A request without a token")


@requirement("RS-401-02")
def test_challenge_says_where_the_metadata_is(target: Target, judge: Judge, revision: str) -> None:
    answer = target.stranger(revision).start()
    judge.expect(
        metadata_url(answer) is not None,
        "The 401 has no resource_metadata, so clients of 2025-06-18 cannot find the authorization server.",
        answer,
        fix='Add resource_metadata="<URL of the resource metadata>" to the Bearer challenge.',
    )


@requirement("RS-401-03")
def test_metadata_can_be_found(target: Target, judge: Judge, revision: str) -> None:
    found = {
        place
        for place, answer in target.found.documents.items()
        if answer.status == 200 and isinstance(answer.json(), dict)
    }
    judge.expect(
        bool(found),
        "No metadata document is found: not by the challenge, nor at the well-known URI with or without the path.",
        next(iter(target.found.documents.values()), target.found.refusal),
        fix=f"Serve the RFC 9728 document at {target.origin}/.well-known/oauth-protected-resource{target.path}.",
    )
    judge.advise(
        not found or metadata_url(target.found.refusal) is not None,
        "The metadata are only at the well-known URI: clients of 2025-06-18 do not look there.",
        target.found.refusal,
        fix="Name the document in the challenge as well, as resource_metadata.",
    )


@pytest.mark.parametrize("credentials", [None, "Basic dTpw"], ids=["no credentials", "another scheme"])
@requirement("RS-401-04")
def test_request_without_a_bearer_token_hears_of_no_error(
    target: Target, judge: Judge, revision: str, credentials: str | None
) -> None:
    answer = target.stranger(revision).post(revisions.opening(revision), {"Authorization": credentials})
    found = bearer(answer.all("www-authenticate"))
    said = [name for name in ("error", "error_description", "error_uri") if found and found.get(name) is not None]
    what = "no credentials" if credentials is None else "credentials of another scheme"
    judge.expect(
        answer.status == 401,
        f"A request with {what} is answered {answer.said()}, where 401 is due.",
        answer,
        fix=CHECK_FIRST,
    )
    judge.expect(not said, f"The challenge to a request with {what} holds {', '.join(said)}.", answer, fix=PLAIN)


@requirement("RS-401-05")
def test_token_that_is_no_good_is_called_invalid(target: Target, judge: Judge, revision: str) -> None:
    answer = target.caller(revision, "not-a-token").start()
    found = bearer(answer.all("www-authenticate"))
    said = found.get("error") if found else None
    judge.expect(
        answer.status == 401 and said == "invalid_token",
        f"A token that is no good is answered {answer.status} with error={said or 'nothing'}, where "
        f"401 and invalid_token are due.",
        answer,
        fix='Answer 401 with error="invalid_token" beside resource_metadata: then clients get themselves a new token.',
    )


@requirement("RS-401-06")
def test_metadata_url_of_the_challenge_is_absolute_secure_and_answers(
    target: Target, judge: Judge, revision: str
) -> None:
    answer = target.stranger(revision).start()
    url = metadata_url(answer)
    if url is None:
        pytest.skip("The challenge names no resource_metadata: RS-401-02 and RS-401-03 judge that.")
    parts = split(url)
    secure = parts.scheme == "https" or (
        parts.scheme == "http" and is_loopback(parts.hostname or "") and target.loopback
    )
    fix = "Build resource_metadata from the public URL of the server: absolute, and https unless it is on loopback."
    if not judge.expect(
        secure and bool(parts.netloc), f"resource_metadata is {url!r}: no absolute https URL.", answer, fix=fix
    ):
        return
    found = bearer(answer.all("www-authenticate"))
    judge.expect(
        "resource_metadata" in (found.quoted if found else ()),
        "resource_metadata is not in quotes.",
        answer,
        fix="Put the URL in double quotes.",
    )
    if may_fetch(url, target.near):
        document = target.get(url)
        holds = document.status == 200 and document.media_type == "application/json"
        judge.expect(
            holds,
            f"A GET of resource_metadata is answered {document.said()}, where 200 and application/json are due.",
            document,
            fix="Serve the document there, to everyone.",
        )


@requirement("RS-401-07")
def test_challenge_names_the_scopes_that_are_needed(target: Target, judge: Judge, revision: str) -> None:
    answer = target.stranger(revision).start()
    found = bearer(answer.all("www-authenticate"))
    judge.expect(
        found is not None and bool(found.scopes),
        "The challenge has no scope, so a client can only guess what to ask for.",
        answer,
        fix='Add scope="…" with what the refused request needs.',
    )


@requirement("RS-401-08")
def test_challenges_are_well_formed_and_repeat_nothing_of_the_request(
    target: Target, judge: Judge, revision: str
) -> None:
    stranger = target.stranger(revision)
    sent = [("no token", stranger.start()), ("a bad token", target.caller(revision, "not-a-token").start())]
    odd = ('Bearer a"b', "Bearer a\\b", 'Bearer error="x", scope="y"')
    opening = revisions.opening(revision)
    sent += [(f"the credentials {text!r}", stranger.post(opening, {"Authorization": text})) for text in odd]
    for what, answer in sent:
        for problem in lint(answer.all("www-authenticate")):
            judge.expect(
                False,
                f"The challenge to {what} is malformed: {problem}.",
                answer,
                fix="Write challenges by the grammar of RFC 9110 §11.6.1, with every value in quotes, "
                "and put nothing of the request in them.",
            )


@requirement("RS-401-09")
@pytest.mark.parametrize(
    "what", ["initialize", "tools/list", "server/discover", "ping", "a notification", "GET", "DELETE"]
)
def test_everything_at_the_endpoint_needs_a_token(target: Target, judge: Judge, revision: str, what: str) -> None:
    stranger = target.stranger(revision)
    not_offered = False
    if what in ("GET", "DELETE"):
        answer = stranger.send(what, {"Mcp-Session-Id": "00000000-0000-4000-8000-000000000000"})
        # A verb that nobody looks at is refused alike with and without a session.
        not_offered = answer.status in (404, 405, 501) and answer.status == stranger.send(what).status
    elif what == "a notification":
        answer = stranger.post(revisions.notification(revision))
    else:
        answer = stranger.post(revisions.message(revision, what))
    due = f"{what} without a token is answered {answer.said()}, where 401 is due."
    judge.expect(answer.status == 401 or not_offered, due, answer, fix=CHECK_FIRST)
    judge.advise(not not_offered or answer.status == 405, due, answer, fix=CHECK_FIRST)


@pytest.mark.parametrize("token", [None, "not-a-token"], ids=["no token", "a bad token"])
@pytest.mark.parametrize("accept", [ACCEPT, "text/event-stream", "text/html"])
@requirement("RS-401-10")
def test_refusal_is_a_status_and_nothing_else(
    target: Target, judge: Judge, revision: str, accept: str, token: str | None
) -> None:
    caller = target.stranger(revision) if token is None else target.caller(revision, token)
    answer = caller.post(revisions.opening(revision), {"Accept": accept})
    hidden = {2: "hidden in a success", 3: "a redirect"}.get(answer.status // 100, "")
    unacceptable = answer.status == 406 and accept != ACCEPT  # which may come before all else, and tells nothing
    judge.expect(
        answer.status == 401 or unacceptable,
        f"A refusal to a client that accepts {accept} is {hidden or answer.said()}, where the status 401 is due.",
        answer,
        fix="Refuse by the HTTP status, before any body or stream begins, whatever the client accepts.",
    )


@requirement("RS-401-12")
def test_nobody_is_told_to_ask_for_offline_access(target: Target, judge: Judge, revision: str) -> None:
    answer = target.stranger(revision).start()
    found = bearer(answer.all("www-authenticate"))
    fix = (
        "Leave offline_access out: whether there are refresh tokens is between the client and the authorization server."
    )
    judge.expect(
        not found or "offline_access" not in found.scopes, "The challenge asks for offline_access.", answer, fix=fix
    )
    listed = target.found.metadata().get("scopes_supported")
    judge.expect(
        "offline_access" not in (listed if isinstance(listed, list) else []),
        "scopes_supported holds offline_access.",
        next(iter(target.found.documents.values()), None),
        fix=fix,
    )


@requirement("RS-401-13")
def test_refusals_are_not_stored_and_borrow_no_codes(target: Target, judge: Judge, revision: str) -> None:
    for token in (None, "not-a-token"):
        answer = target.stranger(revision).start() if token is None else target.caller(revision, token).start()
        judge.expect(
            "no-store" in answer.header("cache-control").lower(),
            "The refusal is not marked no-store.",
            answer,
            fix="Send Cache-Control: no-store with every 401 and 403.",
        )
        code = answer.code()
        reserved = code is not None and -32099 <= code <= -32020 and code not in ALLOWED_CODES
        judge.expect(
            not reserved,
            f"The refusal's body has the code {code}, which MCP reserves.",
            answer,
            fix="Use a code outside -32020 to -32099.",
        )


@requirement("JWT-FMT-01")
@pytest.mark.parametrize(
    "token",
    [
        pytest.param("a", id="one part"),
        pytest.param("a.b", id="two parts"),
        pytest.param("a.b.c.d", id="four parts"),
        pytest.param(
            "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA", id="a JWE"
        ),
        pytest.param("eyJhbGciOiJSUzI1NiJ9.!!!!.AAAA", id="bad base64url"),
        pytest.param("eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ==.AA+/", id="plain base64"),
        pytest.param("eyJhbGciOiJSUzI1NiJ9.bm90IGpzb24.AAAA", id="a payload that is no JSON"),
        pytest.param("eyJhbGciOiJSUzI1NiJ9.W10.AAAA", id="a list as payload"),
        pytest.param("eyJhbGciOiJSUzI1NiJ9.bnVsbA.AAAA", id="null as payload"),
        pytest.param("eyJhbGciOiJSUzI1NiJ9.ImEi.AAAA", id="a string as payload"),
        pytest.param("W10.e30.AAAA", id="a list as header"),
        pytest.param("bnVsbA.e30.AAAA", id="null as header"),
        pytest.param("e30.e30.AAAA", id="an empty header"),
        pytest.param("eyJhbGciOm51bGx9.e30.AAAA", id="null as alg"),
        pytest.param("eyJhbGciOnsiYSI6MX19.e30.AAAA", id="an object as alg"),
        pytest.param("gICA.gICA.AAAA", id="no UTF-8"),
        pytest.param("eyJhbGciOiJSUzI1NiJ9.AAAA.AAAA", id="NUL bytes"),
        pytest.param("eyJhbGciOiJSUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19.e30.AAAA", id="b64 is false"),
        pytest.param("..", id="nothing but dots"),
    ],
)
def test_what_is_no_signed_token_is_refused(target: Target, judge: Judge, token: str) -> None:
    for revision in target.spoken[-1:]:
        answer = target.caller(revision, token).start()
        if answer.status == 400:
            judge.advise(False, "It is answered 400, where 401 with invalid_token is due.", answer, fix=CLEAN)
        else:
            judge.expect(answer.status == 401, f"It is answered {answer.said()}, where 401 is due.", answer, fix=CLEAN)


ODD = {
    "a scheme alone": b"Bearer",
    "a scheme and a blank": b"Bearer ",
    "two words": b"Bearer  a b",
    "a tab": b"Bearer \t",
    "two dots": b"Bearer ..",
    "a token without a scheme": b"eyJhbGciOiJSUzI1NiJ9.e30.AAAA",
    "bytes above 0x7F": b"Bearer \xff\xfe\xe9",
    "nothing": b"",
    "a comma": b"Bearer ,",
    "an equals sign": b"Bearer =",
}


@pytest.mark.parametrize("what", ODD)
@requirement("RS-CRED-04")
def test_odd_credentials_are_refused_cleanly(target: Target, judge: Judge, revision: str, what: str) -> None:
    answer = target.stranger(revision).post(
        revisions.opening(revision), [("Authorization", ODD[what].decode("latin-1"))]
    )
    due = f"Authorization with {what} is answered {answer.said()}, where 401 or 400 is due."
    clean = 400 <= answer.status < 500  # what stands before a server may have words of its own
    judge.expect(clean, due, answer, fix=CLEAN)
    judge.advise(not clean or answer.status in (400, 401), due, answer, fix=CLEAN)


@pytest.mark.parametrize("kib", [8, 64, 1024])
@requirement("RS-CRED-06")
def test_oversized_credentials_are_cut_off(target: Target, judge: Judge, kib: int) -> None:
    answer = target.caller(target.usual, "a" * (kib * 1024)).start()
    cut = not answer.status and kib >= 64 and not answer.note.startswith("no answer in")
    judge.expect(
        400 <= answer.status < 500 or cut,
        f"A token of {kib} KiB is answered {answer.said()}, where 401, 400 or 431 is due.",
        answer,
        fix="Limit the size of header fields, and refuse what is longer before it is parsed.",
    )
    judge.expect(
        answer.seconds < 2,
        f"Refusing a token of {kib} KiB took {answer.seconds:.1f} s.",
        answer,
        fix="Check the length before anything else.",
    )


@requirement("GWP-05")
@pytest.mark.parametrize(
    "name", ["Host", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Original-URL", "X-Forwarded-Prefix"]
)
def test_public_address_does_not_come_from_the_request(target: Target, judge: Judge, name: str) -> None:
    value = {
        "X-Forwarded-Proto": "gopher",
        "Forwarded": "host=evil.test;proto=https",
        "X-Forwarded-Prefix": "/evil.test",
        "X-Original-URL": "/evil.test",
    }.get(name, "evil.test")
    mark = "gopher" if name == "X-Forwarded-Proto" else "evil.test"
    asked = [target.stranger(target.usual).post(revisions.opening(target.usual), {name: value})]
    asked += [
        target.get(answer.url, [(name, value)]) for answer in target.found.documents.values() if answer.status == 200
    ][:1]
    for answer in asked:
        said = answer.text + " ".join(f"{key}: {text}" for key, text in answer.headers)
        judge.expect(
            mark not in said or (answer.status >= 400 and answer.status != 401),  # refused, and by whom is no matter
            f"{name}: {value} comes back in the answer.",
            answer,
            fix="Take the public URL from the settings, and believe forwarding headers of a known proxy only.",
        )
