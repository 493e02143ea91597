"""Clients whose id is a URL (client id metadata documents): fetched with care, believed only where it fits."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx
import pytest

from conformance.issuer import ABSENT, ClientDocuments, Issuer, Keys
from tests.conformance.issuer.conftest import ALICE
from tests.conformance.issuer.journey import CALLBACK, Journey

CLIENT_ID = "https://client.example/oauth/metadata.json"
PUBLIC_ADDRESS = "93.184.216.34"

Answer = Callable[[httpx.Request], httpx.Response]


class Site(httpx.AsyncBaseTransport):
    """The client's web site, without a network; `answer` says what it does and `requests` what it was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.document: dict[str, Any] = {
            "client_id": CLIENT_ID,
            "client_name": "Desk Assistant",
            "redirect_uris": [CALLBACK],
        }
        self.headers = {"Content-Type": "application/json"}
        self.status = 200
        self.body: bytes | None = None
        self.hold: anyio.Event | None = None
        self.addresses = [PUBLIC_ADDRESS]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.hold:
            await self.hold.wait()
        content = json.dumps(self.document).encode() if self.body is None else self.body
        return httpx.Response(self.status, headers=self.headers, stream=httpx.ByteStream(content))

    async def resolve(self, _host: str, _port: int) -> list[str]:
        return self.addresses


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
async def app(site: Site, signing_keys: Keys) -> AsyncIterator[Journey]:
    documents = ClientDocuments(transport=site, resolve=site.resolve)
    issuer = Issuer.plain("http://127.0.0.1:9000", users=[ALICE], documents=documents, keys=signing_keys.copy())
    issuer.clock.set(1_800_000_000)
    journey = Journey(issuer, CLIENT_ID)
    async with journey.http:
        yield journey


async def test_client_with_a_document_goes_the_whole_way(app: Journey, site: Site) -> None:
    tokens = await app.tokens()
    assert app.claims(tokens["access_token"])["client_id"] == CLIENT_ID
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200
    assert len(site.requests) == 1, "the document is used again for a while"


async def test_document_is_fetched_anew_after_a_quarter_of_an_hour(app: Journey, site: Site) -> None:
    token = (await app.tokens())["refresh_token"]
    app.issuer.clock.move(900)
    assert (await app.refresh(token)).status_code == 200
    assert len(site.requests) == 2


async def test_document_that_vanished_is_an_invalid_client_at_the_token_endpoint(app: Journey, site: Site) -> None:
    token = (await app.tokens())["refresh_token"]
    app.issuer.clock.move(900)
    site.status = 404
    answer = await app.refresh(token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")


async def test_connection_goes_to_the_address_that_was_checked(app: Journey, site: Site) -> None:
    await app.login_url()
    (request,) = site.requests
    assert request.url == f"https://{PUBLIC_ADDRESS}/oauth/metadata.json"
    assert request.headers["host"] == "client.example"
    assert request.extensions["sni_hostname"] == "client.example", "TLS is still checked against the name"


async def test_login_page_says_where_the_client_describes_itself(app: Journey) -> None:
    page = (await app.http.get(await app.login_url())).text
    assert "Desk Assistant" in page
    assert "describes itself so at client.example" in page


async def test_loopback_redirect_of_a_document_has_a_free_port(app: Journey) -> None:
    assert await app.login_url(redirect_uri="http://127.0.0.1:50000/callback")


async def test_redirect_that_is_not_in_the_document_is_refused(app: Journey) -> None:
    answer = await app.authorize(redirect_uri="https://attacker.example/callback")
    assert answer.status_code == 400


async def refused(app: Journey, client_id: str = CLIENT_ID) -> str:
    answer = await app.authorize(client_id=client_id)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    return answer.text


@pytest.mark.parametrize(
    "client_id",
    [
        pytest.param("http://client.example/metadata.json", id="plain http"),
        pytest.param("https://client.example", id="no path"),
        pytest.param("https://client.example/", id="root path"),
        pytest.param("https://client.example/a/../b", id="dot segments"),
        pytest.param("https://client.example/a/%2e%2E/b", id="escaped dot segments"),
        pytest.param("https://client.example/a#b", id="fragment"),
        pytest.param("https://user:pw@client.example/a", id="user-info"),
        pytest.param("https://client.example:0/a", id="port 0"),
        pytest.param("https://client.example:http/a", id="port no number"),
        pytest.param("https://client.example\\@evil.example/a", id="backslash"),
        pytest.param("https:///a", id="no host"),
        pytest.param("https://[broken/a", id="no URL"),
        pytest.param("https://cl\u0131ent.example/a", id="not ASCII"),
    ],
)
async def test_id_that_breaks_the_rules_is_never_fetched(app: Journey, site: Site, client_id: str) -> None:
    assert "A client id that is a URL" in await refused(app, client_id)
    assert site.requests == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address to be refused
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ],
)
async def test_private_address_is_never_connected_to(app: Journey, site: Site, address: str) -> None:
    site.addresses = [PUBLIC_ADDRESS, address]
    assert "private address" in await refused(app)
    assert site.requests == []


