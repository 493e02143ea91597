"""CLI: what MCP and OAuth ask of a client, shown by the project's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from client.connection import Connection
from client.errors import BadInput, ClientError, Misbehaved, NotAuthorized
from client.find import Found, covers, find
from client.login import check_endpoint
from client.outbound import Outbound
from client.server import Server
from client.settings import Settings
from conformance.requirements import requirement
from discovery.challenge import Challenge
from discovery.issuer import IssuerMetadata
from discovery.location import Location
from tests.client.world import ASM, PRM, REDIRECT, World, another, world
from tests.served import served

DOCUMENT = "https://client.example.com/metadata.json"


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with world() as running:
        yield running


@requirement("CLI-01")
async def test_metadata_is_fetched_where_the_challenge_says_and_nowhere_else(here: World) -> None:
    here.server.places = ("/elsewhere",)
    place = f"{here.server.origin}/elsewhere"
    here.server.challenge = (
        f'Basic realm="a, b", Bearer error_description="scope=\\"x\\", or", resource_metadata="{place}"'
    )
    assert (await here.get(here.auth()))[0] == 200
    assert [path for _, path, _ in here.server.seen if path != "/mcp"] == ["/elsewhere"]
    assert "scope" not in here.authority.asked("/authorize")[0]


@requirement("CLI-01")
async def test_without_a_place_in_the_challenge_the_path_and_then_the_root_are_tried(here: World) -> None:
    here.server.challenge, here.server.places = "Bearer", (PRM,)
    assert (await here.get(here.auth()))[0] == 200
    assert [path for _, path, _ in here.server.seen if path != "/mcp"] == [f"{PRM}/mcp", PRM]


@pytest.mark.parametrize("resource", ["https://other.example.com/mcp", "{}/mcp2", "{}/other", "{}/mcp/deeper", 7, None])
@requirement("CLI-02")
async def test_metadata_of_another_server_stops_the_flow(here: World, resource: Any) -> None:
    here.server.resource["resource"] = resource.format(here.server.origin) if isinstance(resource, str) else resource
    status, happened = await here.get(here.auth())
    assert status == 401
    assert isinstance(happened.refusal, Misbehaved)
    assert here.authority.seen == []


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("", [ASM, "/.well-known/openid-configuration"]),
        ("/pool", [f"{ASM}/pool", "/.well-known/openid-configuration/pool", "/pool/.well-known/openid-configuration"]),
    ],
    ids=["issuer without a path", "issuer with a path"],
)
@requirement("CLI-03")
async def test_issuer_metadata_is_looked_up_in_the_prescribed_order(here: World, path: str, places: list[str]) -> None:
    asked: list[str] = []

    async def nothing(scope: Any, _receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await Response(status_code=404)(scope, _receive, send)

    async with served(_without_lifespan(nothing)) as origin:
        here.server.resource["authorization_servers"] = [origin + path]
        _, happened = await here.get(here.auth())
    assert asked == places
    assert isinstance(happened.refusal, NotAuthorized)


@requirement("CLI-03")
async def test_issuer_metadata_of_a_foreign_issuer_ends_the_flow(here: World) -> None:
    here.authority.metadata["issuer"] = "https://foreign.example.com"
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, Misbehaved)
    assert [path for path, _ in here.authority.seen] == [ASM]


@requirement("CLI-04")
async def test_pkce_with_s256_is_always_used(here: World) -> None:
    await here.get(here.auth())
    asked, exchanged = here.authority.asked("/authorize")[0], here.authority.asked("/token")[0]
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert len(exchanged["code_verifier"]) >= 43


@pytest.mark.parametrize("methods", [None, [], ["plain"]])
@requirement("CLI-04")
async def test_issuer_that_does_not_promise_s256_is_not_visited(here: World, methods: Any) -> None:
    here.authority.metadata["code_challenge_methods_supported"] = methods
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, Misbehaved)
    assert here.authority.asked("/authorize") == []


@requirement("CLI-05")
async def test_resource_is_named_in_the_authorization_and_in_every_token_request(here: World) -> None:
    auth = here.auth()
    await here.get(auth)
    here.now += 3590
    await here.get(auth)
    said = [*here.authority.asked("/authorize"), *here.authority.asked("/token")]
    assert [each.get("grant_type") for each in said] == [None, "authorization_code", "refresh_token"]
    assert {each["resource"] for each in said} == {here.server.url}


@pytest.mark.parametrize(
    ("url", "resource"),
    [
        ("https://mcp.example.com:443/mcp", "https://mcp.example.com/mcp"),
        ("https://mcp.example.com/mcp", "https://mcp.example.com:443/mcp"),
        ("https://mcp.example.com/mcp", "https://MCP.example.com"),
        ("https://mcp.example.com/mcp?a=1", "https://mcp.example.com/mcp/"),
    ],
)
@requirement("CLI-05")
async def test_resource_is_the_metadatas_however_the_url_is_spelled(here: World, url: str, resource: str) -> None:
    assert covers(resource, url)
    auth = here.auth(url=url)
    auth.believe(Found(resource, IssuerMetadata(issuer="https://issuer", token_endpoint="https://issuer/token")))
    assert auth.context.get_resource_url() == resource
    auth.context.client_info = OAuthClientInformationFull(client_id="me")
    await auth.set_tokens(OAuthToken(access_token="a", token_type="Bearer"))
    assert auth.login
    assert auth.login.resource == resource
    next_program = here.auth(url=url)
    next_program.adopt(auth.login)
    assert next_program.context.get_resource_url() == resource


ISS = [
    pytest.param(True, "right", True, id="advertised and there"),
    pytest.param(True, None, False, id="advertised and missing"),
    pytest.param(False, "right", True, id="not advertised and there"),
    pytest.param(False, None, True, id="not advertised and missing"),
    pytest.param(True, "https://attacker.example.com", False, id="wrong"),
    pytest.param(False, "https://attacker.example.com", False, id="wrong and not advertised"),
    pytest.param(True, "right/", False, id="with a slash"),
    pytest.param(True, "UPPER", False, id="in another case"),
    pytest.param(True, "", False, id="empty"),
]


@pytest.mark.parametrize(("advertised", "iss", "good"), ISS)
@requirement("CLI-06")
async def test_code_goes_to_the_token_endpoint_only_if_its_issuer_is_the_one_asked(
    here: World, advertised: bool, iss: str | None, good: bool
) -> None:
    here.authority.metadata["authorization_response_iss_parameter_supported"] = advertised
    origin = here.authority.origin
    here.authority.back["iss"] = iss and iss.replace("right", origin).replace("UPPER", origin.upper())
    status, happened = await here.get(here.auth())
    assert (status == 200) is good
    assert (happened.refusal is None) is good
    assert bool(here.authority.asked("/token")) is good


@requirement("CLI-06")
async def test_issuers_that_differ_by_the_default_port_differ(here: World) -> None:
    """The SDK's models would take both for the same; what was found is given to it as it stands."""
    auth = here.auth()
    await here.get(auth)
    found = auth.found
    assert found is not None
    auth.believe(type(found)(found.resource, _issuer("https://issuer.example.com:443")))
    assert auth.context.oauth_metadata is not None
    assert str(auth.context.oauth_metadata.issuer) == "https://issuer.example.com:443"
    assert str(auth.context.oauth_metadata.token_endpoint) == "https://issuer.example.com:443/Token"


