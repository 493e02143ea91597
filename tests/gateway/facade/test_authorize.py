"""The authorization endpoint: what is shown, what goes back to the client, and what goes on to the issuer."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
import pytest

from gateway.facade.authorize import MAX_HINT, MAX_STATE
from gateway.facade.errors import REMEDIES
from gateway.facade.quirks import KNOWN, OTHER, quirks_of
from gateway.facade.sealed import STATE, Flow, s256
from tests.gated import PUBLIC, RESOURCE
from tests.gateway.facade.rig import ADMIN, OTHER_RESOURCE, REDIRECT, USE, VERIFIER, WEB, App, Page, Rig, a_seal, rig

TWO = [
    {"path": "/mcp", "name": "Reports", "scopes": [USE], "aliases": ["urn:reports"]},
    {"path": "/other", "name": "Other", "scopes": [f"{OTHER_RESOURCE}/use"]},
]
RULED = [{"path": "/mcp", "scopes": [USE], "rules": [{"tools": ["admin-*"], "scopes": [ADMIN]}]}]


async def at_issuer(made: Rig, page: Page) -> dict[str, str]:
    """What the issuer's authorization endpoint was asked, once the person agreed."""
    await made.browser.submit(page, decision="approve")
    return made.way.asked("/oauth2/authorize")[-1]


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        pytest.param({"client_id": None}, 400, "not registered here", id="no client"),
        pytest.param({"client_id": "unknown"}, 400, "not registered here", id="an unknown client"),
        pytest.param({"client_id": ["known", "known"]}, 400, "malformed", id="two clients"),
        pytest.param({"redirect_uri": [WEB, WEB]}, 400, "malformed", id="two redirects"),
        pytest.param(
            {"redirect_uri": "https://evil.example/cb"}, 400, "not registered for it", id="a strange redirect"
        ),
        pytest.param({"redirect_uri": f"{WEB}/"}, 400, "not registered for it", id="a redirect with a slash more"),
        pytest.param({"redirect_uri": f"{WEB}?x=1"}, 400, "not registered for it", id="a redirect with a query more"),
        pytest.param({"redirect_uri": f"{WEB}#x"}, 400, "not registered for it", id="a redirect with a fragment"),
        pytest.param(
            {"redirect_uri": "https://user@app.example/callback"},
            400,
            "not registered for it",
            id="a redirect with a user",
        ),
        pytest.param(
            {"redirect_uri": "https://app.example@evil.example/callback"},
            400,
            "not registered",
            id="the host as a user",
        ),
        pytest.param({"redirect_uri": "//evil.example"}, 400, "not registered for it", id="a redirect without scheme"),
        pytest.param({"redirect_uri": f"{WEB}\r\nX: y"}, 400, "not registered for it", id="a header in the redirect"),
    ],
)
async def test_nothing_is_redirected_before_the_redirect_is_trusted(
    changes: dict[str, Any], status: int, sentence: str
) -> None:
    async with rig() as made:
        page = await made.browser.open(App(made, "known", WEB).url(**changes))
        assert page.answer.status_code == status
        assert sentence in page.answer.text
        assert "location" not in page.answer.headers
        assert "evil" not in page.answer.text
        assert made.way.asked("/oauth2/authorize") == []


