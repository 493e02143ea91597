"""A small AWS on loopback: the wire protocols of CloudWatch Logs, Cost Explorer and Bedrock, refusals included."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from tests.tools.bedrock.query import Malformed, parse
from tests.tools.bedrock.records import PROFILE, PROFILE_MODEL, Log

LOG_GROUP = "/aws/bedrock/modelinvocations"
EVENTS_PAGE = 10_000
PAGE_BYTES = 1_000_000
ROWS_PAGE = 10_000
MAX_ROWS = 100_000
MAX_QUERIES = 100
TOO_OLD = (  # as AWS says it
    "Query's end date and time is either before the log groups creation time or exceeds the log groups log retention "
    "settings ([0,79])"
)
Answer = dict[str, Any]


class Refusal(Exception):
    """An error of AWS."""

    def __init__(self, code: str, message: str = "no") -> None:
        super().__init__(code)
        self.code = code
        self.message = message


@dataclass
class Running:
    """A query."""

    statuses: deque[str]
    rows: list[Any]
    scanned: int
    stopped: bool = False


@dataclass
class Cloud:
    """What it holds, what it was asked, and how it is to misbehave."""

    logs: dict[str, Log] = field(default_factory=dict)  # by name of the group
    bill: Callable[[str, Answer], Answer] | None = None  # answers Cost Explorer
    profiles: dict[str, list[str]] = field(default_factory=lambda: {PROFILE: [PROFILE_MODEL]})
    asked: list[tuple[str, Answer, str]] = field(default_factory=list)  # operation, arguments, access key
    failures: dict[str, deque[Refusal]] = field(
        default_factory=lambda: defaultdict(deque)
    )  # the next ones, by operation
    statuses: tuple[str, ...] = ("Scheduled", "Running", "Complete")
    max_rows: int = MAX_ROWS
    since: int = 0  # seconds; the log groups are not older
    sts_refuses: str = "AccessDenied"  # with this code; a test that wants STS has moto
    queries: dict[str, Running] = field(default_factory=dict)
    waited: threading.Event = field(default_factory=threading.Event)  # a query was looked at
    stopped: threading.Event = field(default_factory=threading.Event)
    _number: Iterator[int] = field(default_factory=itertools.count)
    url: str = ""

    def operations(self) -> list[str]:
        """Every operation asked for, in order."""
        return [operation for operation, _, _ in self.asked]

    def fail(self, operation: str, code: str, times: int = 1) -> None:
        """Have the next calls refused."""
        self.failures[operation].extend(Refusal(code) for _ in range(times))

    def answer(self, operation: str, arguments: Answer, key: str) -> Answer:
        """What it answers."""
        self.asked.append((operation, arguments, key))
        if self.failures[operation]:
            raise self.failures[operation].popleft()
        if operation in ("GetCostAndUsage", "GetDimensionValues"):
            if self.bill is None:
                raise Refusal("AccessDeniedException", "User: arn:aws:iam::1:user/x is not authorized")
            return self.bill(operation, arguments)
        found: Answer = getattr(self, f"_{operation}")(arguments)
        return found

    def _log(self, arguments: Answer) -> Log:
        if arguments["logGroupName"] not in self.logs:
            raise Refusal("ResourceNotFoundException", "The specified log group does not exist.")
        return self.logs[arguments["logGroupName"]]

    def _StartQuery(self, arguments: Answer) -> Answer:  # noqa: N802 - AWS's name
        log = self._log(arguments)
        if sum(len(query.statuses) > 1 for query in self.queries.values()) >= MAX_QUERIES:
            raise Refusal("LimitExceededException")
        try:
            query = parse(arguments["queryString"])
        except Malformed as error:
            raise Refusal("MalformedQueryException", str(error)) from None
        if arguments["endTime"] <= self.since:
            raise Refusal("MalformedQueryException", TOO_OLD)
        start, end = arguments["startTime"] * 1000, arguments["endTime"] * 1000
        found = [(at, log.flat[number]) for at, number in log.between(start, end)]
        rows = query.run(found)[: min(arguments.get("limit", 10_000), self.max_rows)]
        name = f"query-{next(self._number)}"
        self.queries[name] = Running(deque(self.statuses), rows, len(found))
        return {"queryId": name}

    def _GetQueryResults(self, arguments: Answer) -> Answer:  # noqa: N802
        query = self.queries[arguments["queryId"]]
        self.waited.set()
        status = query.statuses.popleft() if len(query.statuses) > 1 else query.statuses[0]
        statistics = {
            "recordsMatched": float(len(query.rows)),
            "recordsScanned": float(query.scanned),
            "bytesScanned": 0.0,
        }
        answer: Answer = {"status": status, "results": [], "statistics": statistics}
        if status == "Complete":
            start = int(arguments.get("nextToken", 0))
            end = start + min(arguments.get("maxItems", ROWS_PAGE), ROWS_PAGE)
            answer["results"] = query.rows[start:end]
            answer |= {"nextToken": str(end)} if end < len(query.rows) else {}
        return answer

    def _StopQuery(self, arguments: Answer) -> Answer:  # noqa: N802
        query = self.queries[arguments["queryId"]]
        if query.statuses[0] not in ("Scheduled", "Running"):
            raise Refusal("InvalidParameterException", "query is not running")
        query.stopped = True
        self.stopped.set()
        return {"success": True}

    def _FilterLogEvents(self, arguments: Answer) -> Answer:  # noqa: N802
        """Every other page is empty, as AWS's may be."""
        log = self._log(arguments)
        at, _, empty = arguments.get("nextToken", "0 full").partition(" ")
        position = int(at)
        if empty == "empty":
            return {"events": [], "nextToken": f"{position} full"}
        events: list[Answer] = []
        size = 0
        limit = min(arguments.get("limit", EVENTS_PAGE), EVENTS_PAGE)
        while position < len(log) and len(events) < limit and size < PAGE_BYTES:
            time, message = log.times[position], log.messages[log.numbers[position]]
            position += 1
            if arguments["startTime"] <= time <= arguments["endTime"]:
                events.append({"timestamp": time, "message": message, "logStreamName": "aws/bedrock/modelinvocations"})
                size += len(message)
        return {"events": events} | ({"nextToken": f"{position} empty"} if position < len(log) else {})

    def _GetInferenceProfile(self, arguments: Answer) -> Answer:  # noqa: N802
        name = arguments["inferenceProfileIdentifier"]
        if name not in self.profiles:
            raise Refusal("ResourceNotFoundException", f"no profile {name}")
        return {"inferenceProfileArn": name, "models": [{"modelArn": model} for model in self.profiles[name]]}