@pytest.mark.parametrize(
    ("back", "shown"),
    [
        pytest.param(
            {"code": None, "error": "access_denied", "error_description": "Not you"}, True, id="of the issuer"
        ),
        pytest.param(
            {"code": None, "error": "access_denied", "error_description": "Not you", "iss": "https://attacker"},
            False,
            id="of another issuer",
        ),
        pytest.param(
            {"code": None, "error": "access_denied", "error_description": "Not you", "state": "another"},
            False,
            id="with another state",
        ),
    ],
)
@requirement("CLI-06")
async def test_error_is_shown_only_if_it_is_of_the_issuer(here: World, back: dict[str, Any], shown: bool) -> None:
    here.authority.back.update(back)
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, NotAuthorized)
    assert ("Not you" in str(happened.refusal)) is shown


@requirement("CLI-07")
async def test_registered_client_comes_before_a_document_before_registration_before_asking(here: World) -> None:
    here.authority.metadata["client_id_metadata_document_supported"] = True
    await here.get(here.auth(client_id="given", client_metadata_url=DOCUMENT, issuer=here.authority.origin))
    await here.get(World(here.authority, here.server).auth(client_metadata_url=DOCUMENT))
    here.authority.metadata["client_id_metadata_document_supported"] = False
    await here.get(World(here.authority, here.server).auth(client_metadata_url=DOCUMENT))
    here.authority.metadata["registration_endpoint"] = None
    _, happened = await here.get(World(here.authority, here.server).auth(client_metadata_url=DOCUMENT))
    port = urlsplit(here.authority.origin).port
    assert [each["client_id"] for each in here.authority.asked("/authorize")] == [
        "given",
        DOCUMENT,
        f"registered-at-{port}",
    ]
    assert "--client-id" in str(happened.refusal)


