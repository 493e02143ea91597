"""Judgements mostly wait for streams and for tokens that expire, so several of them run beside each other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor

import pytest

BESIDE = 2  # judgements at a time, for two cores; more would disturb what is said about time


@pytest.fixture(scope="session")
def judges() -> Iterator[Executor]:
    """Processes that judge; `submit` them what is in `judged` and `own`."""
    with ProcessPoolExecutor(BESIDE, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool
        pool.shutdown(cancel_futures=True)
