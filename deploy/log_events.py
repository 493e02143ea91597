"""What log groups hold from a time on: each event once, those of all groups in the order of their times."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

from deploy.aws_access import refused

LATE = 60_000  # milliseconds by which an event may arrive after one that happened later


class LogEvents:
    """Log groups, read again and again; `since` is milliseconds since the epoch."""

    def __init__(self, client: Any, groups: Sequence[str], since: int) -> None:
        self._client = client
        self._groups = groups
        self._since = since
        self._shown: dict[str, int] = {}  # the times of events by their ids, as far back as is asked again

    def fresh(self) -> Iterator[str]:
        """What was written and not told yet.

        Raises:
            AwsRefused: the log cannot be read.
        """
        newest = self._since
        for event in heapq.merge(*map(self._of, self._groups), key=lambda event: event["timestamp"]):
            newest = max(newest, event["timestamp"])
            if event["eventId"] not in self._shown:
                self._shown[event["eventId"]] = event["timestamp"]
                yield event["message"].rstrip("\n")
        self._since = max(self._since, newest - LATE)
        self._shown = {name: time for name, time in self._shown.items() if time >= self._since}

    def _of(self, group: str) -> Iterator[dict[str, Any]]:
        with refused():
            for page in self._client.get_paginator("filter_log_events").paginate(
                logGroupName=group, startTime=self._since
            ):
                yield from page["events"]