@pytest.mark.parametrize(
    "url",
    [
        "http://client.example.com/metadata.json",
        "https://client.example.com",
        "https://client.example.com/",
        "https://client.example.com/a/../metadata.json",
        "https://client.example.com/%2e%2e/metadata.json",
        "https://client.example.com/metadata.json#x",
        "https://me@client.example.com/metadata.json",
        "no url",
    ],
)
@requirement("CLI-07")
def test_client_id_that_is_a_document_has_the_shape_it_must_have(url: str) -> None:
    with pytest.raises(BadInput):
        Settings(client_metadata_url=url)


@requirement("CLI-09")
async def test_what_one_issuer_gave_is_never_shown_to_another(here: World) -> None:
    auth = here.auth()
    await here.get(auth)
    first = dict(here.authority.asked("/token")[0])
    async with another() as second:
        here.server.authority = second
        here.server.refused.add(auth.token)
        second.count = iter(range(50, 60))  # type: ignore[assignment]
        assert (await here.get(auth))[0] == 200
    assert [path for path, _ in second.seen] == [ASM, "/register", "/authorize", "/token"]
    said = json.dumps(second.seen)
    assert first["client_id"] not in said
    assert "refresh-1" not in said
    assert len(here.authority.asked("/token")) == 1, "the old issuer is not asked for another token either"


@requirement("CLI-09")
async def test_given_client_and_its_secret_stay_at_their_issuer(here: World) -> None:
    given = {"client_id": "given", "client_secret": "of-the-first"}
    auth = here.auth(**given)
    assert (await here.get(auth))[0] == 200
    async with another() as second:
        here.server.authority = second
        here.server.refused.add(auth.token)
        _, happened = await here.get(auth)
    assert [path for path, _ in second.seen] == [ASM]
    assert isinstance(happened.refusal, NotAuthorized)
    assert "OAUTH_ISSUER" in str(happened.refusal)


@pytest.mark.parametrize(
    "given", [{}, {"client_id": "given", "client_secret": "of-the-first"}], ids=["registered", "given client"]
)
@requirement("CLI-09")
async def test_login_in_the_same_shell_shows_another_issuer_no_client_of_the_first(
    here: World, given: dict[str, str]
) -> None:
    server = server_of(here, **given)
    await server.log_in()
    first = here.authority.asked("/token")[0]
    async with another() as second:
        here.server.authority = second
        if given:
            with pytest.raises(NotAuthorized, match="OAUTH_ISSUER"):
                await server.log_in()
            assert [path for path, _ in second.seen] == [ASM]
        else:
            await server.log_in()
            assert [path for path, _ in second.seen] == [ASM, "/register", "/authorize", "/token"]
        assert first["client_id"] not in json.dumps(second.seen)


@requirement("CLI-09")
async def test_login_that_fails_at_another_issuer_does_not_take_the_refresh_token_there(here: World) -> None:
    server = server_of(here)
    await server.log_in()
    async with another() as second:
        here.server.authority = second
        second.back = {"error": "access_denied", "code": None}
        with pytest.raises(NotAuthorized, match="access_denied"):
            await server.log_in()
        assert (await server.renew()).access_token == "access-2"
        await server.log_out()
        assert second.asked("/token") + second.asked("/revoke") == []
    assert here.authority.asked("/revoke")[0]["token"] == "refresh-2"


@requirement("CLI-09")
async def test_registration_says_what_kind_of_application_it_is(here: World) -> None:
    await here.get(here.auth())
    (said,) = here.authority.asked("/register")
    assert said["application_type"] == "native"
    assert said["redirect_uris"] == [REDIRECT]


