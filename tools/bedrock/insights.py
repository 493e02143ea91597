"""CloudWatch Logs Insights: one query adds everything up where the log is, and only rows come back.

Quotas and shapes: CloudWatch Logs API reference, StartQuery and GetQueryResults; query syntax, `stats`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import anyio

from tools.bedrock.aws import Service
from tools.bedrock.refusals import Refused
from tools.bedrock.rows import MAX_ROWS, Figures, Key, Row

# No filter by schema: what is no record of a call is counted by the same query, at no further cost.
QUERY = """fields coalesce(identity.arn, identity.arn.0) as caller
| filter toMillis(@timestamp) >= {start}000 and toMillis(@timestamp) < {end}000
| stats count(*) as calls, count(input.inputTokenCount) as counted, count(output.outputTokenCount) as answered, \
sum(input.inputTokenCount) as input_tokens, sum(output.outputTokenCount) as output_tokens, \
sum(input.cacheReadInputTokenCount) as cache_read, sum(input.cacheWriteInputTokenCount) as cache_write \
by bin(1d) as day, schemaType, region, modelId, caller, operation, errorCode
| sort day asc"""
SPAN_SECONDS = 31 * 86_400  # of one query at most: a year at once might run into the limit of an hour
PAGE = 2_000  # rows at a time: ten thousand take 40 MB of boto3's dictionaries
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between two looks at a query
RUNNING = frozenset({"Scheduled", "Running", "Unknown"})
TOO_SLOW = "Timeout"
FAILED = "Failed"
TOO_OLD = "log retention settings"  # in the words with which StartQuery refuses a time of which the log keeps nothing

Say = Callable[[str], Awaitable[None]]  # tells the client how far it is
Take = Callable[[Row], None]


@dataclass(frozen=True)
class Limits:
    """How much one query may find and take before its time is halved, and how much is read without Insights."""

    rows: int = MAX_ROWS  # AWS's own limit
    patience: float = 900  # seconds
    shortest: int = 3_600  # seconds of time that are not halved any more
    events: int = 1_000_000  # that are read one by one: more is not worth what it costs everybody in the account


class LogGroup(NamedTuple):
    """A log to read, and where."""

    service: Service
    name: str


class Span(NamedTuple):
    """A time from `start` up to, but not including, `end`: whole seconds since the epoch."""

    start: int
    end: int

    def halves(self) -> tuple[Span, Span]:
        """Both halves."""
        middle = (self.start + self.end) // 2
        return Span(self.start, middle), Span(middle, self.end)

    def parts(self, seconds: int) -> Iterator[Span]:
        """Consecutive spans of at most so many seconds."""
        for start in range(self.start, self.end, seconds):
            yield Span(start, min(start + seconds, self.end))


async def read(log: LogGroup, span: Span, take: Take, say: Say, limits: Limits) -> int:
    """Hand over every row of the log in a span; several may have the same key. Returns since when there is a log.

    Raises:
        Refused: AWS does not answer, or finds too much within an hour. Rows of whole spans may have been taken.
    """
    waiting, since = list(span.parts(SPAN_SECONDS))[::-1], span.start
    while waiting:
        part = waiting.pop()
        try:
            rows = await _rows(log, part, say, limits)
        except Refused as refused:
            if TOO_OLD in str(refused):
                since = part.end
                continue
            if refused.code != TOO_SLOW or part.end - part.start <= limits.shortest:
                raise
            waiting += part.halves()[::-1]
            continue
        for row in rows:
            take(row)
    return since


async def _rows(log: LogGroup, span: Span, say: Say, limits: Limits) -> list[Row]:
    """The rows of one query, which is stopped if nobody waits for it any more."""
    query = await _start(log, span)
    running = True
    try:
        with anyio.fail_after(limits.patience):
            await _completed(log.service, query, say)
        running = False
        return await _pages(log.service, query, limits)
    except TimeoutError:
        raise _ended(TOO_SLOW) from None
    except Refused as refused:
        running = running and refused.code not in ENDS
        raise
    finally:
        if running:
            await _stop(log.service, query)


async def _start(log: LogGroup, span: Span) -> str:
    with anyio.CancelScope(shield=True):  # a query whose id is lost could not be stopped
        answer = await log.service.call(
            "start_query",
            logGroupName=log.name,
            startTime=span.start,
            endTime=span.end,
            queryString=QUERY.format(start=span.start, end=span.end),
            limit=MAX_ROWS,
        )
    return str(answer["queryId"])


async def _stop(logs: Service, query: str) -> None:
    with anyio.CancelScope(shield=True):
        with contextlib.suppress(Refused):  # it has ended, or ends by itself: what went wrong before is what counts
            await logs.call("stop_query", queryId=query)


async def _completed(logs: Service, query: str, say: Say) -> None:
    """Wait until the query is complete."""
    pause = FIRST_PAUSE
    while True:
        answer = await logs.call("get_query_results", queryId=query, maxItems=1)
        status = answer["status"]
        if status == "Complete":
            return
        if status not in RUNNING:
            raise _ended(status)
        await say(f"{status}: {answer.get('statistics', {}).get('recordsScanned', 0):,.0f} records scanned")
        await anyio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _pages(logs: Service, query: str, limits: Limits) -> list[Row]:
    rows: list[Row] = []
    further: dict[str, str] = {}
    while True:
        answer = await logs.call("get_query_results", queryId=query, maxItems=PAGE, **further)
        rows += map(_row, answer["results"])
        if len(rows) >= limits.rows:  # there may be more, which Insights does not say
            raise _ended(TOO_SLOW)
        if not answer.get("nextToken"):
            return rows
        further = {"nextToken": answer["nextToken"]}


def _row(fields: list[dict[str, str]]) -> Row:
    """A row as Insights has it: every value is a text, and a field that no record has is left out."""
    found = {field["field"]: field.get("value", "") for field in fields}
    names = ("schemaType", "region", "modelId", "caller", "operation", "errorCode")
    figures = ("calls", "counted", "answered", "input_tokens", "output_tokens", "cache_read", "cache_write")
    key = Key(sys.intern(found["day"][:10]), *(sys.intern(found.get(name) or "") for name in names))
    return key, Figures(*(int(float(found.get(name) or 0)) for name in figures))


SENTENCES = {
    TOO_SLOW: "The log has more than Logs Insights finishes in one query: ask for fewer days.",
    FAILED: "Logs Insights could not finish the query: ask again.",
    "Cancelled": "Somebody stopped the query in CloudWatch: ask again.",
}
ENDS = frozenset(SENTENCES)


def _ended(status: str) -> Refused:
    return Refused(status, SENTENCES.get(status, f"Logs Insights ended the query with {status}: ask again."))
