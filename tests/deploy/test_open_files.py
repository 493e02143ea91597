"""The server takes as many open files as the system grants it, and never fewer than it was started with."""

from __future__ import annotations

import resource

import pytest

from deploy.open_files import ENOUGH, UNLIMITED, allow_open_files, wanted


@pytest.mark.parametrize(
    ("soft", "hard", "then"),
    [
        pytest.param(1024, 20_000, 20_000, id="as many as are granted"),
        pytest.param(20_000, 20_000, 20_000, id="as many as there are already"),
        pytest.param(1024, 2**30, ENOUGH, id="no more than enough"),
        pytest.param(2**20, 2**30, 2**20, id="never fewer than before"),
        pytest.param(1024, UNLIMITED, ENOUGH, id="granted without limit"),
        pytest.param(UNLIMITED, UNLIMITED, UNLIMITED, id="had without limit"),
    ],
)
def test_soft_limit_that_is_wanted(soft: int, hard: int, then: int) -> None:
    assert wanted(soft, hard) == then


def test_soft_limit_of_this_process_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        allow_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (wanted(512, hard), hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
