"""The facade's own metadata: at both locations, with nothing in it that is not there."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.gated import PUBLIC, RESOURCE
from tests.gateway.facade.rig import OTHER, OTHER_RESOURCE, USE, rig

PATHS = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
TWO = [{"path": "/mcp", "scopes": [USE]}, {"path": "/other", "scopes": [OTHER, USE]}]


async def test_the_document_has_exactly_these_members() -> None:
    async with rig(resources=TWO) as made:
        answer = await made.http.get(f"{PUBLIC}{PATHS[0]}")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "public, max-age=300"
        assert answer.json() == {
            "issuer": PUBLIC,
            "authorization_endpoint": f"{PUBLIC}/oauth/authorize",
            "token_endpoint": f"{PUBLIC}/oauth/token",
            "registration_endpoint": f"{PUBLIC}/oauth/register",
            "revocation_endpoint": f"{PUBLIC}/oauth/revoke",
            "revocation_endpoint_auth_methods_supported": ["none"],
            "scopes_supported": [USE, OTHER],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": True,
            "protected_resources": [RESOURCE, OTHER_RESOURCE],
        }


async def test_both_locations_hold_the_same_bytes_for_every_origin() -> None:
    async with rig() as made:
        one, other = [await made.http.get(f"{PUBLIC}{path}", headers={"origin": "https://a.example"}) for path in PATHS]
        assert one.content == other.content
        for answer in (one, other):
            assert answer.headers["access-control-allow-origin"] == "*"
        asking = {"origin": "https://a.example", "access-control-request-method": "GET"}
        asking |= {"access-control-request-private-network": "true"}  # of a public page, and the gate is on loopback
        for path in PATHS:
            assert (await made.http.options(f"{PUBLIC}{path}", headers=asking)).status_code == 200
            head = await made.http.head(f"{PUBLIC}{path}")
            assert (head.status_code, head.content) == (200, b"")
            assert (await made.http.post(f"{PUBLIC}{path}")).status_code == 405
            assert (await made.http.get(f"{PUBLIC}{path}/mcp")).status_code == 404


async def test_issuer_is_the_same_bytes_wherever_it_is_said() -> None:
    async with rig() as made:
        app = await made.register()
        document = (await made.http.get(f"{PUBLIC}{PATHS[0]}")).json()
        resource = (await made.http.get(f"{PUBLIC}/.well-known/oauth-protected-resource/mcp")).json()
        done = (await made.browser.log_in(app.url())).parameters
        failed = (await made.browser.open(app.url(response_type="token"))).parameters
        said = {document["issuer"], *resource["authorization_servers"], done["iss"], failed["iss"]}
        assert said == {PUBLIC}


async def test_every_endpoint_that_is_named_answers() -> None:
    async with rig() as made:
        document = (await made.http.get(f"{PUBLIC}{PATHS[0]}")).json()
        for name, url in document.items():
            if name.endswith("_endpoint"):
                method = "GET" if name.startswith("authorization") else "POST"
                assert (await made.http.request(method, url)).status_code in (400, 401), name


async def test_revocation_is_said_where_the_issuer_can() -> None:
    async with rig() as made:
        document = made.issuer.metadata()
        del document["revocation_endpoint"]
        made.issuer.metadata_server.body = json.dumps(document).encode()
        said = (await made.http.get(f"{PUBLIC}{PATHS[0]}")).json()
        assert not [name for name in said if name.startswith("revocation")]


async def test_while_the_issuer_has_never_been_reached_there_is_no_document() -> None:
    async with rig() as made:
        made.issuer.metadata_server.status = 500
        answer = await made.http.get(f"{PUBLIC}{PATHS[0]}")
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        assert answer.headers["retry-after"] == "5"
        assert answer.headers["cache-control"] == "no-store"
        made.issuer.metadata_server.reset()
        assert (await made.http.get(f"{PUBLIC}{PATHS[0]}")).status_code == 200


@pytest.mark.parametrize("path", PATHS)
async def test_a_gate_whose_facade_is_off_publishes_the_issuer(path: str) -> None:
    async with rig() as made:
        await made.replace(facade="off")
        answer = await made.http.get(f"{PUBLIC}{path}")
        if answer.status_code == 200:
            assert answer.json()["issuer"] == made.issuer.url
        resource = (await made.http.get(f"{PUBLIC}/.well-known/oauth-protected-resource/mcp")).json()
        assert resource["authorization_servers"] == [made.issuer.url]
        for endpoint in ("authorize", "token", "register", "revoke", "callback", "consent"):
            assert (await made.http.get(f"{PUBLIC}/oauth/{endpoint}")).status_code == 404


async def test_a_second_issuer_is_published_beside_the_facade() -> None:
    second = "https://second.example"
    async with rig() as made:
        issuers = [*made.values["issuers"], {"issuer": second}]
        facade = made.values["facade"] | {"issuer": made.issuer.url}
        resources = [
            {"path": "/mcp", "scopes": [USE]},
            {"path": "/theirs", "scopes": [USE], "issuers": [second]},
        ]
        await made.replace(issuers=issuers, facade=facade, resources=resources)
        known = (await made.http.get(f"{PUBLIC}/.well-known/oauth-protected-resource/mcp")).json()
        assert known["authorization_servers"] == [PUBLIC, second]
        theirs = (await made.http.get(f"{PUBLIC}/.well-known/oauth-protected-resource/theirs")).json()
        assert theirs["authorization_servers"] == [second]
        document = (await made.http.get(f"{PUBLIC}{PATHS[0]}")).json()
        assert document["protected_resources"] == [RESOURCE]
        page = await made.browser.open((await made.register()).url(resource=f"{PUBLIC}/theirs"))
        assert page.parameters["error"] == "invalid_target"


async def test_the_issuers_metadata_is_read_again_after_an_hour_and_used_longer_while_it_is_down() -> None:
    async with rig() as made:
        server, clock = made.issuer.metadata_server, made.issuer.clock

        async def asked_again() -> bool:
            before = server.hits
            answer = await made.http.get(f"{PUBLIC}{PATHS[0]}")
            assert answer.status_code == 200
            return server.hits > before

        await asked_again()
        assert not await asked_again()
        clock.move(3600)
        assert await asked_again()
        assert not await asked_again()
        server.body = msgspec.json.encode({"issuer": "https://evil.example"})
        clock.move(3600)
        assert await asked_again()
        assert not await asked_again()
        clock.move(30)
        assert await asked_again()
