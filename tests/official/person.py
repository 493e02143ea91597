"""A person at a browser, for clients that open one: `python -m tests.official.person URL`, as BROWSER names it.

Logs in as LAPTOP_USER with LAPTOP_PASSWORD, agrees to everything, and goes where the client waits.
"""

from __future__ import annotations

import asyncio
import os
import sys
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from tests.deploy.laptop import log_in


async def main(url: str) -> None:
    back = await log_in(url, os.environ["LAPTOP_USER"], os.environ["LAPTOP_PASSWORD"])
    callback = parse_qs(urlsplit(url).query)["redirect_uri"][0]
    transport = httpx.AsyncHTTPTransport(retries=6)  # the client may not listen yet
    async with httpx.AsyncClient(transport=transport, timeout=20) as browser:
        await browser.get(f"{callback}?{urlencode(back)}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