@pytest.mark.parametrize("query", ["client_id=%FF", "a=1&" * 60, "client_id=%00"])
async def test_a_request_that_cannot_be_read_is_shown(query: str) -> None:
    async with rig() as made:
        page = await made.browser.open(f"{PUBLIC}/oauth/authorize?{query}")
        assert page.answer.status_code == 400
        assert page.answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"response_type": None}, "invalid_request", id="no response type"),
        pytest.param({"response_type": "token"}, "unsupported_response_type", id="another response type"),
        pytest.param({"response_type": "code id_token"}, "unsupported_response_type", id="a response type more"),
        pytest.param({"response_mode": "fragment"}, "invalid_request", id="a response in the fragment"),
        pytest.param({"response_mode": "form_post"}, "invalid_request", id="a response by form"),
        pytest.param({"request": "eyJ"}, "request_not_supported", id="a request object"),
        pytest.param({"request_uri": "https://a.example"}, "request_not_supported", id="a request elsewhere"),
        pytest.param({"code_challenge": None}, "invalid_request", id="no challenge"),
        pytest.param({"code_challenge_method": None}, "invalid_request", id="no method, which would be plain"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="plain"),
        pytest.param({"code_challenge_method": "s256"}, "invalid_request", id="the method in lower case"),
        pytest.param({"code_challenge": "short"}, "invalid_request", id="a short challenge"),
        pytest.param({"code_challenge": s256(VERIFIER) + "="}, "invalid_request", id="a padded challenge"),
        pytest.param({"code_challenge": s256(VERIFIER)[:-1] + "+"}, "invalid_request", id="a challenge in Base64"),
        pytest.param({"code_challenge": s256(VERIFIER) + "\n"}, "invalid_request", id="a line's end behind it"),
        pytest.param({"code_challenge": [s256(VERIFIER)] * 2}, "invalid_request", id="two challenges"),
        pytest.param({"scope": [USE, USE]}, "invalid_request", id="two scopes"),
        pytest.param({"state": ["a", "b"]}, "invalid_request", id="two states"),
        pytest.param({"state": "s" * MAX_STATE}, "invalid_request", id="a state too long"),
        pytest.param({"state": "é" * (MAX_STATE // 5)}, "invalid_request", id="a state too long in URLs"),
        pytest.param({"state": "\x01" * (MAX_STATE // 5)}, "invalid_request", id="a state too long in JSON"),
        pytest.param({"prompt": "none"}, "consent_required", id="no page, before anybody agreed"),
        pytest.param({"resource": "https://evil.example/mcp"}, "invalid_target", id="another's resource"),
        pytest.param({"resource": f"{RESOURCE}?x"}, "invalid_target", id="a resource with a query"),
        pytest.param({"resource": f"{RESOURCE}#x"}, "invalid_target", id="a resource with a fragment"),
        pytest.param({"resource": PUBLIC}, "invalid_target", id="the origin of the resource"),
        pytest.param({"resource": [RESOURCE, "https://evil.example"]}, "invalid_target", id="one resource more"),
    ],
)
async def test_errors_go_back_to_a_trusted_redirect_with_our_iss(changes: dict[str, Any], error: str) -> None:
    async with rig() as made:
        page = await made.browser.open(App(made, "known", WEB).url(**changes))
        assert page.answer.status_code == 303
        assert page.left_for.startswith(f"{WEB}?")
        found = page.parameters
        assert found["error"] == error
        assert error in REMEDIES
        assert found["iss"] == PUBLIC
        state = changes.get("state", "a state")
        assert found["state"] == (state[0] if isinstance(state, list) else state)
        assert found["error_description"].isprintable()
        assert set(found) == {"error", "error_description", "state", "iss"}
        assert "evil" not in page.left_for
        assert page.answer.headers["cache-control"] == "no-store"


async def test_only_registered_redirect_may_be_left_out() -> None:
    async with rig() as made:
        page = await made.browser.log_in(App(made, "known", WEB).url(redirect_uri=None))
        assert page.left_for.startswith(f"{WEB}?code=")
        both = await made.register(WEB, "https://app.example/other")
        assert (await made.browser.open(both.url(redirect_uri=None))).answer.status_code == 400


@pytest.mark.parametrize(
    "state",
    [
        pytest.param("a+b c%20d&e=f#g", id="what forms encode"),
        pytest.param("\r\nSet-Cookie: a=b\r\n\r\n<script>", id="a header and a body"),
        pytest.param("\0\x1b[31m\x7f", id="controls"),
        pytest.param("é\u202e\U0001f600e\u0301", id="beyond ASCII, not normalised"),
        pytest.param('{"a":"b"}\'"', id="JSON and quotes"),
        pytest.param("s" * (MAX_STATE - 2), id="the longest"),
    ],
)
async def test_state_comes_back_as_it_was(state: str) -> None:
    async with rig() as made:
        app = await made.register()
        done = await made.browser.log_in(app.url(state=state))
        assert done.parameters["state"] == state
        denied = await made.new_browser().log_in(app.url(state=state), decision="deny")
        assert denied.parameters["state"] == state
        assert "\n" not in done.left_for


async def test_no_state_brings_none_back() -> None:
    async with rig() as made:
        page = await made.browser.log_in((await made.register()).url(state=None))
        assert set(page.parameters) == {"code", "iss"}


async def test_redirect_keeps_its_own_query() -> None:
    async with rig() as made:
        app = await made.register("https://app.example/cb?tenant=a%20b&x")
        page = await made.browser.log_in(app.url())
        assert page.left_for.startswith("https://app.example/cb?tenant=a%20b&x&code=")


@pytest.mark.parametrize("uri", ["http://localhost/cb", "http://127.0.0.1:1/cb", "http://[::1]/cb"])
async def test_loopback_redirect_may_have_any_port(uri: str) -> None:
    async with rig() as made:
        app = await made.register(uri)
        parts = urlsplit(uri)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        asked = f"http://{host}:54321/cb"
        page = await made.browser.log_in(app.url(redirect_uri=asked))
        assert page.left_for.startswith(f"{asked}?code=")
        answer = await app.redeem(page.parameters["code"], redirect_uri=asked)
        assert answer.status_code == 200
        for evil in (f"http://{host}.evil:80/cb", f"http://{host}:80@evil/cb", f"http://{host}:54321/cb/x"):
            shown = await made.browser.open(app.url(redirect_uri=evil))
            assert (shown.answer.status_code, shown.left_for) == (400, "")


async def test_app_scheme_is_redirected_to() -> None:
    async with rig() as made:
        app = await made.register("cursor://anysphere.cursor-mcp/oauth/callback")
        page = await made.browser.log_in(app.url())
        assert page.left_for.startswith("cursor://anysphere.cursor-mcp/oauth/callback?code=")


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        pytest.param(RESOURCE, RESOURCE, id="as published"),
        pytest.param("https://gw.example:443/mcp", RESOURCE, id="with the default port"),
        pytest.param(f"{RESOURCE}/", RESOURCE, id="with a slash at the end"),
        pytest.param("HTTPS://GW.example/mcp", RESOURCE, id="in upper case"),
        pytest.param("urn:reports", RESOURCE, id="an alias"),
        pytest.param([RESOURCE, RESOURCE], RESOURCE, id="twice the same"),
        pytest.param([RESOURCE, f"{RESOURCE}/"], RESOURCE, id="two spellings of the same"),
        pytest.param(OTHER_RESOURCE, OTHER_RESOURCE, id="the other"),
    ],
)
async def test_resource_goes_to_the_issuer_as_published(asked: Any, sent: str) -> None:
    async with rig(resources=TWO) as made:
        page = await made.browser.open((await made.register()).url(resource=asked, scope=None))
        assert (await at_issuer(made, page))["resource"] == sent


async def test_two_resources_cannot_be_had_at_once_and_must_be_named() -> None:
    async with rig(resources=TWO) as made:
        app = await made.register()
        for named in ([RESOURCE, OTHER_RESOURCE], None, "https://gw.example/MCP"):
            page = await made.browser.open(app.url(resource=named))
            assert page.parameters["error"] == "invalid_target"


async def test_the_only_resource_need_not_be_named() -> None:
    async with rig() as made:
        page = await made.browser.open((await made.register()).url(resource=None))
        assert (await at_issuer(made, page))["resource"] == RESOURCE


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        pytest.param(None, USE, id="nothing: what basic use needs"),
        pytest.param(USE, USE, id="what basic use needs"),
        pytest.param(f"{ADMIN} {USE}", f"{ADMIN} {USE}", id="more, in its order"),
        pytest.param(f"{USE} {USE}", USE, id="twice the same"),
        pytest.param(ADMIN, ADMIN, id="only what a tool needs"),
        pytest.param("offline_access", USE, id="what Cognito refuses"),
        pytest.param(f"{USE} offline_access", USE, id="what Cognito refuses beside what is ours"),
        pytest.param("openid phone email profile", USE, id="what the issuer advertises"),
        pytest.param(f"openid {USE} aws.cognito.signin.user.admin", USE, id="what could change an account"),
        pytest.param("unknown", USE, id="what nobody knows"),
        pytest.param(f"{OTHER_RESOURCE}/use", USE, id="another resource's"),
    ],
)
async def test_scopes_are_trimmed_to_what_is_of_use(asked: str | None, sent: str) -> None:
    async with rig(resources=RULED) as made:
        page = await made.browser.open((await made.register()).url(scope=asked))
        assert (await at_issuer(made, page))["scope"] == sent
        for scope in sent.split():
            assert f"<code>{scope}</code>" in page.answer.text