@pytest.mark.parametrize(
    ("challenged", "listed", "asked"),
    [
        pytest.param("a b", ["c"], "a b", id="the challenge's"),
        pytest.param(None, ["c", "d"], "c d", id="else all that are listed"),
        pytest.param(None, None, None, id="else none"),
    ],
)
@requirement("CLI-10")
async def test_first_scopes(here: World, challenged: str | None, listed: list[str] | None, asked: str | None) -> None:
    here.authority.metadata["scopes_supported"] = ["x", "y"]
    if challenged:
        here.server.challenge = f'Bearer scope="{challenged}"'
    if listed:
        here.server.resource["scopes_supported"] = listed
    await here.get(here.auth())
    assert here.authority.asked("/authorize")[0].get("scope") == asked


@requirement("CLI-10")
async def test_more_scopes_are_asked_for_beside_those_that_are_there(here: World) -> None:
    here.server.challenge = 'Bearer scope="a b"'
    auth = here.auth()
    await here.get(auth)
    here.server.demanded = ["b c"]
    assert (await here.get(auth))[0] == 200
    assert [each["scope"] for each in here.authority.asked("/authorize")] == ["a b", "a b c"]
    assert here.person
    assert here.person.reasons == ["", "This needs c, which your login does not have."], "a person is told why"
    assert len(here.authority.asked("/register")) == 1


@requirement("CLI-10")
async def test_client_gives_up_on_a_server_that_never_has_enough(here: World) -> None:
    auth = here.auth()
    await here.get(auth)
    here.server.demanded = ["more"] * 100
    _, happened = await here.get(auth)
    logins = len(here.authority.asked("/authorize"))
    assert logins <= 3
    assert isinstance(happened.refusal, NotAuthorized)
    await here.get(auth)
    assert len(here.authority.asked("/authorize")) == logins, "nor does it begin again with the next request"


@requirement("CLI-10")
async def test_scopes_that_were_of_use_may_be_asked_for_again_as_often_as_they_end(here: World) -> None:
    auth = here.auth()
    await here.get(auth)
    for count in range(1, 6):
        here.server.demanded = ["more"]
        assert (await here.get(auth))[0] == 200
        assert len(here.authority.asked("/authorize")) == 1 + count


@requirement("CLI-11")
async def test_token_is_in_the_header_of_every_request_and_nowhere_else(here: World) -> None:
    auth = here.auth()
    for method in ("POST", "GET", "DELETE"):
        assert (await here.get(auth, method))[0] == 200
    assert [(m, token) for m, path, token in here.server.seen if path == "/mcp"][1:] == [
        ("POST", "access-1"),
        ("GET", "access-1"),
        ("DELETE", "access-1"),
    ]


@requirement("CLI-11")
async def test_token_does_not_follow_a_redirect_to_another_origin(here: World) -> None:
    async with world() as elsewhere:
        target = elsewhere.server.url
        here.server.act = lambda _request: RedirectResponse(target, 307)
        connection = Connection(here.server.url, here.auth())
        with pytest.raises(ClientError):
            await connection.open()
        await connection.close()
        assert elsewhere.server.seen == []
    assert "access-1" in {token for _, _, token in here.server.seen}


@requirement("CLI-11")
async def test_two_servers_have_two_tokens(here: World) -> None:
    async with world() as other:
        other.vault = here.vault
        other.authority.count = iter(range(50, 60))  # type: ignore[assignment]
        await here.get(here.auth())
        await other.get(other.auth())
        await here.get(here.auth())
        await other.get(other.auth())
        assert {token for _, _, token in here.server.seen} == {None, "access-1"}
        assert {token for _, _, token in other.server.seen} == {None, "access-50"}


@pytest.mark.parametrize(("listed", "asked"), [(["offline_access"], "a offline_access"), (["b"], "a"), (None, "a")])
@requirement("CLI-12")
async def test_offline_access_is_asked_for_only_where_the_issuer_lists_it(here: World, listed: Any, asked: str) -> None:
    here.server.challenge = 'Bearer scope="a"'
    here.authority.metadata["scopes_supported"] = listed
    await here.get(here.auth())
    assert here.authority.asked("/authorize")[0]["scope"] == asked


