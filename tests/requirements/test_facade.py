"""ASM and GWP-15: the authorization server that clients see, which is the facade."""

from __future__ import annotations

import pytest

from conformance.requirements import requirement
from tests.gated import PUBLIC, RESOURCE
from tests.gateway.facade.rig import ADMIN, OTHER_RESOURCE, USE, VERIFIER, WEB, App, rig

PATHS = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
RULED = [{"path": "/mcp", "scopes": [USE], "rules": [{"tools": ["admin-*"], "scopes": [ADMIN]}]}]


@requirement("ASM-01")
async def test_both_discovery_documents_are_published() -> None:
    async with rig() as made:
        for path in PATHS:
            answer = await made.http.get(f"{PUBLIC}{path}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


@requirement("ASM-02", "ASM-05")
async def test_the_document_names_the_issuer_that_the_resource_metadata_names() -> None:
    async with rig() as made:
        resource = (await made.http.get(f"{PUBLIC}/.well-known/oauth-protected-resource/mcp")).json()
        (issuer,) = resource["authorization_servers"]
        for path in PATHS:
            assert (await made.http.get(f"{issuer}{path}")).json()["issuer"] == issuer == PUBLIC


@requirement("ASM-05")
async def test_the_document_promises_only_what_the_issuer_behind_it_can_do() -> None:
    async with rig() as made:
        document = (await made.http.get(f"{PUBLIC}{PATHS[0]}")).json()
        app = await made.register()
        tokens = await app.tokens()
        assert document["token_endpoint_auth_methods_supported"] == ["none"]
        assert (await app.refresh(tokens["refresh_token"])).status_code == 200
        assert (
            await made.http.post(document["revocation_endpoint"], data={"client_id": "known", "token": "x"})
        ).is_success
        assert not {"userinfo_endpoint", "jwks_uri", "introspection_endpoint"} & document.keys()


@requirement("ASM-03")
async def test_both_documents_say_that_s256_is_offered_and_nothing_else() -> None:
    async with rig() as made:
        for path in PATHS:
            document = (await made.http.get(f"{PUBLIC}{path}")).json()
            assert document["code_challenge_methods_supported"] == ["S256"]


@requirement("ASM-04")
async def test_the_document_has_what_a_code_flow_needs_by_https() -> None:
    async with rig() as made:
        document = (await made.http.get(f"{PUBLIC}{PATHS[0]}")).json()
        assert document["response_types_supported"] == ["code"]
        endpoints = {name: url for name, url in document.items() if name.endswith("_endpoint")}
        assert {"authorization_endpoint", "token_endpoint"} <= endpoints.keys()
        assert all(url.startswith("https://") for url in endpoints.values())


@requirement("ASM-06")
async def test_answers_to_the_browser_say_who_they_are_from_errors_too() -> None:
    async with rig() as made:
        app = await made.register()
        document = (await made.http.get(f"{PUBLIC}{PATHS[0]}")).json()
        assert document["authorization_response_iss_parameter_supported"] is True
        for page in (
            await made.browser.log_in(app.url()),
            await made.new_browser().log_in(app.url(), decision="deny"),
            await made.browser.open(app.url(code_challenge_method="plain")),
        ):
            assert page.parameters["iss"] == document["issuer"]


@requirement("ASM-07")
async def test_a_client_may_be_the_url_of_its_own_metadata() -> None:
    url = "https://app.example/client.json"
    async with rig() as made:
        made.documents.put(url)
        document = (await made.http.get(f"{PUBLIC}{PATHS[0]}")).json()
        assert document["client_id_metadata_document_supported"] is True
        assert (await App(made, url, WEB).tokens())["access_token"]
        refused = [
            App(made, url, "https://evil.example/cb"),  # not among its redirects
            App(made, made.documents.put("https://a.example/c", client_id=url), WEB),  # about another client
            App(made, made.documents.put("https://b.example/c", status=302), WEB),  # elsewhere
            App(made, made.documents.put("https://c.example/c", client_name="x" * 6000), WEB),  # too large
            App(made, made.documents.put("https://10.0.0.1/c"), WEB),  # a private address
        ]
        for app in refused:
            page = await made.browser.open(app.url())
            assert (page.answer.status_code, page.left_for) == (400, "")


@requirement("ASM-08")
async def test_clients_may_register_themselves() -> None:
    async with rig() as made:
        document = (await made.http.get(f"{PUBLIC}{PATHS[0]}")).json()
        answer = await made.http.post(document["registration_endpoint"], json={"redirect_uris": [WEB]})
        assert answer.status_code == 201
        assert (await App(made, answer.json()["client_id"], WEB).tokens())["access_token"]


@requirement("ASM-09")
async def test_a_code_works_once_and_only_with_its_verifier() -> None:
    async with rig() as made:
        app = await made.register()
        for verifier in (None, "", "x" * 43, VERIFIER.upper()):
            assert (await app.redeem(await app.code(), code_verifier=verifier)).status_code == 400
        code = await app.code()
        assert (await app.redeem(code)).status_code == 200
        again = await app.redeem(code)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
        for changes in ({"code_challenge": None}, {"code_challenge_method": "plain"}, {"code_challenge_method": None}):
            page = await made.browser.open(app.url(**changes))
            assert page.parameters["error"] == "invalid_request"


@requirement("ASM-10")
async def test_a_refresh_token_is_replaced_and_the_one_before_it_refused() -> None:
    async with rig(rotation=True) as made:
        app = await made.register()
        first = (await app.tokens())["refresh_token"]
        second = (await app.refresh(first)).json()["refresh_token"]
        assert second != first
        refused = await app.refresh(first)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        assert (await app.refresh(second)).status_code == 200


@requirement("ASM-11")
async def test_a_token_is_for_the_resource_that_was_asked_for_at_every_step() -> None:
    async with rig(resources=RULED) as made:
        app = await made.register()
        unknown = await made.browser.open(app.url(resource=OTHER_RESOURCE))
        assert unknown.parameters["error"] == "invalid_target"
        elsewhere = await app.redeem(await app.code(), resource=OTHER_RESOURCE)
        assert elsewhere.json()["error"] == "invalid_target"
        tokens = (await app.redeem(await app.code(), resource=RESOURCE)).json()
        for wider, error in (({"resource": OTHER_RESOURCE}, "invalid_target"), ({"scope": ADMIN}, "invalid_scope")):
            assert (await app.refresh(tokens["refresh_token"], **wider)).json()["error"] == error
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}
        assert (await made.http.get(RESOURCE, headers=bearer)).status_code == 200


