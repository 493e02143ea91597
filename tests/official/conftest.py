"""What the official clients and the official suite are pointed at: `bearergate dev` as people run it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.deploy.laptop import Laptop, laptop


@pytest.fixture(scope="module")
def running() -> Iterator[Laptop]:
    with laptop() as started:
        assert started.process.stdout is not None
        # It says a line for every decision, and would wait for ever for somebody to read them.
        reader = threading.Thread(target=started.process.stdout.read)
        reader.start()
        yield started
    reader.join()
