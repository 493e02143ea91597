"""What a server or an issuer means as an attack, or got wrong, ends in one sentence or is passed over."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.types import ElicitRequestFormParams, Tool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from client.account import principal, status
from client.ask import Declined, completed, value_of
from client.commands import _tool_row
from client.complete import suggestions
from client.elicitation import elicit
from client.errors import ClientError, Misbehaved, NotAuthorized, Unreachable
from client.find import covers
from client.outbound import Outbound
from client.output import Output
from client.schema import kind_of
from client.server import Server
from client.tokens import Login
from tests.client.world import ASM, PRM, World
from tests.served import served

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMING = ("enum", "const", "anyOf", "oneOf", "allOf", "$ref")
MEMBERS = (*NAMING, "properties", "required", "type", "description", "title", "format", "writeOnly")
REFERENCES = st.sampled_from(["#/properties/a", "#/properties/a/anyOf/0", "#/", "#"])
SCHEMAS = st.dictionaries(
    st.sampled_from(MEMBERS),
    ANYTHING | st.dictionaries(st.just("a"), st.dictionaries(st.sampled_from(MEMBERS), ANYTHING | REFERENCES)),
)


class Unwilling:
    """A person who answers no question."""

    async def ask(self, question: str, *, secret: bool = False) -> str:
        del secret
        assert "\x1b" not in question
        raise Declined("no")


@given(SCHEMAS)
def test_tool_of_any_schema_can_be_listed_and_completed(schema: dict[str, Any]) -> None:
    tool = Tool(name="t", input_schema=schema)
    assert len(_tool_row(tool)) == 3
    for text in ("call-tool t {", 'call-tool t {"a": ', 'call-tool t {"a": t'):
        assert isinstance(list(suggestions(text, {}, [tool])), list)


@given(SCHEMAS)
async def test_arguments_of_any_schema_can_be_asked_for(schema: dict[str, Any]) -> None:
    with contextlib.suppress(Declined):
        await completed(schema, {}, Unwilling())
    form = ElicitRequestFormParams(message="Who?", requested_schema={"type": "object", "properties": {}, **schema})
    silent = Output(out=io.StringIO(), err=io.StringIO())
    assert (await elicit(form, Unwilling(), silent)).action in ("accept", "cancel")


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "integer"}, "integer"),
        ({"type": ["null", "integer"]}, "integer"),
        ({"anyOf": [{"type": "null"}, 7, {"type": "integer"}]}, "integer"),
        ({"oneOf": [{"type": "integer"}, {"type": "null"}]}, "integer"),
        ({}, ""),
    ],
)
def test_argument_that_may_be_null_has_its_other_type(schema: dict[str, Any], kind: str) -> None:
    assert kind_of(schema) == kind
    assert value_of("7", schema) == (7 if kind else "7")


def test_choice_is_sent_as_the_schema_has_it() -> None:
    assert value_of("2", {"enum": [1, 2]}) == 2


def everywhere(answer: Callable[[Request], Response]) -> Starlette:
    """A server with one answer to everything."""
    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


def claiming(payload: str) -> Login:
    part = base64.urlsafe_b64encode(payload.encode()).decode().rstrip("=")
    return Login(issuer="i", resource="r", client_id="c", access_token=f"h.{part}.s", obtained_at=0)


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        ('{"username": "a\\n\\u001b[2JLogged in as root"}', "a\\n\\x1b[2JLogged in as root"),
        (json.dumps({"sub": "x" * 1000}), "x" * 50),
        ("[" * 100_000, "somebody (the token does not say)"),
        ("[]", "somebody (the token does not say)"),
    ],
    ids=["lines", "long", "deep", "list"],
)
def test_principal_of_a_token_is_one_short_line(payload: str, shown: str) -> None:
    assert principal(claiming(payload)) == shown


@pytest.mark.parametrize("lifetime", [10**400, 10**17, -5], ids=["no float", "no clock", "past"])
async def test_lifetime_that_no_clock_can_show_is_borne(here: World, lifetime: int) -> None:
    here.authority.token = lambda _form: Response(
        f'{{"access_token": "x", "token_type": "Bearer", "expires_in": {lifetime}}}', media_type="application/json"
    )
    auth = here.auth()
    code, happened = await here.get(auth)
    assert code == 200 or isinstance(happened.refusal, Misbehaved)
    if code == 200:
        assert str(status(Server(auth.settings, here.vault, None))["expires"]).startswith("at 19")


@pytest.mark.parametrize(
    ("documents", "refusal"),
    [
        ({f"{PRM}/mcp": Response(status_code=503)}, Unreachable),
        ({f"{PRM}/mcp": Response(b"x" * 300_000)}, Unreachable),
        ({f"{PRM}/mcp": Response("no JSON")}, Misbehaved),
        ({ASM: Response("[]")}, Misbehaved),
        ({ASM: JSONResponse({"issuer": "https://elsewhere.example.com"})}, Misbehaved),
        ({ASM: Response(status_code=503)}, Unreachable),
    ],
    ids=["metadata later", "metadata huge", "metadata no JSON", "issuer no object", "issuer foreign", "issuer later"],
)
async def test_documents_that_cannot_be_used_end_the_login(
    here: World, documents: dict[str, Response], refusal: type[ClientError]
) -> None:
    here.server.challenge, here.server.places = "", ()

    def answer(request: Request) -> Response:
        path = request.url.path
        return documents.get(path) or Response(status_code=401 if path == "/mcp" else 404)

    async with served(everywhere(answer)) as here.server.origin:
        _, happened = await here.get(here.auth(auth_method="oauth"))
    assert type(happened.refusal) is refusal
    assert here.person is not None
    assert here.person.urls == []


async def test_issuer_that_publishes_nothing_is_said_to(here: World) -> None:
    here.server.resource["authorization_servers"] = [here.server.origin]
    _, happened = await here.get(here.auth())
    assert isinstance(happened.refusal, NotAuthorized)
    assert "publishes nothing" in str(happened.refusal)


async def test_metadata_that_redirects_is_as_if_it_were_not_there(here: World) -> None:
    here.server.challenge, here.server.places = "", ()
    here.authority.metadata["issuer"] = here.server.origin

    def answer(request: Request) -> Response:
        path = request.url.path
        return Response(status_code=401) if path == "/mcp" else RedirectResponse(f"{here.authority.origin}{path}")

    async with served(everywhere(answer)) as here.server.origin:
        await here.get(here.auth(auth_method="oauth"))
    assert ASM not in [path for path, _ in here.authority.seen]


def test_resource_that_is_no_url_covers_nothing() -> None:
    assert not covers("no url", "https://mcp.example.com/mcp")


async def test_second_address_of_a_host_is_tried_when_the_first_does_not_answer(here: World) -> None:
    async def both(_host: str, _port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]  # on the first nobody listens

    port = here.authority.origin.rsplit(":", 1)[1]
    outbound = Outbound(allow_hosts=frozenset({"localhost"}), resolver=both)
    answer = await outbound.send(httpx2.Request("POST", f"http://localhost:{port}/revoke", data={"token": "x"}))
    assert answer.status_code == 200


@pytest.mark.parametrize("member", ["token_endpoint", "registration_endpoint", "revocation_endpoint"])
@pytest.mark.parametrize("endpoint", ["http://[", "x", "https://a b/", "https://\x1b/", "//", 7, "http://h:99999/"])
async def test_endpoint_that_is_no_url_ends_in_a_sentence(here: World, member: str, endpoint: object) -> None:
    here.authority.metadata[member] = endpoint
    auth = here.auth()
    _, happened = await here.get(auth)
    assert happened.refusal is None or "\x1b" not in str(happened.refusal)
    if happened.refusal is None:
        assert await Server(auth.settings, here.vault, None).log_out() is not None
