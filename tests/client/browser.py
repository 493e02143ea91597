"""A browser with a person before it, as a program: logs in at an address, and shows where that ends.

python -m tests.client.browser USER PASSWORD URL
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from tests.deploy.laptop import ROOT, Laptop, log_in


def variable(laptop: Laptop, seen: Path | None = None) -> Mapping[str, str]:
    """The environment in which Python's webbrowser opens this one; `seen` gets the last page."""
    command = f"{sys.executable} -m tests.client.browser {laptop.user} {laptop.password} %s"
    return {"BROWSER": command, "PYTHONPATH": str(ROOT), "SEEN": str(seen or os.devnull)}


async def visit(user: str, password: str, url: str) -> str:
    """The page that the login ends at."""
    back = await log_in(url, user, password)
    redirect_uri = parse_qs(urlsplit(url).query)["redirect_uri"][0]
    async with httpx.AsyncClient(timeout=30) as browser:
        return (await browser.get(f"{redirect_uri}?{urlencode(back)}")).text


if __name__ == "__main__":
    Path(os.environ["SEEN"]).write_text(asyncio.run(visit(*sys.argv[1:])))
