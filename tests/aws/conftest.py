"""The package is made once for all tests: pip takes some seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.aws.function import unpacked as unpacked_in


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked_in(tmp_path_factory.mktemp("package"))
