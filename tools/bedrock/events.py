"""FilterLogEvents: every record comes over the wire, so only where Logs Insights is not to be had."""

from __future__ import annotations

import anyio.to_thread

from tools.bedrock.insights import Limits, LogGroup, Say, Span
from tools.bedrock.refusals import Refused
from tools.bedrock.rows import Rows

PAGE = 10_000  # events at most; AWS gives a megabyte at most
TOO_MUCH = "TooMuch"


async def read(log: LogGroup, span: Span, say: Say, limits: Limits) -> Rows:
    """The rows of a span, counted here.

    Raises:
        Refused: AWS does not answer, or there are more records than are worth it.
    """
    rows, seen, further = Rows(), 0, dict[str, str]()
    while True:
        page = await log.service.call(
            "filter_log_events",
            logGroupName=log.name,
            startTime=span.start * 1000,
            endTime=span.end * 1000 - 1,  # is included
            limit=PAGE,
            **further,
        )
        await anyio.to_thread.run_sync(rows.add_events, page["events"])
        seen += len(page["events"])
        if seen > limits.events or len(rows) > limits.rows:
            raise Refused(
                TOO_MUCH, f"{seen:,} records are too many to read without logs:StartQuery: ask for fewer days."
            )
        await say(f"{seen:,} records read")
        if not page.get("nextToken"):  # an empty page with one is not the last
            return rows
        further = {"nextToken": page["nextToken"]}
