"""What the official clients and the official suite are pointed at: `bearergate dev` as people run it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.laptop import Laptop, laptop


@pytest.fixture(scope="module")
def running() -> Iterator[Laptop]:
    with laptop() as started:
        yield started
