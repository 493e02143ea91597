"""The emulator does what the doors are documented to do, so that what passes it means something."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.types import Message

from tests.aws.front_doors import FUNCTION_URL, HTTP_API, REMAPPED, REST_API, FrontDoor
from tests.aws.runtime import END, FunctionError, Invocation

PATHS = {HTTP_API: "/x", REST_API: "/prod/x", FUNCTION_URL: "/x"}
KINDS = pytest.mark.parametrize("kind", PATHS)


async def ask(kind: str, invoke: Callable[[Any], Any], body: bytes = b"{}", **options: Any) -> httpx.Response:
    """One request through a door, with two values of a header."""
    accept = options.pop("accept", "application/json")
    door = FrontDoor(kind, invoke, "prod" if kind == REST_API else "$default", **options)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="https://gw.example") as client:
        fields = [("x-a", "1"), ("x-a", "2"), ("content-type", "application/octet-stream"), ("cookie", "a=1; b=2")]
        return await client.post(PATHS[kind] + "?q=1&q=2", headers=[*fields, ("accept", accept)], content=body)


@KINDS
@pytest.mark.parametrize("remaps", [True, False])
async def test_challenge_is_renamed_or_not(kind: str, remaps: bool) -> None:
    headers = {"www-authenticate": "Bearer", "content-type": "application/json"}
    response = await ask(kind, lambda _: {"statusCode": 401, "headers": headers, "body": "{}"}, remaps=remaps)
    assert response.status_code == 401
    assert (REMAPPED if remaps else "www-authenticate") in response.headers


@KINDS
async def test_binary_bodies_and_repeated_headers_become_what_the_event_has(kind: str) -> None:
    events: list[dict[str, Any]] = []
    several = {"multiValueHeaders": {"x-b": ["1", "2"]}} if kind == REST_API else {"cookies": ["c=1", "d=2"]}
    answer = {"statusCode": 200, "body": base64.b64encode(b"\xff").decode(), "isBase64Encoded": True} | several

    def invoke(event: dict[str, Any]) -> dict[str, Any]:
        events.append(event)
        return answer

    response = await ask(kind, invoke, b"\xfe", accept="application/octet-stream, */*")
    assert response.content == b"\xff"
    (event,) = events
    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (b"\xfe", True)
    if kind == REST_API:
        assert response.headers.get_list("x-b") == ["1", "2"]
        assert event["multiValueHeaders"]["X-A"] == ["1", "2"]
        assert event["multiValueQueryStringParameters"] == {"q": ["1", "2"]}
        assert (event["path"], event["requestContext"]["path"]) == ("/x", "/prod/x")
    else:
        assert response.headers.get_list("set-cookie") == ["c=1", "d=2"]
        assert event["headers"]["x-a"] == "1,2"
        assert event["cookies"] == ["a=1", "b=2"]


@pytest.mark.parametrize(("decodes_all", "content"), [(True, b"\xff"), (False, b"/w==")])
async def test_rest_api_decodes_what_the_client_accepts_first(decodes_all: bool, content: bytes) -> None:
    answer = {"statusCode": 200, "body": "/w==", "isBase64Encoded": True}
    assert (await ask(REST_API, lambda _: answer, decodes_all=decodes_all)).content == content


@KINDS
async def test_request_that_is_too_large_reaches_nobody(kind: str) -> None:
    asked: list[Any] = []
    assert (await ask(kind, asked.append, bytes(5 * 1024 * 1024))).status_code == 413, "base64 makes it seven"
    assert (await ask(kind, asked.append, bytes(11 * 1024 * 1024))).status_code == 413
    assert asked == []


@pytest.mark.parametrize(("kind", "status"), [(HTTP_API, 503), (REST_API, 504), (FUNCTION_URL, 504)])
async def test_answer_that_takes_too_long_is_the_doors_own(kind: str, status: int) -> None:
    late = threading.Event()
    try:
        assert (await ask(kind, lambda _: late.wait(10), seconds=0.05)).status_code == status
    finally:
        late.set()


@pytest.mark.parametrize(("kind", "status"), [(HTTP_API, 500), (REST_API, 502), (FUNCTION_URL, 502)])
async def test_function_that_fails_is_the_doors_own_error(kind: str, status: int) -> None:
    def fail(_: Any) -> None:
        raise FunctionError({})

    assert (await ask(kind, fail)).status_code == status
    assert (await ask(kind, fail, open=lambda _: answered(error={"errorType": "X"}))).status_code == status


def answered(
    *chunks: bytes, error: Any = None, trailers: dict[str, str] | None = None, ends: bool = True
) -> Invocation:
    """An answer that is there already."""
    made = Invocation({}, time.time() + 9)
    for chunk in chunks:
        made.chunks.put(chunk)
    made.error, made.trailers = error, trailers or {}
    if ends:
        made.chunks.put(END)
    return made


PRELUDE = json.dumps({"statusCode": 200, "headers": {"x-a": "1"}, "cookies": ["a=1"]}).encode() + bytes(8)


async def streamed(made: Invocation, **options: Any) -> list[Message]:
    """What a streaming door sends of an answer."""
    sent: list[Message] = []
    asked: asyncio.Queue[Message] = asyncio.Queue()
    asked.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def send(message: Message) -> None:
        sent.append(message)

    door = FrontDoor(FUNCTION_URL, lambda _: None, open=lambda _: made, **options)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    await door(scope, asked.get, send)
    return sent


@pytest.mark.parametrize(
    ("made", "options", "complete"),
    [
        pytest.param(answered(PRELUDE[:20], PRELUDE[20:] + b"a", b"b"), {}, True, id="to its end"),
        pytest.param(answered(PRELUDE, b"ab", trailers={"error": "x"}), {}, False, id="broken off by the function"),
        pytest.param(answered(PRELUDE, b"ab", ends=False), {"idle": 0.05}, False, id="silent for too long"),
        pytest.param(answered(PRELUDE, b"ab", b"cde"), {"max_stream": 4}, False, id="too large"),
    ],
)
async def test_stream_goes_on_as_it_comes_and_breaks_off_where_it_must(
    made: Invocation, options: dict[str, Any], complete: bool
) -> None:
    start, *pieces = await streamed(made, **options)
    assert (start["status"], dict(start["headers"])) == (200, {b"x-a": b"1", b"set-cookie": b"a=1"})
    assert b"".join(piece["body"] for piece in pieces) == b"ab"
    assert pieces[-1].get("more_body", False) is not complete
    made.chunks.put(END)  # for who still waits


async def test_runtime_that_does_not_stream_is_answered_for_in_one_piece() -> None:
    """Where the wrapper is not heeded, a managed Python gathers its answer under a streaming door, too."""
    start, body = await streamed(answered(b'{"statusCode": 201, "body": "{}"}'))
    assert (start["status"], body["body"]) == (201, b"{}")
