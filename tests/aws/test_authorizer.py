"""The Lambda authorizer: the gate's verifier, unauthorized and denied apart, no answer that outlives its token."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from starlette.types import Receive, Scope, Send

from conformance.issuer import Issuer
from deploy import authorizer as module
from deploy.authorizer import Authorizer, KeysMissing, Unauthorized, authorizations, authorizer, without_secrets
from discovery.fetch import Fetch
from gateway.errors import MissingToken
from gateway.sources import SettingsError, parse
from tests.aws.authorizers import Authorized, gateway_responses
from tests.aws.front_doors import HTTP_API, REST_API
from tests.aws.local import Context
from tests.gated import CLIENT, PUBLIC, RESOURCE, gated, plain_issuer

RESPONSES = {"/mcp": gateway_responses(PUBLIC)}
KINDS = pytest.mark.parametrize("kind", [REST_API, HTTP_API])
VALUES: dict[str, Any] = {
    "public_url": PUBLIC,
    "resources": [{"path": "/mcp", "scopes": ["mcp:use"]}, {"path": "/more", "scopes": ["more"], "subpaths": True}],
}


def event(kind: str, token: str | None, path: str = "/mcp", stage: str = "prod") -> dict[str, Any]:
    """What API Gateway asks an authorizer."""
    headers = {"Host": "gw.example"} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    if kind == HTTP_API:
        http = {"method": "POST", "path": f"/{stage}{path}"}
        context = {"stage": stage, "http": http}
        return {"version": "2.0", "rawPath": f"/{stage}{path}", "headers": headers, "requestContext": context}
    multiple = {name: [value] for name, value in headers.items()}
    common = {"type": "REQUEST", "httpMethod": "POST", "path": path, "headers": headers, "multiValueHeaders": multiple}
    return common | {"requestContext": {"stage": stage}}


@dataclass
class Made:
    issuer: Issuer
    audit: list[bytes]
    one: Authorizer

    def ask(self, event: dict[str, Any]) -> dict[str, Any]:
        return self.one(event, None)

    def token(self, scopes: tuple[str, ...] = ("mcp:use",), **claims: Any) -> str:
        return self.issuer.token("alice", CLIENT, scopes, RESOURCE, claims=claims)


def made(*, resources: int = 2, **options: Any) -> Made:
    issuer = plain_issuer()
    values = VALUES | {"resources": VALUES["resources"][:resources]}
    settings = parse(values | {"issuers": [{"issuer": issuer.url, "token_type": "at+jwt"}]})
    audit: list[bytes] = []
    one = Authorizer(settings, audit=audit.append, now=issuer.clock.now, **options)
    document = json.dumps(issuer.keys.document()).encode()
    for resource in settings.resources:
        gate = one._gates.at(resource.path)
        assert gate is not None
        gate.verifier.issuers[issuer.url].keys.begin_with(document)
    return Made(issuer, audit, one)


@pytest.fixture
def it() -> Iterator[Made]:
    started = made()
    yield started
    started.one.close()


@KINDS
def test_good_token_goes_on_with_strings_about_its_principal(it: Made, kind: str) -> None:
    answer = it.one(event(kind, it.token(("mcp:use", "a"))), None)
    context = answer["context"]
    assert context.pop("subject")
    assert context == {"issuer": it.issuer.url, "client": CLIENT, "scopes": "a mcp:use"}
    if kind == HTTP_API:
        assert answer["isAuthorized"] is True
    else:
        assert answer["policyDocument"]["Statement"] == [
            {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*"}
        ]


@KINDS
@pytest.mark.parametrize("what", ["none", "any bearer", "expired", "tampered", "another resource", "several"])
def test_bad_token_is_unauthorized_to_the_letter(it: Made, kind: str, what: str) -> None:
    tokens = {
        "none": None,
        "any bearer": "any-bearer",
        "expired": it.token(exp=it.issuer.clock.now() - 60),
        "tampered": it.token()[:-4] + "AAAA",
        "another resource": it.token(aud="https://other.example/mcp"),
        "several": f"{it.token()},Bearer {it.token()}",
    }
    with pytest.raises(Unauthorized) as caught:
        it.one(event(kind, tokens[what]), None)
    assert str(caught.value) == "Unauthorized"
    assert caught.value.__suppress_context__, "no refusal in the trace that the runtime prints"
    assert json.loads(it.audit[-1])["decision"] == "refused"
    assert not any(token and token.encode() in b"".join(it.audit) for token in tokens.values())


@KINDS
@pytest.mark.parametrize("path", ["/mcp", "/elsewhere", "/more/below"])
def test_good_token_without_the_scope_or_for_no_resource_is_denied(it: Made, kind: str, path: str) -> None:
    answer = it.one(event(kind, it.token(("other",)), path), None) if path != "/more/below" else None
    if answer is None:
        with pytest.raises(Unauthorized):  # for another audience
            it.one(event(kind, it.token(), path), None)
    elif kind == HTTP_API:
        assert answer == {"isAuthorized": False}
    else:
        assert answer["policyDocument"]["Statement"][0]["Effect"] == "Deny"


def test_http_api_is_denied_where_raising_is_switched_off() -> None:
    it = made(raises=False)
    assert it.one(event(HTTP_API, None), None) == {"isAuthorized": False}
    with pytest.raises(Unauthorized):
        it.one(event(REST_API, None), None)
    it.one.close()


def test_missing_keys_are_not_the_callers_doing() -> None:
    settings = parse({"public_url": PUBLIC, "issuers": [{"issuer": "https://127.0.0.1:9", "token_type": "at+jwt"}]})
    issuer = Issuer.plain("https://127.0.0.1:9", users=[], resources=[RESOURCE], keys=plain_issuer().keys)
    one = Authorizer(settings, now=issuer.clock.now)
    with pytest.raises(KeysMissing):
        one(event(REST_API, issuer.token(None, CLIENT, ["mcp:use"], RESOURCE)), None)
    one.close()


def test_fetch_of_keys_is_not_frozen_with_the_instance(it: Made) -> None:
    """Its time would run out before the next invocation, and keys that the issuer has withdrawn be used for a day."""
    assert it.one(event(REST_API, it.token()), None)["context"]
    gate = it.one._gates.at("/mcp")
    assert gate is not None
    keys = gate.verifier.issuers[it.issuer.url].keys
    assert keys._flight is None
    assert keys.failure, "the issuer is nowhere, and that is known now"


def test_fetch_of_keys_is_not_waited_for_when_the_time_is_over_and_ends_with_the_instance() -> None:
    async def network(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.Event().wait()

    hosts = frozenset({"issuer.example"})
    it = made(fetch=Fetch(allow_hosts=hosts, transport=lambda: httpx.ASGITransport(network)))
    assert it.one(event(REST_API, it.token()), Context(milliseconds=600))["context"]
    (fetching,) = asyncio.all_tasks(it.one._loop)
    it.one.close()
    assert fetching.cancelled()


@pytest.mark.parametrize(("left", "goes_on"), [(302, True), (299, False), (-10, False)])
def test_token_is_refused_that_an_answer_in_the_cache_would_outlive(left: float, goes_on: bool) -> None:
    it = made(cache_seconds=300, resources=1)
    asked = event(REST_API, it.token(exp=it.issuer.clock.now() + left))
    if goes_on:
        assert it.one(asked, None)["context"]
    else:
        with pytest.raises(Unauthorized):
            it.one(asked, None)
    it.one.close()


def test_two_authorization_headers_are_both_seen(it: Made) -> None:
    asked = event(REST_API, it.token())
    asked["multiValueHeaders"]["Authorization"] *= 2
    assert len(authorizations(asked)) == 2
    with pytest.raises(Unauthorized):
        it.one(asked, None)


@KINDS
async def test_expired_token_is_refused_everywhere_though_the_answer_is_cached(kind: str) -> None:
    it = made(cache_seconds=300, resources=1)
    async with gated(it.issuer) as gate:
        door = Authorized(gate.gate, kind, it.ask, ttl=300, responses=RESPONSES, now=it.issuer.clock.now)
        transport = httpx.ASGITransport(door)
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as client:
            token = it.token(exp=it.issuer.clock.now() + 650)

            async def status() -> int:
                headers = {"authorization": f"Bearer {token}"}
                return (await client.post("/mcp", headers=headers, json={})).status_code

            assert [await status(), await status(), door.invoked] == [200, 200, 1]
            assert door.context["scopes"] == "mcp:use"
            it.issuer.clock.move(299)
            assert [await status(), door.invoked] == [200, 1], "from the cache"
            it.issuer.clock.move(2)
            assert [await status(), door.invoked] == [200, 2], "349 s left, longer than the cache lives"
            it.issuer.clock.move(301)
            assert [await status(), door.invoked] == [401, 3], "48 s left: nothing that could outlive it"
            it.issuer.clock.move(100)
            assert await status() == 401
    await asyncio.to_thread(it.one.close)


@pytest.mark.parametrize(
    ("kind", "understood", "raises", "status"),
    [
        pytest.param(REST_API, True, True, 401, id="REST API"),
        pytest.param(HTTP_API, True, True, 401, id="HTTP API that understands"),
        pytest.param(HTTP_API, False, True, 500, id="HTTP API that does not"),
        pytest.param(HTTP_API, False, False, 403, id="HTTP API that does not, and is not asked to"),
        pytest.param(HTTP_API, True, False, 403, id="HTTP API that would, and is not asked to"),
    ],
)
async def test_bad_token_at_each_door(kind: str, understood: bool, raises: bool, status: int) -> None:
    it = made(raises=raises)
    async with gated(it.issuer) as gate:
        door = Authorized(gate.gate, kind, it.ask, responses=RESPONSES, understands_raise=understood)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url=PUBLIC) as client:
            assert (await client.post("/mcp", json={})).status_code == 401
            assert door.invoked == 0, "without an identity source nobody is asked"
            refused = await client.post("/mcp", headers={"authorization": "Bearer x"}, json={})
            assert refused.status_code == status
            assert ("www-authenticate" in refused.headers) == (kind == REST_API)
            denied = await client.post("/mcp", headers={"authorization": f"Bearer {it.token(('other',))}"}, json={})
            assert denied.status_code == 403
            assert (await client.get("/.well-known/oauth-protected-resource/mcp")).status_code == 200
    await asyncio.to_thread(it.one.close)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"AUTHORIZER_CACHE_SECONDS": "3601"}, "AUTHORIZER_CACHE_SECONDS: must be whole seconds from 0 to 3600"),
        ({"AUTHORIZER_CACHE_SECONDS": "soon"}, "AUTHORIZER_CACHE_SECONDS: must be whole seconds"),
        ({"AUTHORIZER_CACHE_SECONDS": "60"}, "AUTHORIZER_CACHE_SECONDS: must be 0 with several resources"),
        ({"AUTHORIZER_RAISES": "perhaps"}, "AUTHORIZER_RAISES: must be on or off"),
        ({"BEARERGATE_LEEWAY": "7000"}, "leeway: must be"),
    ],
)
def test_settings_that_cannot_be_used_are_sentences(tmp_path: Path, changed: dict[str, str], sentence: str) -> None:
    file = tmp_path / "bearergate.yaml"
    file.write_text(yaml.safe_dump(VALUES | {"issuers": [{"issuer": "https://issuer.example"}]}))
    with pytest.raises(SettingsError, match=sentence):
        authorizer(changed, str(file))


def test_no_secret_of_the_gate_is_needed() -> None:
    values = {
        "facade": {"client_secret_file": "aws:ssm:/x"},
        "seal_keys_file": "aws:ssm:/y",
        "identity_key_file": "aws:ssm:/i",
        "resources": [{"path": "/mcp", "upstream": {"url": "u", "credential": {"file": "aws:ssm:/z"}}}, "odd"],
    }
    assert without_secrets(values) == {"resources": [{"path": "/mcp"}, "odd"]}
    assert without_secrets({"resources": "odd"}) == {"resources": "odd"}


async def test_nothing_stands_behind_an_authorizer() -> None:
    with pytest.raises(MissingToken):
        await module.nothing({"type": "http"}, asyncio.Event().wait, asyncio.Event().wait)  # type: ignore[arg-type]


def test_handler_is_made_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    file = tmp_path / "bearergate.yaml"
    file.write_text(yaml.safe_dump({"public_url": PUBLIC, "issuers": []}))
    monkeypatch.setenv("BEARERGATE_FILE", str(file))
    with pytest.raises(SystemExit, match="bearergate: issuers: name at least one issuer"):
        _ = module.handler
    with pytest.raises(AttributeError):
        _ = module.no_handler
    settings = {"public_url": PUBLIC, "issuers": [{"issuer": "https://issuer.example"}], "audit_log": "off"}
    file.write_text(yaml.safe_dump(settings))
    one = module.handler
    assert module.handler is one
    one.close()
    one.close()  # as at the end of the process
    monkeypatch.delattr(module, "handler")
    root.handlers[:] = handlers
    root.setLevel(level)