class _Handler(BaseHTTPRequestHandler):
    cloud: Cloud
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["content-length"]))
        if "x-amz-target" not in self.headers:  # STS speaks forms and XML
            code = f"<Error><Code>{self.cloud.sts_refuses}</Code><Message>no</Message></Error>"
            self._send(403, f"<ErrorResponse>{code}</ErrorResponse>".encode(), "text/xml")
            return
        body = json.loads(sent or b"{}")
        self._answer(self.headers["x-amz-target"].rpartition(".")[2], body)

    def do_GET(self) -> None:
        name = unquote(self.path.removeprefix("/inference-profiles/"))
        self._answer("GetInferenceProfile", {"inferenceProfileIdentifier": name})

    def _answer(self, operation: str, arguments: Answer) -> None:
        found = re.search(r"Credential=([^/]+)", self.headers.get("authorization", ""))
        try:
            status, answer = 200, self.cloud.answer(operation, arguments, found[1] if found else "")
        except Refusal as refusal:
            status, answer = 400, {"__type": refusal.code, "message": refusal.message}
        self._send(status, json.dumps(answer).encode(), "application/x-amz-json-1.1", answer.get("__type", ""))

    def _send(self, status: int, sent: bytes, kind: str, error: str = "") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        if error:
            self.send_header("x-amzn-errortype", error)
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing: what was asked is remembered."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def serving(cloud: Cloud) -> Iterator[Cloud]:
    """The cloud at its `url`, until the end of the block."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"cloud": cloud}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    cloud.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