async def test_name_without_an_address_is_refused(app: Journey, site: Site) -> None:
    site.addresses = []
    assert "leads nowhere" in await refused(app)


@pytest.mark.parametrize("change", [{"addresses": ["2606:4700::1111"]}], ids=["IPv6"])
async def test_public_address_of_either_kind_is_fine(app: Journey, site: Site, change: dict[str, Any]) -> None:
    vars(site).update(change)
    assert await app.login_url()
    assert site.requests[0].url.host == "2606:4700::1111"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"client_id": CLIENT_ID + "?"}, "names another client id", id="another id"),
        pytest.param({"client_id": ABSENT}, "names another client id", id="no id"),
        pytest.param({"client_name": ABSENT}, "no client_name", id="no name"),
        pytest.param({"client_name": "\u202e"}, "no client_name", id="no visible name"),
        pytest.param({"redirect_uris": ABSENT}, "redirect_uris", id="no redirects"),
        pytest.param({"redirect_uris": ["javascript:alert(1)"]}, "not usable", id="bad redirect"),
        pytest.param({"client_secret": "s"}, "client secret", id="secret"),
        pytest.param({"client_secret_expires_at": 0}, "client secret", id="secret's expiry"),
        pytest.param({"token_endpoint_auth_method": "client_secret_post"}, "client secret", id="secret method"),
        pytest.param({"token_endpoint_auth_method": "private_key_jwt"}, "not usable", id="unknown method"),
    ],
)
async def test_document_is_refused(app: Journey, site: Site, changes: dict[str, Any], words: str) -> None:
    merged = {**site.document, **changes}
    site.document = {name: value for name, value in merged.items() if value is not ABSENT}
    assert words in await refused(app)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"status": 404}, "200 and JSON", id="not found"),
        pytest.param({"status": 302, "headers": {"Location": CLIENT_ID}}, "200 and JSON", id="redirect"),
        pytest.param({"headers": {"Content-Type": "text/html"}}, "200 and JSON", id="HTML"),
        pytest.param({"headers": {}}, "200 and JSON", id="no type"),
        pytest.param({"body": b"[]"}, "one JSON object", id="array"),
        pytest.param({"body": b"{" * 4000}, "one JSON object", id="no JSON"),
        pytest.param({"body": b" " * 5121}, "larger than 5120", id="too large"),
    ],
)
async def test_answer_is_refused(app: Journey, site: Site, change: dict[str, Any], words: str) -> None:
    vars(site).update(change)
    assert words in await refused(app)


async def test_json_of_a_special_kind_is_fine(app: Journey, site: Site) -> None:
    site.headers = {"Content-Type": "Application/cimd+json; charset=utf-8"}
    assert await app.login_url()


async def test_site_that_cannot_be_reached_is_refused(signing_keys: Keys) -> None:
    async def nowhere(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    issuer = Issuer.plain("http://127.0.0.1:9000", documents=ClientDocuments(resolve=nowhere), keys=signing_keys.copy())
    journey = Journey(issuer)
    async with journey.http:
        assert "could not be fetched" in await refused(journey, CLIENT_ID)


async def test_site_that_takes_too_long_is_refused(site: Site, signing_keys: Keys) -> None:
    site.hold = anyio.Event()
    documents = ClientDocuments(transport=site, resolve=site.resolve, timeout=0.01)
    journey = Journey(Issuer.plain("http://127.0.0.1:9000", documents=documents, keys=signing_keys.copy()))
    async with journey.http:
        assert "could not be fetched" in await refused(journey)


async def test_local_documents_are_for_those_who_ask_for_them(site: Site, signing_keys: Keys) -> None:
    local = "http://localhost:8090/metadata.json"
    site.document["client_id"] = local
    documents = ClientDocuments(insecure_local=True, transport=site)
    issuer = Issuer.plain("http://127.0.0.1:9000", users=[ALICE], documents=documents, keys=signing_keys.copy())
    journey = Journey(issuer, local)
    async with journey.http:
        assert (await journey.tokens())["access_token"]
    assert site.requests[0].url.port == 8090
    assert site.requests[0].headers["host"] == "localhost:8090"


async def test_client_document_is_no_way_into_a_pool(cognito: Issuer) -> None:
    journey = Journey(cognito, CLIENT_ID)
    async with journey.http:
        answer = await journey.authorize()
    assert "/error?error=invalid_client" in answer.headers["location"]
