"""The emulator does what the doors are documented to do, so that what passes it means something."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.aws.front_doors import FUNCTION_URL, HTTP_API, REMAPPED, REST_API, FrontDoor
from tests.aws.runtime import FunctionError

PATHS = {HTTP_API: "/x", REST_API: "/prod/x", FUNCTION_URL: "/x"}
KINDS = pytest.mark.parametrize("kind", PATHS)


async def ask(kind: str, invoke: Callable[[Any], Any], body: bytes = b"{}", **options: Any) -> httpx.Response:
    """One request through a door, with two values of a header."""
    door = FrontDoor(kind, invoke, "prod" if kind == REST_API else "$default", **options)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="https://gw.example") as client:
        fields = [("x-a", "1"), ("x-a", "2"), ("content-type", "application/octet-stream"), ("cookie", "a=1; b=2")]
        return await client.post(PATHS[kind], headers=fields, content=body)


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
    answer = {"statusCode": 200, "body": base64.b64encode(b"\xff").decode(), "isBase64Encoded": True}

    def invoke(event: dict[str, Any]) -> dict[str, Any]:
        events.append(event)
        return answer

    response = await ask(kind, invoke, b"\xfe")
    assert response.content == b"\xff"
    (event,) = events
    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (b"\xfe", True)
    if kind == REST_API:
        assert event["multiValueHeaders"]["x-a"] == ["1", "2"]
        assert event["path"] == "/x"
    else:
        assert event["headers"]["x-a"] == "1,2"
        assert event["cookies"] == ["a=1", "b=2"]


@KINDS
async def test_answer_over_six_megabytes_is_lost(kind: str) -> None:
    response = await ask(kind, lambda _: {"statusCode": 200, "body": "x" * (6 * 1024 * 1024 + 1)})
    assert response.status_code == 502


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
