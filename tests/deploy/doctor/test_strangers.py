"""Whatever a server answers, there is a report and no traceback; nothing in it moves a cursor or shows the token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conformance.wire import Answer
from deploy.doctor.asking import Asker, Header, home_of
from deploy.doctor.claims import in_words, read_claims, span
from deploy.doctor.clients import verdicts
from deploy.doctor.examination import walk
from deploy.doctor.output import Text, as_data
from deploy.doctor.visit import CannotExamine, Question, Visit
from tests.deploy.doctor.server import jwt

URL = "http://localhost:8000/mcp"
TOKEN = jwt(iss="https://a.example", aud=URL, exp=1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
URLS = st.sampled_from(
    [
        URL,
        f"{URL}/",
        "http://localhost:8000",
        "https://[::1",
        "//[",
        "/x",
        "https://a.example/\x00",
        "http://a.example",
        "",
    ]
)
MEMBERS = {
    name: JSON | URLS | st.lists(URLS | JSON, max_size=3)
    for name in (
        "resource", "authorization_servers", "scopes_supported", "issuer", "authorization_endpoint", "token_endpoint",
        "registration_endpoint", "response_types_supported", "code_challenge_methods_supported", "error", "result",
        "token_endpoint_auth_methods_supported", "supportedVersions", "protocolVersion", "message",
    )
}  # fmt: skip
DOCUMENTS = st.fixed_dictionaries({}, optional=MEMBERS) | JSON
BODIES = st.binary(max_size=60) | DOCUMENTS.map(lambda document: json.dumps(document).encode())
CHALLENGES = st.text(alphabet=st.characters(max_codepoint=255), max_size=60) | st.builds(
    "Bearer {}, resource_metadata={}".format,
    st.sampled_from(['scope="a"', "error=x", 'x="', ",", 'realm="\\"']),
    URLS.map(lambda url: f'"{url}"') | URLS,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            "content-type", "location", "date", "server", "access-control-allow-origin", "mcp-session-id",
            "access-control-allow-headers", "access-control-expose-headers", "x-amzn-remapped-www-authenticate",
        ]
    ),
    st.sampled_from(["application/json", "text/html", "text/event-stream", "*", URL, "Mon, 01 Jan 2001 00:00:00 GMT"])
    | st.text(alphabet=st.characters(max_codepoint=255), max_size=30),
    max_size=5,
)  # fmt: skip
STATUSES = st.sampled_from([0, 200, 200, 200, 204, 301, 400, 401, 401, 403, 404, 405, 500])
REPLIES = st.tuples(STATUSES, FIELDS, st.lists(CHALLENGES, max_size=2), BODIES)


class Stranger(Asker):
    """A server that answers in turn what it was told, beginning again at the end."""

    def __init__(self, replies: list[tuple[int, dict[str, str], list[str], bytes]]) -> None:
        super().__init__(home_of(URL), secret=TOKEN)
        self.replies = replies
        self.count = -1

    async def ask(
        self,
        method: str,
        url: str,
        headers: Iterable[Header] = (),
        body: bytes = b"",
        **_: Any,
    ) -> Answer:
        self.permitted(url)
        self.count += 1
        status, fields, challenges, said = self.replies[self.count % len(self.replies)]
        several = [*fields.items(), *(("www-authenticate", challenge) for challenge in challenges)]
        note = "" if status else "no complete answer within 4 s"
        return Answer(method, url, tuple(headers), body, status, tuple(several), said, note=note)


def report(replies: list[tuple[int, dict[str, str], list[str], bytes]], **asked: Any) -> str:
    question = Question(URL, **asked)
    visit = Visit(question, home_of(URL), Stranger(replies))
    try:
        asyncio.run(walk(visit))
    except CannotExamine as why:
        return str(why)
    assert len(verdicts(visit)) > 5
    json.dumps(as_data(visit))
    return Text(visit, columns=60, colours=False).written()


DEEP = b'{"resource":' + b"[" * 900 + b"]" * 900 + b"}"


@given(st.lists(REPLIES, min_size=1, max_size=14), st.sampled_from(["", TOKEN]), st.sampled_from(["", "slow"]))
@example([(401, {}, [], b""), (200, {"content-type": "application/json"}, [], DEEP)], "", "")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_server_gets_a_report(
    replies: list[tuple[int, dict[str, str], list[str], bytes]], token: str, tool: str
) -> None:
    text = report(replies, token=token, tool=tool)
    assert TOKEN not in text
    assert not any(character < " " and character != "\n" for character in text)


SEGMENT = st.binary(max_size=40).map(lambda data: data.hex()) | DOCUMENTS.map(
    lambda document: jwt(**document).split(".")[1] if isinstance(document, dict) and "header" not in document else "x"
)


@given(st.lists(SEGMENT, max_size=4).map(".".join) | st.text(max_size=40))
@example("e30.e30.e30")
@example(jwt(exp=10**400, scp=["a", 1], aud=[1, "a"]))
@example(jwt(exp=True, scope=5))
@settings(deadline=None)
def test_every_token_is_read_or_not(token: str) -> None:
    claims = read_claims(token)
    assert claims is None or in_words(claims, 1000.0)


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 s"), (119, "119 s"), (120, "2 minutes"), (7200, "2 hours"), (172800, "2 days")]
)
def test_times_are_told_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words