@pytest.mark.parametrize(("kind", "least"), [("cognito", "openid"), ("other", None)])
async def test_where_no_scope_is_needed_the_issuer_is_asked_for_the_least_it_takes(kind: str, least: str) -> None:
    async with rig(resources=[{"path": "/mcp"}], facade={"kind": kind}) as made:
        app = await made.register()
        page = await made.browser.open(app.url(scope="email"))
        assert "It will be able to" not in page.answer.text
        assert (await at_issuer(made, page)).get("scope") == least
        tokens = await app.tokens()
        assert "scope" not in tokens


async def test_offline_access_goes_on_where_the_issuer_knows_it() -> None:
    async with rig(plain=True) as made:
        page = await made.browser.open((await made.register()).url(scope=f"{USE} offline_access"))
        assert "Stay logged in while you are away<code>offline_access</code>" in page.answer.text
        await made.browser.submit(page, decision="approve")
        assert made.way.asked("/authorize")[-1]["scope"] == f"{USE} offline_access"


async def test_the_issuer_is_asked_by_our_client_with_our_own_proof_and_sealed_state() -> None:
    async with rig() as made:
        app = await made.register()
        asked = await at_issuer(made, await made.browser.open(app.url()))
        flow = a_seal(made).open(STATE, asked["state"], Flow)
        assert asked == {
            "response_type": "code",
            "client_id": "gate",
            "redirect_uri": f"{PUBLIC}/oauth/callback",
            "scope": USE,
            "state": asked["state"],
            "code_challenge": s256(flow.verifier),
            "code_challenge_method": "S256",
            "resource": RESOURCE,
        }
        assert flow.verifier != VERIFIER
        assert len(flow.verifier) >= 43
        again = await at_issuer(made, await made.browser.open(app.url(prompt="consent")))
        assert again["code_challenge"] != asked["code_challenge"]


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: row.kind)
async def test_quirks_of_an_issuer_shape_the_request(row: Any) -> None:
    async with rig(facade={"kind": row.kind}) as made:
        made.issuer.metadata_server.hits = 0
        page = await made.browser.open((await made.register()).url(scope=f"{USE} offline_access"))
        asked = await at_issuer(made, page)
        assert asked.get("resource") == (RESOURCE if row.resource == "resource" else None)
        assert asked.get("audience") == (RESOURCE if row.resource == "audience" else None)
        assert ("offline_access" in asked["scope"].split()) is ("offline_access" not in row.drops)
        assert row.extra.items() <= asked.items()
        assert len(asked["scope"].split()) == len(set(asked["scope"].split()))


