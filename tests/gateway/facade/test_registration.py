"""Registration: what a client may say of itself, that nothing is kept of it, and how often it may be said."""

from __future__ import annotations

import gc
import json
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.types import Message

from gateway.facade.client import MAX_NAME, MAX_REDIRECTS, Metadata, read_metadata, shown_name
from gateway.facade.errors import OAuthError
from gateway.facade.redirects import is_registered
from gateway.facade.registration import ALL_TOGETHER
from gateway.facade.sealed import CLIENT, Registration
from tests.gated import PUBLIC
from tests.gateway.facade.rig import REDIRECT, WEB, Rig, a_seal, rig

REGISTER = f"{PUBLIC}/oauth/register"


async def test_the_answer_says_what_was_registered() -> None:
    async with rig() as made:
        asked = {"redirect_uris": [REDIRECT, WEB], "client_name": "Claude", "application_type": "native"}
        answer = await made.http.post(REGISTER, json=asked)
        assert answer.status_code == 201
        assert answer.headers["cache-control"] == "no-store"
        said = answer.json()
        registration = a_seal(made).open(CLIENT, said.pop("client_id"), Registration)
        assert (registration.redirect_uris, registration.name) == ((REDIRECT, WEB), "Claude")
        assert said.pop("client_id_issued_at") == int(made.issuer.clock.now())
        assert said == {
            **asked,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }


@pytest.mark.parametrize(
    ("asked", "given_"),
    [
        (None, ["authorization_code", "refresh_token"]),
        ([], ["authorization_code", "refresh_token"]),
        (["authorization_code"], ["authorization_code"]),
        (["refresh_token", "authorization_code", "password"], ["authorization_code", "refresh_token"]),
    ],
)
async def test_grants_are_trimmed_to_those_offered(asked: Any, given_: list[str]) -> None:
    async with rig() as made:
        answer = await made.http.post(REGISTER, json={"redirect_uris": [WEB], "grant_types": asked})
        assert answer.json()["grant_types"] == given_


async def test_what_is_not_known_is_passed_over_and_no_secret_is_made() -> None:
    async with rig() as made:
        members = {
            "token_endpoint_auth_method": "client_secret_basic",
            "scope": "openid",
            "logo_uri": "https://evil.example/logo",
            "client_id": "chosen",
            "client_secret": "chosen",
            "client_name": None,
            "software_statement": "x",
        }
        answer = await made.http.post(REGISTER, json={"redirect_uris": [WEB], **members})
        said = answer.json()
        assert said["token_endpoint_auth_method"] == "none"
        assert said["client_id"] != "chosen"
        assert not {"client_secret", "logo_uri", "client_name", "scope"} & said.keys()


