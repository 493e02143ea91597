"""Invocation records in any number, and what they add up to: counted while they are made, from no JSON."""

from __future__ import annotations

import json
import random
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.tools.bedrock.query import flattened

DAY = 86_400
NOW = 1_795_000_000 - 1_795_000_000 % DAY + 50_000  # a day in November 2026, early in the afternoon
ACCOUNT = "111122223333"
PROFILE = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abc123def456"
BASE = "arn:aws:bedrock:us-east-1::foundation-model/"
# Each id, and the name it must be shown by.
MODELS = {
    "amazon.nova-lite-v1:0": "nova-lite-v1:0",
    "us.amazon.nova-lite-v1:0": "nova-lite-v1:0",
    "global.anthropic.claude-sonnet-4-5-20250929-v1:0": "claude-sonnet-4-5-20250929-v1:0",
    f"{BASE}anthropic.claude-sonnet-4-5-20250929-v1:0": "claude-sonnet-4-5-20250929-v1:0",
    "meta.llama3-3-70b-instruct-v1:0": "llama3-3-70b-instruct-v1:0",
    "amazon.titan-embed-text-v1": "titan-embed-text-v1",
    PROFILE: "claude-3-5-haiku-20241022-v1:0",
}
PROFILE_MODEL = f"{BASE}anthropic.claude-3-5-haiku-20241022-v1:0"
OPERATIONS = ("Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream")
REGIONS = ("us-east-1", "us-east-1", "us-west-2")
ERRORS = ("ThrottlingException", "ValidationException")
STRANGE = (
    "no JSON at all",
    '{"schemaType":"SomethingElse","modelId":"a.b"}',
    '{"schemaType":"ModelInvocationLog"}',
    "[]",
)


@dataclass
class Expected:
    """What a report must say."""

    by: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)  # by what, and its label
    errors: Counter[str] = field(default_factory=Counter)
    malformed: int = 0
    uncounted: int = 0

    def add(self, day: str, facts: dict[str, str], figures: Counter[str]) -> None:
        labels = {("total", ""), ("day", day), *facts.items(), ("day and model", f"{day} {facts['model']}")}
        for label in labels:
            self.by.setdefault(label, Counter()).update(figures)


@dataclass
class Log:
    """A log: times, and for each the number of its message among those that there are."""

    times: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[int] = field(default_factory=lambda: array("l"))
    messages: list[str] = field(default_factory=list)
    flat: list[dict[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.times)

    def message(self, text: str) -> int:
        """The number of a message that is new."""
        self.messages.append(text)
        self.flat.append(flattened(text))
        return len(self.messages) - 1

    def put(self, milliseconds: int, number: int) -> None:
        """One more event; times must not go back."""
        self.times.append(milliseconds)
        self.numbers.append(number)

    def between(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Times in milliseconds, both included, and numbers of messages."""
        for at, number in zip(self.times, self.numbers, strict=True):
            if start <= at <= end:
                yield at, number


def callers(count: int) -> list[str]:
    return [f"arn:aws:sts::{ACCOUNT}:assumed-role/team-{number % 7}/i-{number:017x}" for number in range(count)]


def log_of(
    count: int, *, days: int = 20, people: int = 12, kinds: int = 4_000, seed: int = 1, end: int = NOW
) -> tuple[Log, Expected]:
    """A log of so many events in the days before `end`, and what a report about it must say."""
    chance = random.Random(seed)
    log, expected = Log(), Expected()
    names = callers(people)
    drawn: list[tuple[dict[str, str], Counter[str], str | None]] = []
    for _ in range(kinds):
        facts, figures, error, record = one(chance, names)
        drawn.append((facts, figures, error))
        log.message(json.dumps(record))
    strange = [log.message(text) for text in STRANGE]
    first, last = (end - days * DAY) * 1000, end * 1000 - 1
    for at in sorted(chance.randint(first, last) for _ in range(count)):
        if chance.random() < 0.001:
            log.put(at, chance.choice(strange))
            expected.malformed += 1
            continue
        number = chance.randrange(kinds)
        facts, figures, error = drawn[number]
        log.put(at, number)
        day = datetime.fromtimestamp(at / 1000, UTC).date().isoformat()
        expected.add(day, facts, figures)
        if error:
            expected.errors[error] += 1
    return log, expected


def one(chance: random.Random, names: list[str]) -> tuple[dict[str, str], Counter[str], str | None, dict[str, Any]]:
    """Facts, figures, error and record of one call."""
    model = chance.choice(list(MODELS))
    arn = chance.choice(names)
    facts = {
        "model": MODELS[model],
        "user": arn,
        "region": chance.choice(REGIONS),
        "operation": chance.choice(OPERATIONS),
    }
    record: dict[str, Any] = {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "accountId": ACCOUNT,
        "identity": {"arn": [arn] if chance.random() < 0.1 else arn},
        "region": facts["region"],
        "requestId": f"{chance.getrandbits(64):016x}",
        "operation": facts["operation"],
        "modelId": model,
        "input": {"inputContentType": "application/json"},
        "output": {"outputContentType": "application/json"},
    }
    figures = Counter(requests=1)
    error = chance.choice(ERRORS) if chance.random() < 0.02 else None
    if error:
        record["errorCode"] = error
        figures["errors"] = 1
    else:
        used = {"inputTokenCount": chance.randint(0, 9_000), "cacheReadInputTokenCount": chance.choice([0, 4_096])}
        used["cacheWriteInputTokenCount"] = chance.choice([0, 0, 1_024])
        made = 0 if "embed" in model else chance.randint(1, 2_000)
        record["input"] |= used
        record["output"] |= {"outputTokenCount": made} if made else {}
        figures["input_tokens"], figures["completion_tokens"] = used["inputTokenCount"], made
        figures["cache_read_tokens"] = used["cacheReadInputTokenCount"]
        figures["cache_write_tokens"] = used["cacheWriteInputTokenCount"]
    figures["total_tokens"] = figures["input_tokens"] + figures["completion_tokens"]
    return facts, figures, error, record
