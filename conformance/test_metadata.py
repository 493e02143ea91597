"""PRM: the protected resource metadata (RFC 9728, MCP Authorization)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .addresses import is_loopback, may_fetch, split
from .plugin import Judge
from .requirements import requirement
from .target import WELL_KNOWN, Target
from .wire import MAX_BODY, Answer

ARRAYS = (
    "authorization_servers",
    "scopes_supported",
    "bearer_methods_supported",
    "resource_signing_alg_values_supported",
    "authorization_details_types_supported",
    "dpop_signing_alg_values_supported",
)
TEXTS = ("resource", "jwks_uri", "resource_name", "resource_documentation", "resource_policy_uri", "resource_tos_uri")
FLAGS = ("tls_client_certificate_bound_access_tokens", "dpop_bound_access_tokens_required")
PLACE = "Serve it at /.well-known/oauth-protected-resource, followed by the path of the endpoint (RFC 9728 §3.1)."


def documents(target: Target) -> dict[str, Answer]:
    """The documents that were found, by place; not tested if there is none."""
    found = {
        place: answer
        for place, answer in target.found.documents.items()
        if answer.status == 200 and isinstance(answer.json(), dict)
    }
    return found or pytest.skip("There is no metadata document: RS-401-03 and PRM-02 judge that.")


def member(target: Target, name: str) -> tuple[Any, Answer]:
    """A member of the document that clients use."""
    answer = next(iter(documents(target).values()))
    return answer.json().get(name), answer


@requirement("PRM-01")
def test_document_is_json_for_everyone(target: Target, judge: Judge) -> None:
    tried = [
        (place, answer) for place, answer in target.found.documents.items() if place != "root" or answer.status == 200
    ]
    if all(answer.status == 404 for _, answer in tried):
        pytest.skip("There is no metadata document: RS-401-03 and PRM-02 judge that.")
    for place, answer in tried:
        if answer.status == 404:
            continue
        what = f"The document ({place})"
        if answer.status // 100 == 3:
            away = split(answer.header("location")).netloc not in ("", split(answer.url).netloc)
            fix = "Serve the document where it belongs."
            judge.expect(not away, f"{what} redirects to another origin.", answer, fix=fix)
            continue
        if not judge.expect(
            answer.status == 200,
            f"{what} is answered {answer.said()}, where 200 is due.",
            answer,
            fix="Serve it to everyone, without credentials.",
        ):
            continue
        judge.expect(
            not answer.note,
            f"{what} could not be read to its end: {answer.note}.",
            answer,
            fix=f"Serve a document of a few kilobytes, at once (this suite stops after {MAX_BODY} bytes).",
        )
        judge.expect(
            answer.media_type == "application/json",
            f"{what} is {answer.media_type or 'of no type'}, where application/json is due.",
            answer,
            fix="Send Content-Type: application/json.",
        )
        judge.expect(
            isinstance(answer.json(), dict),
            f"{what} is no JSON object.",
            answer,
            fix="Serve a JSON object with resource and authorization_servers.",
        )


@requirement("PRM-02")
def test_document_is_at_the_place_with_the_path(target: Target, judge: Judge) -> None:
    answer = target.found.documents["path"]
    judge.expect(
        answer.status == 200 and isinstance(answer.json(), dict),
        f"{answer.url} is answered {answer.said()}, where the document is due.",
        answer,
        fix=PLACE,
    )


@requirement("PRM-03")
def test_document_at_the_root_is_about_this_resource_or_not_there(target: Target, judge: Judge) -> None:
    answer = target.found.documents.get("root")
    if answer is None or answer.status != 200 or not isinstance(said := answer.json(), dict):
        return
    judge.inform(
        said.get("resource") in (target.origin, f"{target.origin}/"),
        f"The document at the root is about {said.get('resource')!r}: a client that built its address "
        f"from the bare origin has to reject it (RFC 9728 §3.3).",
        answer,
        fix="Serve the document at the place with the path; keep the root for clients that look only there.",
    )


@requirement("PRM-04")
def test_resource_is_the_url_that_was_called(target: Target, judge: Judge) -> None:
    for place, answer in documents(target).items():
        if place == "root" and len(documents(target)) > 1:
            continue  # PRM-03
        said = answer.json().get("resource")
        # With and without a slash a bare origin is the same URL (RFC 3986 §6.2.3).
        bare = target.path in ("", "/") and not target.query and said in (target.origin, f"{target.origin}/")
        judge.expect(
            bare or said == target.url,
            f"resource is {said!r} ({place}), and {target.url!r} was called: strict clients stop here.",
            answer,
            fix=f"Publish exactly {target.url} as resource.",
        )
        judge.expect(
            not isinstance(said, str) or "#" not in said,
            "resource has a fragment.",
            answer,
            fix="Leave the fragment out.",
        )


@requirement("PRM-05")
def test_authorization_servers_are_issuers(target: Target, judge: Judge) -> None:
    said, answer = member(target, "authorization_servers")
    fix = 'Publish "authorization_servers": ["<issuer>"], the very string that its metadata call issuer.'
    if not judge.expect(
        isinstance(said, list) and bool(said),
        f"authorization_servers is {said!r}, where a list of at least one issuer is due.",
        answer,
        fix=fix,
    ):
        return
    for each in said:
        if not judge.expect(
            isinstance(each, str) and split(each).scheme in ("https", "http"),
            f"authorization_servers holds {each!r}, which is no issuer identifier.",
            answer,
            fix=fix,
        ):
            continue
        judge.expect(
            "/.well-known/" not in each,
            f"authorization_servers holds the metadata URL {each!r} in place of the issuer.",
            answer,
            fix=fix,
        )
    first = target.server_metadata.get("issuer")
    if first is not None:
        judge.expect(
            first == said[0],
            f"The first is {said[0]!r}, and its metadata say issuer {first!r}.",
            target.server_answer,
            fix=fix,
        )


def _has_its_type(judge: Judge, answer: Answer, name: str, value: object) -> None:
    """A member is of the type that the registry gives it (RFC 9728 §2)."""
    for names, kind, words in ((ARRAYS, list, "a list"), (TEXTS, str, "a string"), (FLAGS, bool, "true or false")):
        if name in names:
            judge.expect(
                isinstance(value, kind), f"{name} is {value!r}, where {words} is due.", answer, fix=f"Make it {words}."
            )
    if name in ARRAYS:
        judge.expect(value != [], f"{name} is an empty list.", answer, fix="Leave out what is empty (RFC 9728 §3.2).")


@requirement("PRM-06")
def test_members_have_the_types_of_the_registry(target: Target, judge: Judge) -> None:
    for answer in documents(target).values():
        said = answer.json()
        for name, value in said.items():
            if judge.expect(value is not None, f"{name} is null.", answer, fix="Leave out what has no value."):
                _has_its_type(judge, answer, name, value)
        methods = said.get("bearer_methods_supported")
        methods = methods if isinstance(methods, list) else []
        judge.expect(
            "query" not in methods,
            "bearer_methods_supported names query, which MCP forbids.",
            answer,
            fix='Say ["header"].',
        )
        judge.advise(
            "body" not in methods,
            "bearer_methods_supported names body, which MCP clients do not use.",
            answer,
            fix='Say ["header"].',
        )
        judge.inform(
            "resource_name" in said, "There is no resource_name for people to read.", answer, fix="Add resource_name."
        )


@requirement("PRM-07")
def test_scopes_are_few_and_named(target: Target, judge: Judge) -> None:
    said, answer = member(target, "scopes_supported")
    if not judge.expect(
        isinstance(said, list) and bool(said),
        "scopes_supported is not there, so clients cannot tell what to ask for.",
        answer,
        fix="Publish the scopes that basic use needs.",
    ):
        return
    wild = [
        each
        for each in said
        if isinstance(each, str)
        and (re.fullmatch(r".*\*.*|all|full[-_]?access", each, re.IGNORECASE) or each == "offline_access")
    ]
    judge.expect(
        not wild,
        f"scopes_supported names {', '.join(wild)}.",
        answer,
        fix="Name the few scopes of basic use, no wildcards and no offline_access.",
    )


@requirement("PRM-08")
def test_keys_of_the_issuer_are_not_called_those_of_the_resource(target: Target, judge: Judge) -> None:
    said, answer = member(target, "jwks_uri")
    of_issuer = target.server_metadata.get("jwks_uri")
    judge.expect(
        said is None or said != of_issuer,
        "jwks_uri is the key set of the authorization server.",
        answer,
        fix="Leave jwks_uri out, unless the resource itself signs something.",
    )


@requirement("PRM-10")
def test_pages_of_other_origins_can_read_the_documents(target: Target, judge: Judge) -> None:
    origin = [("Origin", "https://app.example")]
    for place, found in documents(target).items():
        answer = target.get(found.url, origin)
        open_to = answer.header("access-control-allow-origin")
        judge.expect(
            open_to in ("*", "https://app.example"),
            f"The document ({place}) cannot be read by a page of another origin.",
            answer,
            fix="Send Access-Control-Allow-Origin: *.",
        )
        asked = [
            *origin,
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "mcp-protocol-version"),
        ]
        preflight = target.wire.send("OPTIONS", found.url, asked)
        allowed = preflight.header("access-control-allow-headers").lower()
        judge.expect(
            preflight.ok and ("mcp-protocol-version" in allowed or "*" in allowed),
            "The preflight for mcp-protocol-version is not answered well, so clients of 2025-03-26 in browsers fail.",
            preflight,
            fix="Answer OPTIONS with 204, and allow the header that is asked for.",
        )
        age = re.search(r"max-age=(\d+)", answer.header("cache-control"))
        judge.expect(
            age is None or (len(age[1]) < 9 and int(age[1]) <= 86400),
            "The document may be cached for more than a day.",
            answer,
            fix="Keep max-age under a day: issuers change.",
        )
        judge.expect(
            "authorization" not in answer.header("vary").lower(),
            "The document varies by Authorization.",
            answer,
            fix="Serve the same document to everyone.",
        )


@requirement("PRM-11")
def test_other_methods_and_other_resources_are_answered_as_http_wants(target: Target, judge: Judge) -> None:
    url = next(iter(documents(target).values())).url
    head = target.get(url, method="HEAD")
    judge.expect(
        head.status == 200 and not head.body,
        f"HEAD is answered {head.said()}, where 200 without a body is due.",
        head,
        fix="Answer HEAD as GET, without the body.",
    )
    post = target.wire.send("POST", url, [("Content-Type", "application/json")], b"{}")
    judge.expect(
        post.status == 405,
        f"POST is answered {post.said()}, where 405 is due.",
        post,
        fix="Answer 405 with Allow: GET, HEAD.",
    )
    judge.expect(
        post.status != 405 or post.has("allow"),
        "The 405 has no Allow field (RFC 9110 §15.5.6).",
        post,
        fix="Send Allow: GET, HEAD with it.",
    )
    nowhere = target.get(f"{target.origin}{WELL_KNOWN}/no-such-resource-{'x' * 8}")
    judge.expect(
        nowhere.status in (404, 401, 403),
        f"The metadata of a resource that does not exist are answered {nowhere.said()}.",
        nowhere,
        fix="Answer 404 for paths that are no resource.",
    )


@requirement("PRM-12")
def test_everything_is_served_over_tls(target: Target, judge: Judge) -> None:
    if target.loopback:
        pytest.skip("The target is on loopback, where plain http is allowed.")
    fix = "Serve the endpoint, its metadata and its challenges over https alone."
    judge.expect(target.url.startswith("https://"), "The MCP endpoint is not https.", target.found.refusal, fix=fix)
    for place, answer in target.found.documents.items():
        judge.expect(answer.url.startswith("https://"), f"The metadata URL ({place}) is not https.", answer, fix=fix)
    host = split(target.url).hostname or ""
    if not target.url.startswith("https://") or is_loopback(host):
        return
    plain = f"http://{host}{target.path}"
    headers = [("Content-Type", "application/json"), ("Authorization", "Bearer not-a-token")]
    answer = target.wire.send("POST", plain, headers, b"{}", patience=5)
    judge.expect(
        not answer.status or 300 <= answer.status < 500, f"Plain http is answered {answer.said()}.", answer, fix=fix
    )


@requirement("PRM-01")
def test_document_needs_no_headers_of_mcp(target: Target, judge: Judge) -> None:
    url = next(iter(documents(target).values())).url
    if not may_fetch(url, target.near):
        pytest.skip("The document is at an address that is not fetched.")
    answer = target.wire.send("GET", url)
    judge.expect(
        answer.status == 200,
        f"A plain GET without any header is answered {answer.said()}.",
        answer,
        fix="Serve the document whatever the request says.",
    )