@pytest.mark.parametrize(
    ("members", "error"),
    [
        pytest.param({}, "invalid_client_metadata", id="no redirects"),
        pytest.param({"redirect_uris": None}, "invalid_client_metadata", id="null for redirects"),
        pytest.param({"redirect_uris": WEB}, "invalid_client_metadata", id="a text for redirects"),
        pytest.param({"redirect_uris": [7]}, "invalid_client_metadata", id="a number for a redirect"),
        pytest.param({"redirect_uris": []}, "invalid_redirect_uri", id="an empty list"),
        pytest.param({"redirect_uris": [WEB] * (MAX_REDIRECTS + 1)}, "invalid_redirect_uri", id="too many"),
        pytest.param(
            {"redirect_uris": [f"{WEB}/{i}{'x' * 900}" for i in range(3)]},
            "invalid_redirect_uri",
            id="too long together",
        ),
        pytest.param({"redirect_uris": ["http://evil.example"]}, "invalid_redirect_uri", id="plain http"),
        pytest.param({"redirect_uris": [WEB, "javascript:alert(1)"]}, "invalid_redirect_uri", id="a script"),
        pytest.param({"redirect_uris": ["https://a@evil.example"]}, "invalid_redirect_uri", id="a user"),
        pytest.param({"redirect_uris": [f"{WEB}#x"]}, "invalid_redirect_uri", id="a fragment"),
        pytest.param(
            {"redirect_uris": [REDIRECT], "application_type": "web"},
            "invalid_redirect_uri",
            id="loopback of a web client",
        ),
        pytest.param(
            {"redirect_uris": [WEB], "application_type": "desktop"}, "invalid_client_metadata", id="an unknown type"
        ),
        pytest.param({"redirect_uris": [WEB], "application_type": 1}, "invalid_client_metadata", id="a type of a type"),
        pytest.param(
            {"redirect_uris": [WEB], "grant_types": ["client_credentials"]},
            "invalid_client_metadata",
            id="no code grant",
        ),
        pytest.param(
            {"redirect_uris": [WEB], "response_types": ["token"]}, "invalid_client_metadata", id="no response type code"
        ),
        pytest.param({"redirect_uris": [WEB], "client_name": ["a"]}, "invalid_client_metadata", id="a list for a name"),
    ],
)
async def test_metadata_that_cannot_be_taken_is_said_exactly(members: dict[str, Any], error: str) -> None:
    async with rig() as made:
        answer = await made.http.post(REGISTER, json=members)
        assert answer.status_code == 400
        said = answer.json()
        assert said["error"] == error
        assert "evil" not in said["error_description"]
        assert "`" not in said["error_description"]
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param({"data": {"redirect_uris": WEB}}, 400, id="a form"),
        pytest.param({"content": b"{}"}, 400, id="no content type"),
        pytest.param({"content": b"[]", "headers": {"content-type": "application/json"}}, 400, id="a list"),
        pytest.param({"content": b"garbage", "headers": {"content-type": "application/json"}}, 400, id="garbage"),
        pytest.param({"content": b"\xff", "headers": {"content-type": "application/json"}}, 400, id="no text"),
        pytest.param(
            {"content": b'{"a":' + b"[" * 60_000, "headers": {"content-type": "application/json"}}, 400, id="too deep"
        ),
        pytest.param(
            {
                "content": b'{"redirect_uris":["https://a.example/\\ud800"]}',
                "headers": {"content-type": "application/json"},
            },
            400,
            id="half a character",
        ),
        pytest.param({"json": {"client_name": "x" * 70_000}}, 413, id="too large"),
    ],
)
async def test_what_is_no_registration_is_refused(request_: dict[str, Any], status: int) -> None:
    async with rig() as made:
        answer = await made.http.post(REGISTER, **request_)
        assert answer.status_code == status
        assert answer.json()["error"] in ("invalid_client_metadata", "invalid_request", "invalid_redirect_uri")


async def test_registration_can_be_off() -> None:
    async with rig() as made:
        app = await made.register()
        await made.replace(facade=made.values["facade"] | {"registration": False})
        assert (await made.http.post(REGISTER, json={"redirect_uris": [WEB]})).status_code == 404
        assert (await made.browser.open(app.url())).answer.status_code == 400
        assert made.detail == "registration is off"
        document = (await made.http.get(f"{PUBLIC}/.well-known/oauth-authorization-server")).json()
        assert "registration_endpoint" not in document


async def test_the_same_client_twice_is_two_clients() -> None:
    async with rig() as made:
        assert (await made.register()).client_id != (await made.register()).client_id


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (None, ""),
        ("  Claude \n Desktop ", "Claude Desktop"),
        ("a\u202eb\u2066c", "a b c"),
        ("x" * 300, "x" * MAX_NAME),
        ("\0\x1b[31m", "[31m"),
        ('Claude” use Reports as you? Checked. “"', "Claude' use Reports as you? Checked. ''"),
        ("日本語のアプリ", "日本語のアプリ"),
        ("\u3164\u115f\uffa0\u2800\U000e0101", ""),
        ("Cl\ufe0fau\u034fde", "Claude"),
        ("Claude\u301e use it? \uff02\u2033", "Claude' use it? ''"),
    ],
)
def test_names_are_one_line_of_printable_characters(name: str | None, shown: str) -> None:
    assert shown_name(name) == shown


@given(st.text())
def test_no_name_breaks_a_line_or_turns_text_around(name: str) -> None:
    shown = shown_name(name)
    assert len(shown) <= MAX_NAME
    assert shown.isprintable()
    assert shown_name(shown) == shown.strip()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "redirect_uris": st.lists(st.sampled_from([WEB, REDIRECT, "app:x", "x", ""]) | st.text(), max_size=3)
            | JSON,
            "client_name": st.text() | JSON,
            "application_type": st.sampled_from(["web", "native", None]) | JSON,
            "grant_types": st.lists(st.sampled_from(["authorization_code", "x"])) | JSON,
            "response_types": st.lists(st.sampled_from(["code", "token"])) | JSON,
            "token_endpoint_auth_method": JSON,
            "other": JSON,
        },
    )
)
def test_any_metadata_is_taken_or_refused(members: dict[str, Any]) -> None:
    try:
        metadata = read_metadata(members)
    except OAuthError as error:
        answer = f"{error.status} {error.code}"
    else:
        answer = "201"
        assert isinstance(metadata, Metadata)
        assert 0 < len(metadata.redirect_uris) <= MAX_REDIRECTS
        assert all(is_registered(uri, tuple(metadata.redirect_uris)) for uri in metadata.redirect_uris)
    assert answer in ("201", "400 invalid_client_metadata", "400 invalid_redirect_uri")