async def test_scopes_an_issuer_needs_are_added() -> None:
    async with rig(facade={"kind": "entra"}) as made:
        page = await made.browser.open((await made.register()).url())
        assert (await at_issuer(made, page))["scope"] == f"{USE} offline_access"


@pytest.mark.parametrize(
    ("issuer", "kind"),
    [
        ("https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_A", "cognito"),
        ("https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_A", "cognito"),
        ("https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_A", "cognito"),
        ("https://login.microsoftonline.com/tenant/v2.0", "entra"),
        ("https://sts.windows.net/tenant/", "entra"),
        ("https://contoso.ciamlogin.com/tenant/v2.0", "entra"),
        ("https://contoso.b2clogin.com/tenant/v2.0/", "entra"),
        ("https://example.eu.auth0.com/", "auth0"),
        ("https://dev-1.okta.com/oauth2/default", "okta"),
        ("https://dev-1.okta.com", "okta"),
        ("https://sso.example/realms/main", "keycloak"),
        ("http://localhost:8080/auth/realms/main", "keycloak"),
        ("https://sso.example/a/b/realms/main", "keycloak"),
        ("https://accounts.google.com", "google"),
        ("https://accounts.google.com.evil.example", "other"),
        ("https://cognito-idp.us-east-1.amazonaws.com.evil.example/x", "other"),
        ("https://dev-1.okta.com.evil.example", "other"),
        ("https://login.microsoftonline.com.evil.example/", "other"),
        ("https://contoso.ciamlogin.com.evil.example/", "other"),
        ("https://issuer.example", "other"),
    ],
)
def test_kind_of_an_issuer_is_told_from_its_identifier(issuer: str, kind: str) -> None:
    assert quirks_of(issuer).kind == kind
    assert quirks_of(issuer, "other") is OTHER
    assert quirks_of(issuer, "google").kind == "google"


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param(
            {"prompt": "login", "login_hint": "ada"}, {"prompt": "login", "login_hint": "ada"}, id="who, anew"
        ),
        pytest.param({"prompt": "consent"}, {}, id="consent, which is ours"),
        pytest.param({"prompt": "consent select_account"}, {"prompt": "select_account"}, id="consent and an account"),
        pytest.param({"prompt": "create made-up"}, {}, id="what not every issuer knows"),
        pytest.param({"login_hint": "a" * 999}, {"login_hint": "a" * MAX_HINT}, id="a long hint"),
    ],
)
async def test_what_a_client_says_of_the_login_goes_on(asked: dict[str, str], sent: dict[str, str]) -> None:
    """Or nobody could leave an account that the issuer still remembers."""
    async with rig() as made:
        app = await made.register()
        first = await at_issuer(made, await made.browser.open(app.url(**asked)))
        page = await made.browser.open(app.url(**asked))  # with the consent of before
        if not page.left_for and "consent" in page.form.fields:
            await made.browser.submit(page, decision="approve")
        for request in (first, made.way.asked("/oauth2/authorize")[-1]):
            assert {name: request[name] for name in ("prompt", "login_hint") if name in request} == sent


