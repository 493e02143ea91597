"""ASM: what the authorization server does when a client registers, logs in, exchanges, refreshes and revokes."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from .forms import Arrival
from .login import PORT, Client, Journey, Proof
from .plugin import Judge
from .requirements import requirement
from .target import Target
from .wire import Answer, as_object

UNKNOWN_RESOURCE = "https://conformance-not-registered.test/mcp"
HOUR = 3600


def arrived(journey: Journey, proof: Proof | None, **changes: str | None) -> Arrival:
    """An authorization that gave a code; not tested otherwise."""
    arrival = journey.authorize(proof, **changes)  # type: ignore[arg-type]  # parameters alone
    if not arrival.code:
        pytest.skip(f"The login gave no code: {(arrival.parameters or {}).get('error', arrival.why)}.")
    return arrival


def tokens(journey: Journey) -> tuple[dict[str, Any], Answer]:
    """The answer to a code; not tested if there is none."""
    proof = Proof()
    answer = journey.exchange(arrived(journey, proof).code, proof)
    said = answer.json()
    if not answer.ok or not isinstance(said, dict):
        pytest.skip(f"The code was exchanged for {answer.said()}.")
    return said, answer


def headless(journey: Journey) -> Journey:
    """A journey that needs no person for each of its many logins."""
    if not journey.headless:
        pytest.skip("It needs logins without a screen: give --username and --password.")
    return journey


def denied(judge: Judge, answer: Answer, what: str, fix: str) -> None:
    """A refusal of the token endpoint (RFC 6749 §5.2), unless it is the client that is refused."""
    said = answer.json()
    if isinstance(said, dict) and said.get("error") == "invalid_client":
        pytest.skip(f"The client itself is refused, so this refusal says nothing: {answer.said()}.")
    judge.expect(
        answer.status in (400, 401, 403), f"{what} is answered {answer.said()}, where 400 is due.", answer, fix=fix
    )


@requirement("ASM-05")
def test_what_is_advertised_works(target: Target, judge: Judge, journey: Journey) -> None:
    if journey.endpoint("registration"):
        answer = journey.register(Client("").redirect_uri)
        judge.expect(
            answer.status in (200, 201),
            f"registration_endpoint is advertised, and a registration is answered {answer.said()}.",
            answer,
            fix="Take registration_endpoint out of the metadata, or make it work.",
        )
    arrival = arrived(headless(journey), Proof())
    if journey.metadata.get("authorization_response_iss_parameter_supported") is True:
        said = (arrival.parameters or {}).get("iss")
        judge.expect(
            said == journey.issuer,
            f"iss is advertised, and the answer says {said!r}: clients reject it.",
            arrival.last,
            fix="Send iss as the metadata's issuer, or do not advertise it.",
        )


@requirement("ASM-06")
@pytest.mark.parametrize("how", ["success", "error"])
def test_answer_to_the_browser_says_who_it_is_from(target: Target, judge: Judge, journey: Journey, how: str) -> None:
    journey = headless(journey)
    flag = journey.metadata.get("authorization_response_iss_parameter_supported") is True
    arrival = (
        arrived(journey, Proof()) if how == "success" else journey.authorize(Proof(), response_type="token", scope=None)
    )
    if arrival.parameters is None:
        pytest.skip(f"No answer came back to the client: {arrival.why}.")
    said = arrival.parameters.get("iss")
    fix = "Send iss with every answer to the browser, and advertise authorization_response_iss_parameter_supported."
    judge.expect(
        said == journey.issuer,
        f"The {how} to the browser says iss {said!r}, where {journey.issuer!r} is due.",
        arrival.last,
        fix=fix,
    )
    judge.expect(flag or said is None, "iss is sent and not advertised.", arrival.last, fix=fix)


@requirement("ASM-07")
def test_client_may_be_its_own_document(target: Target, judge: Judge, journey: Journey) -> None:
    flag = journey.metadata.get("client_id_metadata_document_supported") is True
    answer = target.server_answer
    if not judge.expect(
        flag,
        "client_id_metadata_document_supported is not true: clients from 2025-11-25 on prefer it.",
        answer,
        fix="Support client id metadata documents, and say so.",
    ):
        return
    methods = journey.metadata.get("token_endpoint_auth_methods_supported")
    judge.advise(
        isinstance(methods, list) and "none" in methods,
        "Documents are supported and none is not among the authentication methods: some clients then do not use them.",
        answer,
        fix='Add "none".',
    )


@requirement("ASM-07")
@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/client.json",
        "https://169.254.169.254/latest/meta-data",
        "https://conformance-no-such.invalid/client.json",
        "http://example.com/client.json",
        "https://localhost/",
    ],
)
def test_document_that_cannot_be_trusted_is_refused(target: Target, judge: Judge, journey: Journey, url: str) -> None:
    if journey.metadata.get("client_id_metadata_document_supported") is not True:
        pytest.skip("The authorization server does not support client id metadata documents.")
    client = Client(url)
    arrival = headless(journey).authorize(Proof(), client=client)
    judge.expect(
        arrival.parameters is None,
        f"The client {url}, whose document cannot be fetched, is sent back to its redirect URI.",
        arrival.last,
        fix="Fetch documents over https from public addresses alone, and show an error where that fails.",
    )


@requirement("ASM-08")
def test_client_can_register_itself(target: Target, judge: Judge, journey: Journey) -> None:
    if not journey.endpoint("registration"):
        return  # a MAY
    answer = journey.register(f"http://127.0.0.1:{PORT}/callback")
    said = answer.json()
    usable = isinstance(said, dict) and isinstance(said.get("client_id"), str)
    judge.expect(
        answer.status == 201 and usable,
        f"The registration of a native public client is answered {answer.said()}, where 201 with a client_id is due.",
        answer,
        fix="Register native clients with a loopback redirect URI (RFC 7591 §3.2.1).",
    )


@requirement("ASM-09")
@pytest.mark.parametrize("how", ["wrong", "missing", "empty"])
def test_code_is_useless_without_its_verifier(target: Target, judge: Judge, journey: Journey, how: str) -> None:
    journey = headless(journey)
    code = arrived(journey, Proof()).code
    verifier = {"wrong": Proof().verifier, "missing": None, "empty": ""}[how]
    answer = journey.exchange(code, None, code_verifier=verifier)
    denied(
        judge,
        answer,
        f"A code with a verifier that is {how}",
        "Compare the verifier with the challenge of the authorization (RFC 7636 §4.6).",
    )


@requirement("ASM-09")
def test_request_without_a_challenge_gives_no_usable_code(target: Target, judge: Judge, journey: Journey) -> None:
    journey = headless(journey)
    arrival = journey.authorize(None)
    if not arrival.code:
        return  # refused, as OAuth 2.1 wants it of public clients
    answer = journey.exchange(arrival.code, Proof())
    denied(
        judge,
        answer,
        "A code that was asked for without a challenge, sent with a verifier,",
        "Require a challenge of every public client, and refuse a verifier where there was none.",
    )
    again = arrived(journey, None)
    plain = journey.exchange(again.code, None)
    judge.expect(
        not plain.ok,
        "A public client gets a token without any PKCE.",
        plain,
        fix="Require code_challenge (OAuth 2.1 §7.5.2).",
    )


@requirement("ASM-09")
def test_code_works_once(target: Target, judge: Judge, journey: Journey) -> None:
    journey, proof = headless(journey), Proof()
    code = arrived(journey, proof).code
    first = journey.exchange(code, proof)
    if not first.ok:
        pytest.skip(f"A code does not work even once: {first.said()}.")
    denied(
        judge,
        journey.exchange(code, proof),
        "A code that was used before",
        "Remember codes until they expire, and refuse them the second time.",
    )


def refreshed(journey: Journey) -> tuple[str, Answer]:
    """A refresh token, and the answer to its first use; not tested without."""
    said, _ = tokens(journey)
    old = said.get("refresh_token")
    if not isinstance(old, str):
        pytest.skip("The login gives no refresh token.")
    answer = journey.refresh(old)
    if not answer.ok:
        pytest.skip(f"The refresh token does not work: {answer.said()}.")
    return old, answer


@requirement("ASM-10")
def test_refresh_token_of_a_public_client_is_replaced(target: Target, judge: Judge, journey: Journey) -> None:
    journey = headless(journey)
    if journey.client().secret:
        pytest.skip("The client has a secret, so its refresh tokens need not rotate.")
    old, answer = refreshed(journey)
    fix = "Answer every refresh of a public client with a new refresh token, and refuse the old one."
    new = as_object(answer.json()).get("refresh_token")
    if not judge.expect(isinstance(new, str) and new != old, "A refresh brings no new refresh token.", answer, fix=fix):
        return
    reused = journey.refresh(old)
    if reused.ok:
        # Many issuers let it work for some seconds, for two refreshes that race; it has to end.
        judge.inform(
            False, "A refresh token that was just used still works.", reused, fix="Keep such a grace period to seconds."
        )
        time.sleep(target.options.grace)
        reused = journey.refresh(old)
    denied(judge, reused, "A refresh token that was used before", fix)
    after = journey.refresh(str(new))
    judge.inform(
        not after.ok,
        "After its reuse was seen, the replacing refresh token still works.",
        after,
        fix="Revoke the whole login when a used refresh token comes back.",
    )


@requirement("ASM-11")
def test_token_is_for_the_resource_that_was_asked_for(target: Target, judge: Judge, journey: Journey) -> None:
    said, answer = tokens(headless(journey))
    payload = _claims(str(said.get("access_token")))
    if payload is not None:
        named = payload.get("aud")
        named = named if isinstance(named, list) else [named]
        judge.expect(
            journey.resource in named,
            f"The token's aud is {named}, without the resource that was asked for.",
            answer,
            fix="Put the requested resource into aud (RFC 8707 §2).",
        )
    arrival = journey.authorize(Proof(), resource=UNKNOWN_RESOURCE)
    judge.expect(
        not arrival.code,
        "A code is given for a resource that nobody knows.",
        arrival.last,
        fix="Answer invalid_target.",
    )


def _claims(token: str) -> dict[str, Any] | None:
    import base64  # noqa: PLC0415
    import json  # noqa: PLC0415

    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _tampered(uri: str) -> dict[str, str]:
    parts = urlsplit(uri)
    return {
        "a longer path": f"{uri}/more",
        "a dot path": f"{uri}/../evil",
        "a query": f"{uri}?evil=1",
        "another host": uri.replace(parts.netloc, "conformance-evil.test"),
        "a longer host": uri.replace(parts.hostname or "", f"{parts.hostname}.conformance-evil.test"),
        "user info": uri.replace("://", "://conformance-evil.test@"),
        "a fragment": f"{uri}#evil",
        "another scheme": uri.replace("http://", "ftp://", 1).replace("https://", "http://", 1),
    }


@requirement("ASM-12")
@pytest.mark.parametrize("how", sorted(_tampered("http://127.0.0.1/callback")))
def test_redirect_uri_is_compared_as_a_whole(target: Target, judge: Judge, journey: Journey, how: str) -> None:
    journey = headless(journey)
    client = journey.client()
    uri = _tampered(client.redirect_uri)[how]
    arrival = journey.authorize(Proof(), client=client, redirect_uri=uri)
    judge.expect(
        arrival.parameters is None,
        f"The browser is sent to a redirect URI with {how}: {uri}.",
        arrival.last,
        fix="Compare redirect URIs as strings (a loopback port alone is free), and show errors about "
        "them instead of redirecting.",
    )


@requirement("ASM-12")
def test_loopback_port_is_free(target: Target, judge: Judge, journey: Journey) -> None:
    journey = headless(journey)
    client = journey.client()
    parts = urlsplit(client.redirect_uri)
    if parts.hostname not in ("127.0.0.1", "::1"):
        pytest.skip("The client's redirect URI is not on a loopback address.")
    moved = Client(client.id, client.secret, client.redirect_uri.replace(f":{parts.port}", f":{PORT + 7}"))
    arrival = journey.authorize(Proof(), client=moved)
    judge.advise(
        arrival.parameters is not None,
        "A native client on another loopback port is refused: its port changes with every start.",
        arrival.last,
        fix="Leave the port of loopback addresses out of the comparison (RFC 8252 §7.3).",
    )


@requirement("ASM-13")
def test_tokens_are_not_stored_on_their_way_and_live_shortly(target: Target, judge: Judge, journey: Journey) -> None:
    said, answer = tokens(headless(journey))
    judge.expect(
        "no-store" in answer.header("cache-control").lower(),
        "The answer with tokens is not marked no-store.",
        answer,
        fix="Send Cache-Control: no-store (OAuth 2.1 §3.2.3).",
    )
    seconds = said.get("expires_in")
    judge.expect(
        isinstance(seconds, int) and seconds <= HOUR,
        f"expires_in is {seconds!r}: an access token should live for an hour at most.",
        answer,
        fix="Let access tokens live for minutes.",
    )


@requirement("ASM-13")
def test_refresh_token_can_be_revoked(target: Target, judge: Judge, journey: Journey) -> None:
    journey = headless(journey)
    if not journey.endpoint("revocation"):
        judge.expect(
            False, "There is no revocation_endpoint.", target.server_answer, fix="Offer revocation (RFC 7009)."
        )
        return
    said, _ = tokens(journey)
    token = said.get("refresh_token")
    if not isinstance(token, str):
        pytest.skip("The login gives no refresh token.")
    revoked = journey.revoke(token)
    judge.expect(
        revoked.ok,
        f"A revocation is answered {revoked.said()}, where 200 is due.",
        revoked,
        fix="Answer 200 (RFC 7009 §2.2).",
    )
    judge.expect(
        not journey.refresh(token).ok,
        "A revoked refresh token still works.",
        revoked,
        fix="Refuse it with invalid_grant.",
    )


@requirement("GWP-15")
def test_facade_asks_on_its_own_page(target: Target, judge: Judge, journey: Journey) -> None:
    if urlsplit(journey.issuer).netloc != target.host:
        pytest.skip("The authorization server is no facade on the target's own origin.")
    if not journey.endpoint("registration"):
        pytest.skip("It needs a facade at which a second client can register.")
    journey = headless(journey)
    arrived(journey, Proof())  # the first client has its consent
    said = journey.register(f"http://127.0.0.1:{PORT}/second").json()
    if not isinstance(said, dict) or "client_id" not in said:
        pytest.skip("A second client cannot register.")
    second = Client(said["client_id"], str(said.get("client_secret") or ""), f"http://127.0.0.1:{PORT}/second")
    arrival = journey.authorize(Proof(), client=second)
    first = arrival.pages[0]
    away = [page for page in arrival.pages if urlsplit(page.url).netloc != target.host]
    own = [
        page
        for page in arrival.pages
        if urlsplit(page.url).netloc == target.host and page.media_type == "text/html" and page.ok
    ]
    fix = "Ask for consent on a page of your own, before the browser goes to the issuer behind."
    judge.expect(
        bool(own) or not away,
        "A second client is sent on to the issuer behind without a page of the facade.",
        first,
        fix=fix,
    )
    for page in own[:1]:
        framed = "frame-ancestors" in page.header("content-security-policy") or page.has("x-frame-options")
        judge.expect(
            framed,
            "The consent page can be framed by other sites.",
            page,
            fix="Send Content-Security-Policy: frame-ancestors 'none'.",
        )
        judge.expect(
            "127.0.0.1" in page.text, "The consent page does not say where the browser will be sent.", page, fix=fix
        )