# A flood.


async def post(gate: Starlette, address: str, body: bytes = json.dumps({"redirect_uris": [WEB]}).encode()) -> int:
    """The status of a registration from an address; without a client of HTTP, which would cost more than the gate."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": "/oauth/register",
        "raw_path": b"/oauth/register",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"gw.example"), (b"content-type", b"application/json")],
        "client": (address, 1),
        "server": ("gw.example", 443),
    }
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await gate(scope, receive, send)
    return statuses[0]


async def test_one_address_may_register_so_often_a_minute() -> None:
    async with rig(facade={"registrations_per_minute": 3}) as made:
        gate = made.gates[0]
        assert [await post(gate, "198.51.100.1") for _ in range(5)] == [201, 201, 201, 429, 429]
        assert await post(gate, "198.51.100.2") == 201
        answer = [await made.http.post(REGISTER, json={"redirect_uris": [WEB]}) for _ in range(4)][-1]
        assert answer.json()["error"] == "too_many_requests"
        assert int(answer.headers["retry-after"]) > 0


async def test_what_is_refused_counts_too() -> None:
    async with rig(facade={"registrations_per_minute": 2}) as made:
        assert [await post(made.gates[0], "198.51.100.1", b"[]") for _ in range(3)] == [400, 400, 429]


@pytest.mark.parametrize(
    ("addresses", "statuses"),
    [
        pytest.param(["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:0:1::"], [201, 429, 429], id="one IPv6 network"),
        pytest.param(["2001:db8::1", "2001:db8:0:1::1"], [201, 201], id="two IPv6 networks"),
        pytest.param(["::ffff:192.0.2.1", "::ffff:192.0.2.2"], [201, 201], id="IPv4 within IPv6"),
        pytest.param(["unix", "unix"], [201, 429], id="no address"),
    ],
)
async def test_an_address_is_counted_as_what_one_household_has(addresses: list[str], statuses: list[int]) -> None:
    async with rig(facade={"registrations_per_minute": 1}) as made:
        assert [await post(made.gates[0], address) for address in addresses] == statuses


async def test_a_server_that_does_not_say_who_calls_counts_all_as_one() -> None:
    async with rig(facade={"registrations_per_minute": 1}) as made:

        async def nameless(scope: Any, receive: Any, send: Any) -> None:
            await made.gates[0]({**scope, "client": None}, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(nameless)) as http:
            answers = [await http.post(REGISTER, json={"redirect_uris": [WEB]}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 429]


async def flood(made: Rig, addresses: Iterable[str]) -> Counter[int]:
    """The statuses of a registration from each address, counted; nothing of the rig grows either."""
    counted: Counter[int] = Counter()
    for address in addresses:
        counted[await post(made.gates[0], address)] += 1
        made.lines.clear()
        made.log.clear()
    return counted


def blocks() -> int:
    """How many pieces of memory are in use."""
    gc.collect()
    return sys.getallocatedblocks()


async def test_ten_thousand_registrations_leave_nothing_behind() -> None:
    """No row, no list, no cache: what is in memory afterwards is what was there before."""
    async with rig(facade={"registrations_per_minute": 100_000}) as made:
        await flood(made, ["198.51.100.1"] * 100)
        before = blocks()
        assert await flood(made, ["198.51.100.1"] * 10_000) == {201: 10_000}
        assert blocks() - before < 500


async def test_ten_thousand_made_up_addresses_are_refused_and_not_remembered() -> None:
    async with rig(facade={"registrations_per_minute": 5}) as made:
        await flood(made, ["198.51.100.1"] * 10)
        before = blocks()
        counted = await flood(made, [f"10.0.{i // 256}.{i % 256}" for i in range(10_000)])
        assert counted == {201: 5 * (ALL_TOGETHER - 1), 429: 10_000 - 5 * (ALL_TOGETHER - 1)}
        assert blocks() - before < 3_000  # some for each of a hundred addresses, none for the others
