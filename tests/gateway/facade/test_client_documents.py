"""Clients whose id is a URL: what is fetched, from where, and what the document there has to say."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import httpx
import pytest

from discovery.fetch import Fetch
from gateway.facade.client_documents import AT_ONCE, FRESH, KEPT, MAX_BYTES, PER_HOST, SOUR, ClientDocuments
from gateway.facade.errors import OAuthError
from tests.gated import PUBLIC
from tests.gateway.facade.rig import REDIRECT, WEB, App, Documents, rig

URL = "https://app.example/client.json"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def finder(documents: Documents, clock: Clock | None = None, **options: Any) -> ClientDocuments:
    """Finds clients among these documents."""
    return ClientDocuments(lambda: Fetch(transport=lambda: httpx.ASGITransport(documents), **options), clock or Clock())


async def refused(found: ClientDocuments, url: str) -> OAuthError:
    """Why there is no client at this URL."""
    with pytest.raises(OAuthError) as raised:
        await found.find(url)
    return raised.value


async def test_a_document_describes_its_client() -> None:
    documents = Documents()
    documents.put(URL, redirect_uris=[WEB, REDIRECT], token_endpoint_auth_method="none")
    client = await finder(documents).find(URL)
    assert (client.client_id, client.name, client.redirect_uris) == (URL, "Described", (WEB, REDIRECT))
    assert (client.described_at, client.vouched) == ("app.example", False)


async def test_a_client_without_a_name_is_called_by_its_host() -> None:
    documents = Documents()
    documents.put(URL, client_name=" \u202e ")
    assert (await finder(documents).find(URL)).name == "app.example"


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        pytest.param({"client_id": "https://app.example/other.json"}, "another client_id", id="another id"),
        pytest.param({"client_id": f"{URL}/"}, "another client_id", id="its id with a slash more"),
        pytest.param({"client_id": URL.upper()}, "another client_id", id="its id in upper case"),
        pytest.param({"client_id": None}, "another client_id", id="no id"),
        pytest.param({"client_secret": "x"}, "holds a secret", id="a secret"),
        pytest.param({"client_secret": None}, "holds a secret", id="a secret that is null"),
        pytest.param({"client_secret_expires_at": 0}, "holds a secret", id="the end of a secret"),
        pytest.param({"token_endpoint_auth_method": "client_secret_basic"}, "use none", id="a shared secret"),
        pytest.param({"token_endpoint_auth_method": "private_key_jwt"}, "use none", id="a key"),
        pytest.param({"redirect_uris": None}, "redirect_uris", id="no redirects"),
        pytest.param({"redirect_uris": ["http://evil.example"]}, "http", id="a redirect that cannot be used"),
        pytest.param({"grant_types": ["client_credentials"]}, "authorization code grant", id="no code grant"),
    ],
)
async def test_a_document_that_breaks_a_rule_is_refused(members: dict[str, Any], sentence: str) -> None:
    documents = Documents()
    documents.put(URL, **members)
    error = await refused(finder(documents), URL)
    assert (error.code, error.status) == ("invalid_client", 401)
    assert sentence in error.description


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param((302, b"", "application/json"), "redirects are not followed", id="a redirect"),
        pytest.param((404, b"{}", "application/json"), "404", id="not found"),
        pytest.param((200, b"{}", "text/html"), "media type", id="a page"),
        pytest.param((200, b"{}", "text/plain"), "media type", id="an upload"),
        pytest.param((200, b"x" * (MAX_BYTES + 1), "application/json"), "larger than 5120", id="too large"),
        pytest.param((200, b"[]", "application/json"), "JSON object", id="a list"),
        pytest.param((200, b'{"a":' + b"[" * 5000, "application/json"), "JSON object", id="nested without end"),
        pytest.param((200, b"", "application/json"), "JSON object", id="nothing"),
    ],
)
async def test_what_is_no_public_json_is_refused(answer: tuple[int, bytes, str], reason: str) -> None:
    documents = Documents({URL: answer})
    error = await refused(finder(documents), URL)
    assert error.code == "invalid_client"
    assert "cannot be fetched" in error.description
    assert reason in str(error)
    assert documents.hits == [URL]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_document_that_cannot_be_had_just_now_is_not_the_clients_fault(status: int) -> None:
    documents = Documents({URL: (status, b"{}", "application/json")})
    found = finder(documents)
    for _ in range(2):
        error = await refused(found, URL)
        assert (error.code, error.status) == ("temporarily_unavailable", 503)
        assert "try again" in error.description
    assert documents.hits == [URL], "its host is not asked again at once"


async def test_what_a_document_said_last_counts_while_its_host_is_away_but_not_for_ever() -> None:
    documents, clock = Documents(), Clock()
    documents.put(URL)
    found = finder(documents, clock)
    client = await found.find(URL)
    documents.at[URL] = 503, b"", "text/plain"
    for clock.now in (FRESH + 1, FRESH + 2, KEPT - 1):
        assert await found.find(URL) == client
    assert len(documents.hits) == 3, "asked after each failure has been forgotten"
    clock.now = KEPT + SOUR
    assert (await refused(found, URL)).code == "temporarily_unavailable"


async def test_document_that_is_gone_ends_its_client() -> None:
    documents, clock = Documents(), Clock()
    documents.put(URL)
    found = finder(documents, clock)
    await found.find(URL)
    documents.at[URL] = 404, b"", "text/plain"
    clock.now = FRESH + 1
    assert (await refused(found, URL)).code == "invalid_client"


async def test_the_largest_document_is_taken() -> None:
    documents = Documents()
    document = {"client_id": URL, "redirect_uris": [WEB], "x": ""}
    document["x"] = "x" * (MAX_BYTES - len(json.dumps(document).encode()))
    documents.at[URL] = 200, json.dumps(document).encode(), "application/json; charset=utf-8"
    assert (await finder(documents).find(URL)).name == "app.example"


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example/client.json",
        "http://localhost/client.json",
        "https://app.example",
        "https://app.example/",
        "https://user@app.example/client.json",
        "https://app.example/client.json#x",
        "https://app.example/a/../client.json",
        "https://app.example/%2e%2e/client.json",
        "https://app.example\\.evil/client.json",
        "https://app.example./client.json",
        "https://bücher.example/client.json",
        "https://2130706433/client.json",
        "https://0x7f.1/client.json",
        "https:///client.json",
        "https://app.example/client json",
        "https://app.example/client.json\n",
        "https://app.example:0/client.json",
        "https://app.example/" + "a" * 3000,
    ],
)
async def test_a_url_that_can_be_read_in_two_ways_is_never_fetched(url: str) -> None:
    documents = Documents()
    error = await refused(finder(documents), url)
    assert error.code == "invalid_client"
    assert url not in error.description
    assert documents.hits == []


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/c",
        "https://localhost/c",
        "https://[::1]/c",
        "https://10.0.0.1/c",
        "https://192.168.1.1/c",
        "https://172.16.0.1/c",
        "https://100.64.0.1/c",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00:ec2::254]/c",
        "https://[fe80::1]/c",
        "https://[::ffff:127.0.0.1]/c",
        "https://[64:ff9b::7f00:1]/c",
        "https://[2002:7f00:1::]/c",
        "https://0.0.0.0/c",
        "https://[::]/c",
        "https://255.255.255.255/c",
        "https://224.0.0.1/c",
    ],
)
async def test_no_document_is_fetched_from_a_private_address(url: str) -> None:
    documents = Documents()
    error = await refused(finder(documents), url)
    assert error.code == "invalid_client"
    assert "cannot be fetched" in error.description
    assert documents.hits == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1"])
async def test_no_document_is_fetched_from_a_name_of_a_private_address(address: str) -> None:
    documents = Documents()
    documents.put(URL)

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["93.184.215.14", address]

    error = await refused(finder(documents, resolver=resolve), URL)
    assert error.code == "invalid_client"
    assert address not in error.description
    assert documents.hits == []


@pytest.mark.parametrize(
    ("named", "status", "reason"),
    [
        pytest.param([], 400, "loopback is for hosts that the settings name", id="none"),
        pytest.param(["127.0.0.1", "elsewhere.example"], 400, "loopback is for hosts that the settings", id="another"),
        pytest.param(["localhost"], 503, "no connection", id="this one"),
        pytest.param(["LOCALHOST:8443"], 503, "no connection", id="this one with a port"),
    ],
)
async def test_strangers_urls_lead_to_no_private_host_but_those_named_for_them(
    named: list[str], status: int, reason: str
) -> None:
    """`private_hosts` are for issuers. A host that is named is asked, here in vain: it speaks no TLS."""
    async with rig() as made:
        made.real_web = True
        facade = made.values["facade"] | {"insecure_client_document_hosts": named}
        await made.replace(facade=facade, private_hosts=["localhost"])
        app = App(made, f"{made.base.replace('http', 'https')}/client.json", WEB)
        page = await made.browser.open(app.url())
        assert page.answer.status_code == status
        assert "metadata document cannot be" in page.answer.text
        assert reason in made.detail
        assert made.way.requests == []


async def test_a_slow_document_is_given_up() -> None:
    documents = Documents(wait=anyio.sleep_forever)
    error = await refused(finder(documents, timeout=0.05), URL)
    assert "no complete answer" in str(error)


async def test_documents_are_fetched_once_for_everybody_and_kept_for_a_while() -> None:
    gone_on = anyio.Event()
    documents, clock = Documents(wait=gone_on.wait), Clock()
    documents.put(URL)
    found = finder(documents, clock)
    asking = [asyncio.create_task(found.find(URL)) for _ in range(5)]
    await anyio.wait_all_tasks_blocked()
    asking[0].cancel()  # the first one to ask goes away; the others do not
    gone_on.set()
    clients = await asyncio.gather(*asking[1:])
    assert {client.client_id for client in clients} == {URL}
    clock.now = 15 * 60 - 1
    await found.find(URL)
    assert len(documents.hits) == 1
    clock.now = 15 * 60
    await found.find(URL)
    assert len(documents.hits) == 2


async def test_a_failure_is_kept_for_a_moment() -> None:
    documents, clock = Documents(), Clock()
    found = finder(documents, clock)
    first = await refused(found, URL)
    documents.put(URL)
    again = await refused(found, URL)
    assert first.description == again.description
    assert len(documents.hits) == 1
    clock.now = 30
    assert (await found.find(URL)).client_id == URL


async def test_a_broken_rule_is_kept_for_a_moment_too() -> None:
    documents = Documents()
    documents.put(URL, client_secret="x")
    found = finder(documents)
    assert (await refused(found, URL)).description == (await refused(found, URL)).description
    assert len(documents.hits) == 1


async def test_many_slow_documents_do_not_pile_up() -> None:
    release = anyio.Event()
    documents = Documents(wait=release.wait)
    found = finder(documents)
    asking = [asyncio.create_task(refused(found, f"https://{i}.example/c")) for i in range(AT_ONCE)]
    await anyio.wait_all_tasks_blocked()
    error = await refused(found, f"{URL}?more")
    assert (error.code, error.status) == ("temporarily_unavailable", 503)
    release.set()
    await asyncio.gather(*asking)
    documents.put(URL)
    assert (await found.find(URL)).client_id == URL


async def test_no_host_is_asked_as_often_as_strangers_like() -> None:
    clock, documents = Clock(), Documents()
    found = finder(documents, clock)
    await found.find(documents.put(URL))
    for number in range(PER_HOST + 9):
        await refused(found, f"{URL}?{number}")
    assert len(documents.hits) == PER_HOST
    assert (await refused(found, f"{URL}?more")).status == 503
    other = documents.put("https://other.example/client.json")
    assert (await found.find(other)).client_id == other, "which is nobody else's fault"
    clock.now += 60
    documents.put(f"{URL}.new")
    assert (await found.find(f"{URL}.new")).client_id == f"{URL}.new"


async def test_strangers_whose_hosts_are_slow_sign_nobody_out() -> None:
    release, clock, documents = anyio.Event(), Clock(), Documents()
    found = finder(documents, clock)
    await found.find(documents.put(URL))
    clock.now += FRESH
    documents.wait = release.wait
    asking = [asyncio.create_task(refused(found, f"https://{i}.example/c")) for i in range(AT_ONCE)]
    await anyio.wait_all_tasks_blocked()
    assert (await found.find(URL)).client_id == URL
    release.set()
    await asyncio.gather(*asking)


async def test_nobody_waiting_for_a_failure_is_no_warning() -> None:
    release = anyio.Event()
    documents = Documents(wait=release.wait)
    found = finder(documents)
    asking = asyncio.create_task(found.find(URL))
    await anyio.wait_all_tasks_blocked()
    asking.cancel()
    release.set()
    await anyio.wait_all_tasks_blocked()
    assert asking.cancelled()


async def test_a_lookup_that_is_cancelled_leaves_nothing_behind() -> None:
    documents = Documents(wait=anyio.sleep_forever)
    found = finder(documents)
    asking = asyncio.create_task(found.find(URL))
    await anyio.wait_all_tasks_blocked()
    for task in asyncio.all_tasks() - {asking, asyncio.current_task()}:
        if "_look_up" in repr(task):
            task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    documents.wait = None
    documents.put(URL)
    assert (await found.find(URL)).client_id == URL


async def test_documents_can_be_off() -> None:
    async with rig(facade={"client_documents": False}) as made:
        made.documents.put(URL)
        page = await made.browser.open(App(made, URL, WEB).url())
        assert page.answer.status_code == 400
        assert made.documents.hits == []
        document = (await made.http.get(f"{PUBLIC}/.well-known/oauth-authorization-server")).json()
        assert document["client_id_metadata_document_supported"] is False


async def test_a_document_cannot_take_the_place_of_a_client_of_the_settings() -> None:
    async with rig() as made:
        made.documents.put(URL, redirect_uris=["https://evil.example/cb"])
        evil = App(made, "known", "https://evil.example/cb")
        assert (await made.browser.open(evil.url())).answer.status_code == 400


async def test_too_many_lookups_are_told_the_client_and_shown_to_people() -> None:
    release = anyio.Event()
    async with rig() as made:
        made.documents.wait = release.wait
        asking = [
            asyncio.create_task(made.http.get(App(made, f"https://{i}.example/c", WEB).url())) for i in range(AT_ONCE)
        ]
        await anyio.wait_all_tasks_blocked()
        page = await made.browser.open(App(made, f"{URL}?more", WEB).url())
        assert page.answer.status_code == 503
        answer = await App(made, f"{URL}?more", WEB).refresh("x")
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        release.set()
        assert {answer.status_code for answer in await asyncio.gather(*asking)} == {400}
