"""The loopback end of a login takes one answer, the right one, and says how it went."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from client.callback import Callback
from client.errors import BadInput


async def fetch(url: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient() as browser:
        return await browser.request(method, url)


async def test_answer_with_the_right_state_is_taken_and_the_page_says_how_it_ended() -> None:
    async with Callback.listening("http://127.0.0.1/callback") as callback:
        waiting = asyncio.create_task(callback.answer("right"))
        await asyncio.sleep(0)
        page = asyncio.create_task(fetch(f"{callback.uri}?code=c&state=right&iss=i"))
        assert await waiting == {"code": "c", "state": "right", "iss": "i"}
        callback.finish("It <worked>.")
        callback.finish("Not twice.")
        answer = await page
    assert "It &lt;worked&gt;." in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/callback?code=c&state=wrong", 400),
        ("/callback?code=c", 400),
        ("/callback?code=c&code=d&state=right", 400),
        ("/elsewhere?code=c&state=right", 404),
        ("/favicon.ico", 404),
        ("//[", 404),
    ],
)
async def test_what_others_send_changes_nothing(path: str, status: int) -> None:
    async with Callback.listening("http://127.0.0.1/callback") as callback:
        waiting = asyncio.create_task(callback.answer("right"))
        await asyncio.sleep(0)
        assert (await fetch(callback.uri.removesuffix("/callback") + path)).status_code == status
        assert (await fetch(f"{callback.uri}?code=c&state=right", "POST")).status_code == 404
        assert not waiting.done()
        waiting.cancel()


async def test_before_a_login_begins_nothing_is_taken() -> None:
    async with Callback.listening("http://127.0.0.1/callback") as callback:
        assert (await fetch(f"{callback.uri}?code=c&state=")).status_code == 400


async def test_what_is_no_http_is_dropped() -> None:
    async with Callback.listening("http://127.0.0.1/callback") as callback:
        port = int(callback.uri.split(":")[2].split("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 40_000)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


async def test_browser_that_waits_is_told_when_the_login_is_given_up() -> None:
    async with Callback.listening("http://localhost/") as callback:
        waiting = asyncio.create_task(callback.answer("right"))
        await asyncio.sleep(0)
        page = asyncio.create_task(fetch(f"{callback.uri}?error=x&state=right"))
        assert (await waiting)["error"] == "x"
    assert "was not finished" in (await page).text


async def test_configured_port_is_used_and_a_taken_one_said() -> None:
    async with Callback.listening("http://[::1]/callback") as callback:
        assert callback.uri.startswith("http://[::1]:")
        with pytest.raises(BadInput, match="taken"):
            async with Callback.listening(callback.uri):
                pass
    async with Callback.listening(callback.uri) as again:
        assert again.uri == callback.uri
