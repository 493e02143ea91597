"""Plugins of strangers, installed as pip does it, and the server of greetings."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.tools.front import fronted
from tools.registry import find
from tools.server import app

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution on the path: its name, its entry points as `name = "module:attribute"`, its files."""
    before = set(sys.modules)

    def put(distribution: str, entry_points: dict[str, str], files: dict[str, str]) -> None:
        site = tmp_path / distribution
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entry_points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[bearergate.tools]", *lines, ""]))
        for name, text in files.items():
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(text)
        monkeypatch.syspath_prepend(site)

    yield put
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture(scope="module")
async def greetings() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the greetings, as `bearergate serve` has them."""
    async with fronted(app(find(["greetings"]))) as http:
        yield http


@pytest.fixture(scope="module")
async def stateless() -> AsyncIterator[httpx.AsyncClient]:
    """The same without sessions."""
    async with fronted(app(find(["greetings"]), sessions=False)) as http:
        yield http
