"""Every async test runs on asyncio, the loop that serves the gate."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
