"""The server under judgement: where it is, what is known about it, and how it is spoken to."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from . import revisions
from .addresses import is_loopback, is_near, may_fetch, split
from .challenges import Challenge, bearer
from .control import Control
from .options import Options
from .redaction import Redaction
from .revisions import HANDSHAKE, MODERN, Message
from .upstream import Upstream
from .wire import Answer, Done, Header, Wire

if TYPE_CHECKING:
    from .login import Journey

Fields = Mapping[str, str | None] | Iterable[Header]
WELL_KNOWN = "/.well-known/oauth-protected-resource"
STREAM_SECONDS = 3.0  # how long an event stream is read that nothing ends


class CannotJudge(Exception):
    """There is nothing to judge; the text says what to do."""


@dataclass
class Discovered:
    """What a client without a token finds."""

    refusal: Answer
    challenge: Challenge | None
    documents: dict[str, Answer] = field(default_factory=dict)  # by place: challenge, path, root

    def metadata(self) -> dict[str, Any]:
        """The resource metadata that a client would use: of the challenge, else with the path, else of the root."""
        for answer in self.documents.values():
            if answer.status == 200 and isinstance(found := answer.json(), dict):
                return found
        return {}


class Target:
    """A protected MCP server, with everything the judge was given to open it."""

    def __init__(self, options: Options, wire: Wire, secrets: Redaction) -> None:
        self.options = options
        self.url = options.url
        parts = split(options.url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.path = parts.path
        self.host = parts.netloc
        self.loopback = is_loopback(parts.hostname or "")
        self.near = is_near(parts.hostname or "")
        self.wire = wire
        wire.home = self.origin
        self.secrets = secrets
        self.token = options.token
        self.second_token = options.second_token
        self.low_token = options.low_token
        self.control: Control | None = None
        self.upstream: Upstream | None = None
        self.spoken: tuple[str, ...] = options.revisions
        self.journey: Journey | None = None
        self.no_journey = ""
        self.no_token = ""  # why a login gave none
        self.server_metadata: dict[str, Any] = {}
        self.server_answer: Answer | None = None
        self.found: Discovered = Discovered(Answer("POST", options.url, (), b""), None)

    @property
    def usual(self) -> str:
        """The revision for what does not depend on one: the newest that the target speaks."""
        return self.spoken[-1] if self.spoken else MODERN

    def discover(self) -> Discovered:
        """What a client without a token finds; the first thing that is asked of a target.

        Raises:
            CannotJudge: nobody answers.
        """
        caller = Caller(self, self.usual, None)
        refusal = caller.post(revisions.opening(self.usual))
        if not refusal.status:
            refusal = caller.post(revisions.opening(self.usual))  # a cold start may take one try
        if not refusal.status:
            raise CannotJudge(
                f"{self.url} cannot be judged: {refusal.note}. Check the URL, and that the server is up and reachable."
            )
        self.found = Discovered(refusal, bearer(refusal.all("www-authenticate")))
        said = self.found.challenge.get("resource_metadata") if self.found.challenge else None
        places = {"challenge": said, "path": self.origin + WELL_KNOWN + self.path.rstrip("/")}
        if self.path.rstrip("/"):
            places["root"] = self.origin + WELL_KNOWN
        for place, url in places.items():
            if url and may_fetch(url, self.near):
                self.found.documents[place] = self.get(url)
        return self.found

    def get(self, url: str, headers: Iterable[Header] = (), method: str = "GET") -> Answer:
        """A document; nothing is followed."""
        return self.wire.send(method, url, [("Accept", "application/json"), *headers])

    def speaks(self) -> tuple[str, ...]:
        """The revisions that the target answers with a valid token, in order.

        Raises:
            CannotJudge: the token is refused, or no revision is spoken.
        """
        found, said = [], []
        for revision in self.options.revisions:
            answer = self.caller(revision).post(revisions.opening(revision))
            said.append(f"{revision}: {answer.said()}")
            result = answer.result() or {}
            if revision == MODERN and isinstance(listed := result.get("supportedVersions"), list):
                found += [revision] if revision in listed else []
            elif result.get("protocolVersion") == revision:
                found.append(revision)
        if not found:
            raise CannotJudge(
                f"{self.url} does not answer a request with the token: {'; '.join(said)}. Check that the token is "
                "valid for this resource, and with --issuer-port that the target trusts the suite's issuer."
            )
        return tuple(found)

    def caller(self, revision: str, token: str | None = None) -> Caller:
        """A client of one revision with a valid token, unless given another."""
        return Caller(self, revision, self.token if token is None else token)

    def stranger(self, revision: str) -> Caller:
        """A client without a token."""
        return Caller(self, revision, None)

    def opened(self, revision: str, token: str | None = None) -> Caller:
        """A client with a session, where its revision has them and the target gives one."""
        return self.caller(revision, token).open()


@dataclass
class Caller:
    """One client of one revision. Given `headers` replace the usual ones; a value of None leaves one out."""

    target: Target
    revision: str
    token: str | None
    session: str = ""
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(2))

    def post(
        self, sent: Any, headers: Fields = (), *, body: bytes | None = None, query: str = "", done: Done | None = None
    ) -> Answer:
        """The answer to a message."""
        fields = self.fields(revisions.headers(self.revision, sent), headers)
        content = json.dumps(sent).encode() if body is None else body
        ended = done or _answered(sent)
        return _judgeable(self.target.wire.send("POST", self.target.url + query, fields, content, done=ended))

    def send(self, verb: str, headers: Fields = (), *, seconds: float = STREAM_SECONDS) -> Answer:
        """The answer to a request without a body; a stream of events is read for `seconds`, or until an event."""
        version = {} if self.revision == HANDSHAKE[0] else {"MCP-Protocol-Version": self.revision}
        fields = self.fields({"Accept": "text/event-stream", **version}, headers)
        return _judgeable(self.target.wire.send(verb, self.target.url, fields, done=_one_event, patience=seconds))

    def fields(self, usual: Mapping[str, str], headers: Fields) -> list[Header]:
        """The header fields of a request: the usual ones, the credentials, and what replaces them."""
        made: dict[str, str] = dict(usual)
        if self.token is not None:
            made["Authorization"] = f"Bearer {self.token}"
        if self.session:
            made["Mcp-Session-Id"] = self.session
        given = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        replaced = {name.lower() for name, _ in given}
        kept = [(name, value) for name, value in made.items() if name.lower() not in replaced]
        return kept + [(name, value) for name, value in given if value is not None]

    def ask(self, method: str, params: Mapping[str, Any] | None = None, headers: Fields = (), **more: Any) -> Answer:
        """The answer to a request of a method."""
        return self.post(self.message(method, params), headers, **more)

    def message(self, method: str, params: Mapping[str, Any] | None = None) -> Message:
        """A request of a method, with a number of its own."""
        return revisions.message(self.revision, method, params, next(self.numbers))

    def start(self) -> Answer:
        """The answer to the smallest request of the revision."""
        return self.post(revisions.opening(self.revision))

    def open(self) -> Caller:
        """This client, with a session where the target gives one."""
        if self.revision != MODERN:
            answer = self.start()
            if not answer.ok:
                pytest.skip(f"No session can be opened: initialize was answered {answer.said()}.")
            self.session = answer.header("mcp-session-id")
            self.target.secrets.hide(self.session)
            self.post(revisions.notification(self.revision))
        return self

    def with_token(self, token: str | None) -> Caller:
        """The same session with another token, or none."""
        return Caller(self.target, self.revision, token, self.session, self.numbers)


def _answered(sent: Any) -> Done | None:
    """Whether a stream holds the answer to this request."""
    if not isinstance(sent, dict) or "id" not in sent or sent.get("method") == "subscriptions/listen":
        return None
    marks = [f'"id":{sent["id"]}'.encode(), f'"id": {sent["id"]}'.encode()]

    def done(body: bytes) -> bool:
        return body.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) and any(mark in body for mark in marks)

    return done


def _one_event(body: bytes) -> bool:
    return b"data:" in body and body.endswith((b"\n\n", b"\r\n\r\n"))


def _judgeable(answer: Answer) -> Answer:
    """The answer, unless the target only says that it was asked too often."""
    if answer.status == 429:
        wait = answer.header("retry-after")
        time.sleep(min(int(wait), 5) if wait.isdecimal() and len(wait) < 5 else 1)
        pytest.skip("The target answered 429: it limits how often it is asked, so this could not be judged.")
    return answer
