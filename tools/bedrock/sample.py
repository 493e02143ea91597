"""The bundled sample: a small invocation log behind the interface of AWS, so that reports need no account to be seen.

What it holds is invented. Its days are counted back from today, so that a report always finds some.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.bedrock.access import Caller
from tools.bedrock.aws import Answer, Service
from tools.bedrock.refusals import of_aws
from tools.bedrock.rows import Figures, Row, Rows
from tools.bedrock.settings import Account

FILE = Path(__file__).with_name("sample.jsonl")  # one record a line, its time as seconds before midnight today
REGION = "us-east-1"
LOG_GROUP = "/aws/bedrock/modelinvocations"
PROFILES = {"q7x2example01": "anthropic.claude-haiku-4-5-20251001-v1:0"}  # by the end of the ARN
DAY = 86_400

Event = tuple[int, str]  # milliseconds since the epoch, message


class Sample:
    """Stands where AWS does."""

    sample = True

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now

    async def regions(self) -> Sequence[str]:
        """The one region of the sample."""
        return [REGION]

    async def service(self, name: str, region: str, account: Account | None, caller: Caller) -> Service:  # noqa: ARG002 - one sample for all
        """The service, as far as reports need it."""
        services: dict[str, Service] = {"logs": SampleLogs(self._now), "bedrock": SampleBedrock(), "ce": SampleBill()}
        return services[name]


class SampleBill:
    """A bill that is not there, so that the sample shows an estimate."""

    async def call(self, operation: str, **_: Any) -> Answer:
        """Never anything."""
        raise of_aws("AccessDeniedException", "", f"ce:{operation.title().replace('_', '')}", REGION)


class SampleBedrock:
    """Application inference profiles of the sample."""

    async def call(self, operation: str, **arguments: Any) -> Answer:  # noqa: ARG002 - reports need this one alone
        """The models behind a profile."""
        known = PROFILES[arguments["inferenceProfileIdentifier"].rpartition("/")[2]]
        return {"models": [{"modelArn": f"arn:aws:bedrock:{REGION}::foundation-model/{known}"}]}


class SampleLogs:
    """Logs Insights over the sample: it knows one query, which it answers after a moment."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._results: dict[str, list[list[dict[str, str]]]] = {}
        self._looked: set[str] = set()

    async def call(self, operation: str, **arguments: Any) -> Answer:
        """What Logs Insights answers."""
        answer: Answer = getattr(self, f"_{operation}")(**arguments)
        return answer

    def _start_query(self, *, logGroupName: str, startTime: int, endTime: int, **_: Any) -> Answer:  # noqa: N803 - AWS's names
        if logGroupName != LOG_GROUP:
            raise of_aws("ResourceNotFoundException", "the sample is of another log group", "logs:StartQuery", REGION)
        rows = Rows()
        for at, message in events(self._now()):
            if startTime * 1000 <= at < endTime * 1000:
                rows.add(at, message)
        query = f"sample-{len(self._results)}"
        self._results[query] = [_fields(row) for row in rows]
        return {"queryId": query}

    def _get_query_results(self, *, queryId: str, maxItems: int, nextToken: str = "0") -> Answer:  # noqa: N803
        results = self._results[queryId]
        if queryId not in self._looked:
            self._looked.add(queryId)
            return {"status": "Running", "results": [], "statistics": {"recordsScanned": float(len(results))}}
        start, end = int(nextToken), int(nextToken) + maxItems
        further = {"nextToken": str(end)} if end < len(results) else {}
        return {"status": "Complete", "results": results[start:end], **further}

    def _stop_query(self, *, queryId: str) -> Answer:  # noqa: N803
        return {"success": self._results.pop(queryId, None) is not None}


def events(now: float) -> Iterator[Event]:
    """The log events of the sample up to now, oldest first."""
    midnight = int(now) // DAY * DAY + DAY
    for line in FILE.read_text("utf-8").splitlines():
        before, message = json.loads(line)
        at = midnight - before
        if at <= now:
            yield at * 1000, message if isinstance(message, str) else json.dumps(message)


def _fields(row: Row) -> list[dict[str, str]]:
    """A row as Insights has it."""
    key, figures = row
    named = {
        "day": f"{key.day} 00:00:00.000",
        "schemaType": key.schema,
        "region": key.region,
        "modelId": key.model,
        "caller": key.caller,
        "operation": key.operation,
        "errorCode": key.error,
        **_sums(figures),
    }
    return [{"field": name, "value": value} for name, value in named.items() if value]


def _sums(figures: Figures) -> dict[str, str]:
    return {
        "calls": str(figures.calls),
        "counted": str(figures.counted),
        "answered": str(figures.answered),
        "input_tokens": str(figures.input),
        "output_tokens": str(figures.output),
        "cache_read": str(figures.cache_read),
        "cache_write": str(figures.cache_write),
    }