@requirement("CLI-12")
async def test_without_a_refresh_token_the_client_logs_in_again(here: World) -> None:
    here.authority.refreshes = False
    auth = here.auth()
    await here.get(auth)
    here.server.refused.add("access-1")
    assert (await here.get(auth))[0] == 200
    assert [each["grant_type"] for each in here.authority.asked("/token")] == ["authorization_code"] * 2


@requirement("CLI-12")
async def test_refused_refresh_token_leads_to_one_login_and_no_loop(here: World) -> None:
    auth = here.auth()
    await here.get(auth)
    here.authority.refresh = "rotated by somebody else"
    here.server.refused.add("access-1")
    assert (await here.get(auth))[0] == 200
    grants = [each["grant_type"] for each in here.authority.asked("/token")]
    assert grants == ["authorization_code", "refresh_token", "authorization_code"]


@requirement("CLI-12")
async def test_server_that_refuses_every_token_is_not_asked_for_ever(here: World) -> None:
    here.server.refused |= {f"access-{count}" for count in range(20)}
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, NotAuthorized)
    assert len(here.authority.asked("/authorize")) == 1


@requirement("CLI-12")
async def test_requests_that_fail_together_lead_to_one_refresh(here: World) -> None:
    auth = here.auth()
    await here.get(auth)
    here.server.refused.add("access-1")
    answers = await asyncio.gather(*[here.get(auth) for _ in range(5)])
    assert [status for status, _ in answers] == [200] * 5
    assert [each["grant_type"] for each in here.authority.asked("/token")] == ["authorization_code", "refresh_token"]


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/metadata",
        "https://192.168.1.1/metadata",
        "https://[fd00::1]/metadata",
        "http://metadata.example.com/",
        "file:///etc/passwd",
    ],
)
@requirement("CLI-13")
async def test_metadata_at_a_private_address_is_not_fetched(here: World, place: str) -> None:
    here.server.challenge = f'Bearer resource_metadata="{place}"'
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, Misbehaved)
    assert {path for _, path, _ in here.server.seen} == {"/mcp"}


@requirement("CLI-13")
async def test_issuer_that_resolves_to_a_private_address_is_not_asked() -> None:
    async def resolver(_host: str, _port: int) -> list[str]:
        return ["10.0.0.1"]

    fetch = Outbound(resolver=resolver)
    with pytest.raises(Misbehaved, match="private"):
        await find(
            "https://mcp.example.com/mcp",
            Challenge("Bearer", {"resource_metadata": "https://mcp.example.com/x"}),
            fetch,
        )


@requirement("CLI-13")
async def test_loopback_is_for_servers_on_this_machine() -> None:
    fetch = Outbound(allow_hosts=Settings(url="https://mcp.example.com/mcp").permitted_hosts)
    with pytest.raises(Misbehaved):
        await find(
            "https://mcp.example.com/mcp", Challenge("Bearer", {"resource_metadata": "http://localhost/x"}), fetch
        )


@pytest.mark.parametrize("endpoint", ["javascript:alert(1)", "file:///etc/passwd", "http://login.example.com/", "x"])
@requirement("CLI-13")
async def test_browser_is_sent_nowhere_but_to_https(here: World, endpoint: str) -> None:
    here.authority.metadata["authorization_endpoint"] = endpoint
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, Misbehaved)
    assert here.person is not None
    assert here.person.urls == []


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:8080/off", "https://localhost/x", "http://[::1]/x", "https://10.0.0.1/x", "https://169.254.1.1"],
)
@requirement("CLI-13")
def test_login_page_of_a_server_elsewhere_is_not_on_this_machine_or_in_its_network(endpoint: str) -> None:
    with pytest.raises(Misbehaved, match="not opened"):
        check_endpoint(endpoint, Settings(url="https://mcp.example.com/mcp").permitted_hosts)
    named = Settings(url="https://mcp.example.com/mcp", allow_hosts=frozenset({Location.of(endpoint).host}))
    check_endpoint(endpoint, named.permitted_hosts)


@requirement("CLI-13")
async def test_login_page_in_a_private_network_is_not_opened(here: World) -> None:
    here.authority.metadata["authorization_endpoint"] = "https://192.168.1.1/apply.cgi"
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, Misbehaved)
    assert here.person is not None
    assert here.person.urls == []


