"""Whatever a stranger sends, the issuer answers with a refusal and never with a crash."""

from __future__ import annotations

from urllib.parse import urlencode

import anyio
import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.issuer import Client, Issuer, Keys, User

KEYS = Keys()
CALLBACK = "http://127.0.0.1:8765/callback"
NAMES = st.sampled_from(
    "response_type client_id redirect_uri scope state resource code_challenge code_challenge_method nonce grant_type "
    "code code_verifier refresh_token client_secret token username password cancel login_hint request logout_uri "
    "error".split()  # noqa: SIM905 - a list of strings of their own would fill a page
)
VALUES = (
    st.sampled_from(["app", CALLBACK, "code", "token", "S256", "v" * 43, "authorization_code", "refresh_token"])
    | st.sampled_from(["client_credentials", "greet", "https://a.example/x", "http://[", "openid"])
    | st.text(max_size=30)
)
FORMS = st.lists(st.tuples(NAMES, VALUES), max_size=12)
PATHS = st.sampled_from(["authorize", "token", "revoke", "login", "register", "userinfo", "logout", "error"])
HEADERS = st.dictionaries(
    st.sampled_from(["Authorization", "Content-Type", "Sec-Fetch-Site"]),
    st.sampled_from(["Basic YXBwOng=", "Basic Og==", "basic \u00ff", "Bearer a.b.c", "same-origin", "x"]),
    max_size=2,
)


def issuers() -> list[tuple[str, Issuer]]:
    users, clients = [User("alice", "wonderland")], [Client("app", (CALLBACK,))]
    plain = Issuer.plain(
        "http://127.0.0.1:9000", users=users, clients=clients, scopes={"greet": "Greet"}, keys=KEYS.copy()
    )
    cognito = Issuer.cognito("http://127.0.0.1:9001", users=users, clients=clients, registration=True, keys=KEYS.copy())
    return [("http://127.0.0.1:9000/", plain), ("http://127.0.0.1:9001/oauth2/", cognito)]


async def send(
    method: str, path: str, pairs: list[tuple[str, str]], headers: dict[str, str], raw: bytes | None
) -> list[httpx.Response]:
    answers = []
    for base, issuer in issuers():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app)) as http:
            # `login` and the like are beside oauth2/, the others in it; a 404 is an answer as well.
            query = urlencode(pairs)
            body = query.encode() if raw is None else raw
            form = {"Content-Type": "application/x-www-form-urlencoded"} | headers
            sent = {name.encode(): value.encode("latin-1") for name, value in form.items()}
            answers.append(await http.request(method, f"{base}{path}?{query if method == 'GET' else ''}", content=body, headers=sent))
    return answers


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["GET", "POST"]), PATHS, FORMS, HEADERS, st.none() | st.binary(max_size=40))
def test_no_request_makes_the_issuer_fail(
    method: str, path: str, pairs: list[tuple[str, str]], headers: dict[str, str], raw: bytes | None
) -> None:
    for answer in anyio.run(send, method, path, pairs, headers, raw):
        assert answer.status_code < 500
        location = answer.headers.get("location", "")
        assert not location or location.startswith((CALLBACK + "?", "http://127.0.0.1:900"))