@pytest.mark.parametrize(("kind", "sent"), [("okta", "login"), ("google", "select_account"), ("other", None)])
async def test_an_issuer_is_sent_no_prompt_that_it_does_not_take(kind: str, sent: str | None) -> None:
    async with rig(facade={"kind": kind}) as made:
        page = await made.browser.open((await made.register()).url(prompt="login select_account"))
        assert (await at_issuer(made, page))["prompt"] == (sent or "login select_account")


async def test_what_a_client_says_of_the_login_outlives_a_page_of_another_browser() -> None:
    async with rig() as made:
        page = await made.browser.open((await made.register()).url(prompt="login"))
        other = made.new_browser()
        await other.submit(await other.submit(page, decision="approve"), decision="approve")
        assert made.way.asked("/oauth2/authorize")[-1]["prompt"] == "login"


async def test_no_page_is_shown_to_who_asks_for_none() -> None:
    async with rig() as made:
        app = await made.register()
        await made.browser.log_in(app.url())
        page = await made.browser.open(app.url(prompt="none"))
        assert (page.parameters["error"], page.parameters["iss"]) == ("login_required", PUBLIC)
        assert made.way.asked("/oauth2/authorize")[-1]["prompt"] == "none"


async def test_a_request_may_be_repeated_and_uses_nothing_up() -> None:
    async with rig() as made:
        app = await made.register()
        for _ in range(3):
            assert (await made.http.get(app.url())).status_code == 200  # a client that probes, without cookies
        first = await made.browser.open(app.url())
        await made.browser.open(app.url())
        page = await made.browser.submit(first, decision="approve")
        assert "password" in page.answer.text


