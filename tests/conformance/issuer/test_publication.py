"""Key set and metadata under control: answered late, broken, elsewhere or not at all, over real requests."""

from __future__ import annotations

import json
from typing import Any

import anyio
import httpx
import pytest

from conformance.issuer import Issuer, Publication
from tests.conformance.issuer.journey import Journey


@pytest.fixture(params=["key_server", "metadata_server"])
def published(request: pytest.FixtureRequest, plain: Issuer) -> tuple[Publication, str]:
    if request.param == "key_server":
        return plain.key_server, f"{plain.url}/jwks"
    return plain.metadata_server, f"{plain.url}/.well-known/oauth-authorization-server"


Published = tuple[Publication, str]


async def test_requests_are_counted(app: Journey, published: Published) -> None:
    server, url = published
    for _ in range(3):
        await app.http.get(url)
    assert server.hits == 3


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"status": 503}, {"status": 503}, id="status"),
        pytest.param({"body": b"<html>"}, {"body": b"<html>"}, id="body"),
        pytest.param({"body": b""}, {"body": b""}, id="empty"),
        pytest.param({"content_type": "text/html"}, {"type": "text/html"}, id="content type"),
    ],
)
async def test_answer_can_be_broken(
    app: Journey, published: Published, change: dict[str, Any], expected: dict[str, Any]
) -> None:
    server, url = published
    good = {"status": 200, "type": "application/json", "body": (await app.http.get(url)).content}
    vars(server).update(change)
    answer = await app.http.get(url)
    found = {"status": answer.status_code, "type": answer.headers["content-type"], "body": answer.content}
    assert found == good | expected


async def test_headers_can_be_added(app: Journey, published: Published) -> None:
    server, url = published
    server.headers["Cache-Control"] = "max-age=1"
    assert (await app.http.get(url)).headers["cache-control"] == "max-age=1"


@pytest.mark.parametrize(("status", "expected"), [(None, 302), (307, 307)])
async def test_answer_can_be_a_redirect(app: Journey, published: Published, status: int | None, expected: int) -> None:
    server, url = published
    server.redirect_to, server.status = "https://elsewhere.example/", status
    answer = await app.http.get(url)
    assert (answer.status_code, answer.headers["location"]) == (expected, "https://elsewhere.example/")


async def test_answer_waits_until_it_is_let_go(app: Journey, published: Published) -> None:
    server, url = published
    server.hold = anyio.Event()
    answers: list[httpx.Response] = []

    async def fetch() -> None:
        answers.append(await app.http.get(url))

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(fetch)
        await anyio.wait_all_tasks_blocked()
        assert (server.hits, answers) == (2, [])
        server.hold.set()
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_answer_can_be_later_than_a_client_waits(app: Journey, published: Published) -> None:
    server, url = published
    server.delay = 60
    with anyio.move_on_after(0.01) as patience:
        await app.http.get(url)
    assert patience.cancelled_caught
    server.delay = 0.001
    assert (await app.http.get(url)).status_code == 200


async def test_reset_makes_everything_good_again(app: Journey, published: Published) -> None:
    server, url = published
    server.status, server.body, server.headers = 500, b"x", {"X-Odd": "yes"}
    await app.http.get(url)
    server.reset()
    answer = await app.http.get(url)
    assert (answer.status_code, server.hits, "x-odd" in answer.headers) == (200, 1, False)


async def test_metadata_can_be_changed_in_one_member(app: Journey, plain: Issuer) -> None:
    plain.metadata_server.body = json.dumps(plain.metadata() | {"issuer": "https://foreign.example"}).encode()
    answer = await app.http.get(f"{plain.url}/.well-known/openid-configuration")
    assert answer.json()["issuer"] == "https://foreign.example"
    assert answer.json()["token_endpoint"] == plain.metadata()["token_endpoint"]


async def test_rotated_key_is_published_at_once(app: Journey, plain: Issuer) -> None:
    plain.keys.rotate(plain.keys.id, plain.keys.access)
    assert (await app.http.get(f"{plain.url}/jwks")).json() == plain.keys.document()
