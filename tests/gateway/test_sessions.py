"""Sealed sessions: whose they are is told from the id alone, and what is not theirs never reaches the upstream."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.principal import Principal
from gateway.session_key import SessionKey
from gateway.sessions import SealedSessions, is_stateless
from gateway.settings import Settings
from gateway.sources import parse

KEY, OLD, OTHER = b"k" * 32, b"o" * 32, b"x" * 32
RESOURCE = "https://gw.example/mcp"
SESSION = b"0123456789abcdef0123456789abcdef"


def principal(subject: str = "alice", issuer: str = "https://issuer.example", **more: object) -> Principal:
    facts = {"client_id": "client-one", "scopes": frozenset(), "groups": frozenset(), "expires_at": 1e12} | more
    return Principal(issuer=issuer, subject=subject, **facts)  # type: ignore[arg-type]


ALICE = principal()


@dataclass
class Upstream:
    """A server that gives everybody a session, or none, and remembers what it was asked."""

    session: bytes | None = SESSION
    scopes: list[Scope] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert callable(receive)
        self.scopes.append(scope)
        headers = [(b"content-length", b"0")]
        if self.session is not None:
            headers.append((b"mcp-session-id", self.session))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    @property
    def given(self) -> list[bytes]:
        """The session ids of the last request."""
        return [value for name, value in self.scopes[-1]["headers"] if name == b"mcp-session-id"]


async def no_body() -> Message:
    return {"type": "http.request", "body": b""}


async def ask(
    app: SealedSessions, who: Principal = ALICE, *fields: tuple[bytes, bytes], method: str = "POST"
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the answer to a request."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "headers": list(fields), "state": {"principal": who}}
    await app(scope, no_body, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


async def opened(app: SealedSessions, who: Principal = ALICE) -> bytes:
    """The session id that a principal is given."""
    _, headers, _ = await ask(app, who)
    return headers[b"mcp-session-id"]


def settings_for(path: str) -> Settings:
    resource = {"path": path, "upstream": {"url": "http://127.0.0.1:1/mcp"}}
    return parse(
        {"public_url": "https://gw.example", "issuers": [{"issuer": "https://issuer.example"}], "resources": [resource]}
    )


def sealing(app: ASGIApp, *keys: bytes, resource: str = "/mcp", log: list[bytes] | None = None) -> SealedSessions:
    settings = settings_for(resource)
    write = None if log is None else log.append
    return SealedSessions(app, keys or (KEY,), settings, settings.resources[0], audit=write)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_owner_comes_back_to_the_session(method: str) -> None:
    upstream = Upstream()
    app = sealing(upstream)
    sealed = await opened(app)
    assert SESSION not in sealed
    assert re.fullmatch(rb"[\x21-\x7E]+", sealed)
    status, headers, _ = await ask(app, ALICE, (b"mcp-session-id", sealed), (b"accept", b"*/*"), method=method)
    assert status == 200
    assert upstream.given == [SESSION]
    assert (b"accept", b"*/*") in upstream.scopes[-1]["headers"]
    assert headers[b"mcp-session-id"] == sealed, "an id that is repeated stays the same"


async def test_fresh_token_of_the_owner_through_another_client_carries_on() -> None:
    upstream = Upstream()
    app = sealing(upstream)
    sealed = await opened(app)
    fresh = principal(client_id="client-two", scopes=frozenset({"more"}), expires_at=2e12)
    assert (await ask(app, fresh, (b"mcp-session-id", sealed)))[0] == 200
    assert upstream.given == [SESSION]


@pytest.mark.parametrize(
    "thief",
    [
        pytest.param(principal("bob"), id="another subject"),
        pytest.param(principal(issuer="https://other.example"), id="the same subject of another issuer"),
        pytest.param(principal(is_client=True), id="a machine of that name"),
        pytest.param(principal("", issuer="https://issuer.examplealice"), id="the parts joined elsewhere"),
    ],
)
async def test_session_of_another_principal_is_unknown(thief: Principal) -> None:
    upstream = Upstream()
    app = sealing(upstream)
    sealed = await opened(app)
    status, headers, body = await ask(app, thief, (b"mcp-session-id", sealed))
    never = await ask(app, thief, (b"mcp-session-id", b"never-opened"))
    assert (status, headers, without_id(body)) == (404, never[1], without_id(never[2]))
    assert len(upstream.scopes) == 1, "no request but the first has reached the upstream"


async def test_session_of_another_resource_is_unknown() -> None:
    upstream = Upstream()
    sealed = await opened(sealing(Upstream(), resource="/other"))
    assert (await ask(sealing(upstream), ALICE, (b"mcp-session-id", sealed)))[0] == 404
    assert upstream.scopes == []


def without_id(body: bytes) -> object:
    """The error of an answer, but for the id of the refusal."""
    error = json.loads(body)["error"]
    return error["code"], error["message"], list(error["data"])


async def test_refused_session_is_found_in_the_audit_log_by_the_id_in_its_answer() -> None:
    log: list[bytes] = []
    _, _, body = await ask(sealing(Upstream(), log=log), ALICE, (b"mcp-session-id", b"made-up"))
    line = json.loads(log[0])
    assert line["id"] == json.loads(body)["error"]["data"]["refusal"]
    assert (line["reason"], line["status"], line["resource"]) == ("unknown_session", 404, RESOURCE)
    assert (line["subject"], line["client"]) == ("alice", "client-one")
    assert b"made-up" not in log[0]


@pytest.mark.parametrize(
    "session",
    [
        pytest.param(SESSION, id="the upstream's own id"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"a", id="no Base64"),
        pytest.param(b"YQ", id="too short for a nonce"),
        pytest.param(b"%%%%", id="other characters"),
        pytest.param("é".encode(), id="not ASCII"),
        pytest.param(base64.urlsafe_b64encode(b"\0" * 60), id="made up"),
    ],
)
async def test_forged_session_is_unknown(session: bytes) -> None:
    upstream = Upstream()
    status, headers, body = await ask(sealing(upstream), ALICE, (b"mcp-session-id", session))
    assert status == 404
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"content-length"] == b"%d" % len(body)
    assert b"send initialize" in body
    assert upstream.scopes == []


async def test_every_change_of_an_id_makes_it_unknown() -> None:
    upstream = Upstream()
    app = sealing(upstream)
    sealed = await opened(app)
    changed: Iterable[bytes] = [
        *(sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :] for i in range(len(sealed))),
        *(sealed[:i] for i in range(len(sealed))),
        sealed + b"=",
        sealed + b"A",
        sealed + b"\n",
        b" " + sealed,
        sealed.replace(b"-", b"+").replace(b"_", b"/") + b"==",
    ]
    assert {(await ask(app, ALICE, (b"mcp-session-id", each)))[0] for each in changed} == {404}
    assert len(upstream.scopes) == 1


async def test_key_that_no_longer_seals_still_opens() -> None:
    upstream = Upstream()
    sealed = await opened(sealing(upstream, OLD))
    rotated = sealing(upstream, KEY, OLD)
    assert (await ask(rotated, ALICE, (b"mcp-session-id", sealed)))[0] == 200
    assert await opened(rotated) != sealed
    assert (await ask(sealing(upstream, KEY), ALICE, (b"mcp-session-id", sealed)))[0] == 404
    assert (await ask(sealing(upstream, OTHER, OLD), ALICE, (b"mcp-session-id", sealed)))[0] == 200


async def test_request_without_a_session_passes_and_an_answer_without_one_is_not_touched() -> None:
    upstream = Upstream(session=None)
    assert await ask(sealing(upstream), ALICE, (b"accept", b"*/*")) == (200, {b"content-length": b"0"}, b"")
    assert upstream.scopes[0]["headers"] == [(b"accept", b"*/*")]


async def test_long_ids_stay_usable() -> None:
    upstream = Upstream(session=bytes(range(0x21, 0x7F)) * 6)  # 564 bytes
    app = sealing(upstream)
    sealed = await opened(app)
    assert len(sealed) < 1000
    assert (await ask(app, ALICE, (b"mcp-session-id", sealed)))[0] == 200
    assert upstream.given == [upstream.session]


async def test_revision_without_sessions_has_its_junk_ignored() -> None:
    upstream = Upstream(session=None)
    fields = ((b"mcp-protocol-version", b"2026-07-28"), (b"mcp-session-id", b"junk"))
    assert (await ask(sealing(upstream), ALICE, *fields))[0] == 200
    assert upstream.given == []


@pytest.mark.parametrize(
    ("version", "stateless"),
    [
        (None, False),
        (b"2025-11-25", False),
        (b"2026-07-28", True),
        (b"2027-01-01", True),
        (b"zzz", False),
        (b"2026-07-28x", False),
    ],
)
def test_revisions_without_sessions_are_told_by_their_date(version: bytes | None, stateless: bool) -> None:
    assert is_stateless(version) is stateless


async def test_lifespan_passes() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - the shape of an ASGI app
        seen.append(scope["type"])

    async def send(_: Message) -> None: ...

    await sealing(app)({"type": "lifespan"}, no_body, send)
    assert seen == ["lifespan"]


@pytest.mark.parametrize("keys", [pytest.param([], id="no key"), pytest.param([b"short"], id="a short key")])
def test_keys_that_seal_nothing_are_refused(keys: list[bytes]) -> None:
    settings = settings_for("/mcp")
    with pytest.raises(ValueError, match="key"):
        SealedSessions(Upstream(), keys, settings, settings.resources[0])


@given(st.binary(max_size=300), st.binary(max_size=100), st.binary(max_size=100))
def test_what_is_sealed_opens_for_the_same_and_for_nothing_else(session: bytes, bound: bytes, other: bytes) -> None:
    key = SessionKey(KEY)
    raw = base64.urlsafe_b64decode(key.seal(session, bound) + b"==")
    assert key.open(raw, bound) == session
    assert (key.open(raw, other) == session) is (other == bound)
    assert SessionKey(OTHER).open(raw, bound) is None


@given(st.binary(max_size=200))
async def test_whatever_a_stranger_sends_is_refused_and_never_a_fault(session: bytes) -> None:
    upstream = Upstream()
    assert (await ask(sealing(upstream), ALICE, (b"mcp-session-id", session)))[0] == 404
    assert upstream.scopes == []