@pytest.mark.parametrize("kind", ["DCR", "CIMD", "static"])
async def test_clients_of_every_kind_log_in(kind: str) -> None:
    async with rig() as made:
        document = made.documents.put("https://app.example/client.json")
        names = {"DCR": (await made.register(WEB)).client_id, "CIMD": document, "static": "known"}
        app = App(made, names[kind], WEB)
        tokens = await app.tokens()
        again = await app.refresh(tokens["refresh_token"])
        assert again.status_code == 200
        assert (await app.revoke(again.json()["refresh_token"])).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_only_get_is_answered(method: str) -> None:
    async with rig() as made:
        for path in ("/oauth/authorize", "/oauth/callback"):
            answer = await made.http.request(method, f"{PUBLIC}{path}")
            assert answer.status_code == 405
            assert "GET" in answer.headers["allow"]


async def test_an_issuer_without_a_login_is_a_server_error() -> None:
    async with rig() as made:
        document = made.issuer.metadata()
        del document["authorization_endpoint"]
        made.issuer.metadata_server.body = msgspec.json.encode(document)
        page = await made.browser.log_in((await made.register()).url())
        assert page.parameters["error"] == "server_error"


async def test_a_login_endpoint_with_a_query_of_its_own_keeps_it() -> None:
    async with rig() as made:
        document = made.issuer.metadata()
        document["authorization_endpoint"] += "?policy=b2c"
        made.issuer.metadata_server.body = msgspec.json.encode(document)
        page = await made.browser.open((await made.register()).url())
        assert (await at_issuer(made, page))["policy"] == "b2c"


async def test_scripts_of_other_origins_cannot_read_the_page() -> None:
    async with rig() as made:
        app = await made.register()
        answer = await made.http.get(app.url(), headers={"origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        answer = await made.http.options(
            f"{PUBLIC}/oauth/consent",
            headers={"origin": "https://evil.example", "access-control-request-method": "POST"},
        )
        assert answer.status_code == 405


async def test_redirect_is_not_sent_on_with_the_address_of_this_page() -> None:
    async with rig() as made:
        page = await made.browser.open(App(made, "known", WEB).url(response_type="token"))
        assert page.answer.headers["referrer-policy"] == "no-referrer"


async def test_a_parameter_of_a_hundred_kilobytes_is_no_500() -> None:
    async with rig() as made:
        app = await made.register()
        for name in ("client_id", "redirect_uri", "state", "scope", "resource", "code_challenge", "prompt", "x"):
            answer = await made.http.get(app.url(**{name: "a" * 50_000}))
            assert answer.status_code < 500, name


async def test_query_is_decoded_strictly_and_once() -> None:
    async with rig() as made:
        evil = quote(quote("https://evil.example/", safe=""), safe="")
        answer = await made.http.get(f"{PUBLIC}/oauth/authorize?client_id=known&redirect_uri={evil}")
        assert answer.status_code == 400
        assert dict(parse_qsl(urlsplit(REDIRECT).query)) == {}


async def test_a_gate_without_an_audit_log_answers_all_the_same() -> None:
    async with rig() as made:
        made.audited = False
        await made.replace()
        page = await made.browser.open(App(made, "unknown").url())
        assert page.answer.status_code == 400
        assert made.lines == []