@pytest.mark.parametrize("endpoint", ["https://login.example.com/x", "https://1.1.1.1/x", "https://[2606:4700::1]/x"])
@requirement("CLI-13")
def test_login_page_in_the_internet_is_opened(endpoint: str) -> None:
    check_endpoint(endpoint, frozenset())


@pytest.mark.parametrize("member", ["token_endpoint", "registration_endpoint"])
@requirement("CLI-13")
async def test_endpoint_at_a_private_address_is_not_called(here: World, member: str) -> None:
    here.authority.metadata[member] = "https://10.0.0.1/"
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, Misbehaved)


@requirement("CLI-13")
async def test_redirect_of_an_issuer_is_not_followed(here: World) -> None:
    here.authority.token = lambda _form: RedirectResponse("http://169.254.169.254/", 307)
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, NotAuthorized)


MODERN = {"supportedVersions": ["2026-07-28"], "capabilities": {}, "resultType": "complete", "ttlMs": 0}


def eras(here: World, answers: list[Response | dict[str, Any]]) -> list[dict[str, Any]]:
    """Have the server give these answers, in order; the messages it gets."""
    got: list[dict[str, Any]] = []

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        message = json.loads(await Request(scope, receive).body() or b"{}")
        got.append(message)
        if "id" not in message:
            await Response(status_code=202)(scope, receive, send)
            return
        said = answers.pop(0)
        if isinstance(said, dict):
            body = {"jsonrpc": "2.0", "id": message["id"], **said}
            said = JSONResponse(body, 400 if "error" in body else 200)
        await said(scope, receive, send)

    here.server.act = lambda _request: answer  # type: ignore[assignment,return-value]
    return got


LEGACY = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "serverInfo": {"name": "old", "version": "1"},
}


async def opened(here: World) -> str:
    connection = Connection(here.server.url, here.auth())
    try:
        return (await connection.open()).protocol_version
    finally:
        await connection.close()


@requirement("CLI-14")
async def test_modern_server_is_asked_again_in_a_version_that_it_lists(here: World) -> None:
    unsupported = {"code": -32022, "message": "no", "data": {"supported": ["2026-07-28"], "requested": "x"}}
    got = eras(here, [{"error": unsupported}, {"result": MODERN}])
    assert await opened(here) == "2026-07-28"
    assert [each["method"] for each in got] == ["server/discover"] * 2


@pytest.mark.parametrize("answer", [Response(status_code=400), Response("what?", 400)], ids=["empty", "text"])
@requirement("CLI-14")
async def test_server_that_says_nothing_modern_is_initialized(here: World, answer: Response) -> None:
    got = eras(here, [answer, {"result": LEGACY}])
    assert await opened(here) == "2025-11-25"
    assert [each["method"] for each in got[:2]] == ["server/discover", "initialize"]


@requirement("CLI-14")
async def test_modern_error_is_no_reason_to_initialize(here: World) -> None:
    got = eras(here, [{"error": {"code": -32020, "message": "headers"}}])
    with pytest.raises(Misbehaved):
        await opened(here)
    assert [each["method"] for each in got] == ["server/discover"]


@requirement("CLI-14")
async def test_era_is_found_out_after_the_login(here: World) -> None:
    got = eras(here, [{"result": MODERN}])
    assert await opened(here) == "2026-07-28"
    assert [token for _, path, token in here.server.seen if path == "/mcp"] == [None, "access-1"]
    assert [each["method"] for each in got] == ["server/discover"]


@requirement("CLI-14")
async def test_login_that_fails_is_no_verdict_about_the_era(here: World) -> None:
    here.person = None
    with pytest.raises(NotAuthorized):
        await opened(here)
    assert len([path for _, path, _ in here.server.seen if path == "/mcp"]) == 1


def server_of(here: World, **settings: object) -> Server:
    return Server(here.auth(**settings).settings, here.vault, here.person)


def _issuer(issuer: str) -> Any:
    return IssuerMetadata(issuer=issuer, token_endpoint=f"{issuer}/Token")


def _without_lifespan(app: Any) -> Any:
    async def only_http(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await app(scope, receive, send)

    return only_http
