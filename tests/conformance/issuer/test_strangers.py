"""Whatever a stranger sends, the issuer answers with a refusal and never with a crash."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.issuer import Client, Issuer, Keys, User

CALLBACK = "http://127.0.0.1:8765/callback"
NAMES = st.sampled_from(
    [
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "resource",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "grant_type",
        "code",
        "code_verifier",
        "refresh_token",
        "client_secret",
        "token",
        "username",
        "password",
        "cancel",
        "login_hint",
        "request",
        "logout_uri",
        "error",
    ]
)
VALUES = (
    st.sampled_from(["app", CALLBACK, "code", "token", "S256", "v" * 43, "authorization_code", "refresh_token"])
    | st.sampled_from(["client_credentials", "greet", "https://a.example/x", "http://[", "openid"])
    | st.text(max_size=30)
)
FORMS = st.lists(st.tuples(NAMES, VALUES), max_size=12)
HEADERS = st.dictionaries(
    st.sampled_from(["Authorization", "Content-Type", "Sec-Fetch-Site"]),
    st.sampled_from(["Basic YXBwOng=", "Basic Og==", "basic \u00ff", "Bearer a.b.c", "same-origin", "x"]),
    max_size=2,
)


PLACES = [
    *(f"http://127.0.0.1:9000/{name}" for name in ("authorize", "token", "revoke", "login", "register", "userinfo")),
    *(f"http://127.0.0.1:9001/oauth2/{name}" for name in ("authorize", "token", "revoke", "register", "userInfo")),
    *(f"http://127.0.0.1:9001/{name}" for name in ("login", "logout", "error")),
]


@pytest.fixture(scope="session")
def issuers(signing_keys: Keys) -> httpx.AsyncClient:
    """A client of two issuers, one of each profile."""
    users, clients = [User("alice", "wonderland")], [Client("app", (CALLBACK,))]
    plain = Issuer.plain("http://127.0.0.1:9000", users=users, clients=clients, keys=signing_keys.copy())
    cognito = Issuer.cognito(
        "http://127.0.0.1:9001", users=users, clients=clients, registration=True, keys=signing_keys.copy()
    )
    mounts = {
        "http://127.0.0.1:9000": httpx.ASGITransport(plain.app),
        "http://127.0.0.1:9001": httpx.ASGITransport(cognito.app),
    }
    return httpx.AsyncClient(mounts=mounts)


@settings(max_examples=150, deadline=None)
@given(
    place=st.sampled_from(PLACES),
    in_query=st.booleans(),
    pairs=FORMS,
    headers=HEADERS,
    raw=st.none() | st.binary(max_size=40),
)
async def test_no_request_makes_the_issuer_fail(
    issuers: httpx.AsyncClient,
    *,
    place: str,
    in_query: bool,
    pairs: list[tuple[str, str]],
    headers: dict[str, str],
    raw: bytes | None,
) -> None:
    encoded = urlencode(pairs)
    sent = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    form = {b"Content-Type": b"application/x-www-form-urlencoded"} | sent
    for method in ("GET", "POST"):
        url = f"{place}?{encoded}" if in_query else place
        answer = await issuers.request(method, url, content=raw or encoded, headers=form)
        assert answer.status_code < 500
        assert re.match(re.escape(CALLBACK) + r"\?|http://127\.0\.0\.1:900[01]/|$", answer.headers.get("location", ""))