@pytest.mark.parametrize(
    "redirect",
    [
        "https://app.example/callback/",
        "https://app.example/callback?x",
        "https://app.example:444/callback",
        "https://evil.example/callback",
        "http://localhost.evil:1/cb",
        "http://localhost:1/cb/more",
    ],
)
@requirement("ASM-12")
async def test_nothing_is_redirected_to_what_does_not_fit_as_a_whole(redirect: str) -> None:
    async with rig() as made:
        app = await made.register(WEB, "http://localhost/cb")
        page = await made.browser.open(app.url(redirect_uri=redirect))
        assert (page.answer.status_code, page.left_for) == (400, "")
        any_port = await made.browser.open(app.url(redirect_uri="http://localhost:50123/cb"))
        assert any_port.answer.status_code == 200


@requirement("ASM-13")
async def test_tokens_are_not_cached_live_shortly_and_can_be_revoked() -> None:
    async with rig() as made:
        app = await made.register()
        answer = await app.redeem(await app.code())
        assert answer.headers["cache-control"] == "no-store"
        tokens = answer.json()
        assert 0 < tokens["expires_in"] <= 3600
        assert (await app.revoke(tokens["refresh_token"])).status_code == 200
        assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


@requirement("ASM-14")
async def test_a_client_of_2025_03_26_finds_the_issuer_at_the_origin_of_the_server() -> None:
    """Its fallback paths, /authorize and kin, are for origins without metadata, which this one has."""
    async with rig() as made:
        document = (await made.http.get(f"{PUBLIC}{PATHS[0]}")).json()
        assert document["issuer"] == PUBLIC
        app = await made.register()
        page = await made.browser.log_in(app.url(resource=None, scope=None))  # it names no resource
        tokens = (await app.redeem(page.parameters["code"])).json()
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}
        assert (await made.http.get(RESOURCE, headers=bearer)).status_code == 200


@requirement("GWP-15")
async def test_every_person_is_asked_about_every_client_and_the_login_is_tied_to_the_answer() -> None:
    async with rig() as made:
        first, second = await made.register(), await made.register("https://evil.example/cb")
        await first.tokens()
        for app, browser in ((second, made.browser), (first, made.new_browser())):
            page = await browser.open(app.url())
            assert "consent" in page.form.fields
            assert page.answer.headers["x-frame-options"] == "DENY"
        page = await made.browser.open(second.url())
        stolen = await made.new_browser().submit(page, decision="approve")
        assert "consent" in stolen.form.fields, "another browser is asked itself"
        state = made.way.asked("/oauth2/authorize")[-1]["state"]
        other = await made.new_browser().open(f"{PUBLIC}/oauth/callback?code=c&state={state}")
        assert (other.answer.status_code, other.left_for) == (403, "")
