"""The server under judgement: where it is, what is known about it, and how it is spoken to."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from . import revisions
from .addresses import is_loopback, is_near, join, may_fetch, split
from .challenges import SCOPE, Challenge, bearer
from .control import Control
from .options import Options
from .redaction import Redaction
from .revisions import HANDSHAKE, MODERN, Message
from .upstream import Upstream
from .wire import Answer, Done, Header, TargetGone, Wire, as_object, strings

if TYPE_CHECKING:
    from .login import Journey

Fields = Mapping[str, str | None] | Iterable[Header]
WELL_KNOWN = "/.well-known/oauth-protected-resource"
ENDING = 5.0  # seconds that ending sessions may take
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
        self.query = f"?{parts.query}" if parts.query else ""
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
        self.sessions: dict[str, tuple[str, str | None]] = {}  # those that were opened: of which revision, by whom
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
        refusal = self._refusal()
        self.found = Discovered(refusal, bearer(refusal.all("www-authenticate")))
        said = self.found.challenge.get("resource_metadata") if self.found.challenge else None
        inserted = (self.path if self.path != "/" else "") + self.query
        places = {"challenge": said, "path": self.origin + WELL_KNOWN + inserted}
        if inserted:
            places["root"] = self.origin + WELL_KNOWN
        for place, url in places.items():
            if url and may_fetch(url, self.near):
                answer = self.get(url)
                if not answer.ok and place == "path" and url.endswith("/"):
                    answer = self.get(url.rstrip("/"))  # clients disagree about a slash at the end
                self.found.documents[place] = answer
        return self.found

    def _refusal(self) -> Answer:
        """What a stranger hears of the newest revision that the target knows."""
        first = self.stranger(self.usual).start()
        if not first.status:
            first = self.stranger(self.usual).start()  # a cold start may take one try
        if not first.status:
            raise CannotJudge(
                f"{self.url} cannot be judged: {first.note}. Check the URL, and that the server is up and reachable."
            )
        location = join(self.url, first.header("location"))
        if 300 <= first.status < 400 and _same_but_for_slash_or_scheme(location, self.url):
            raise CannotJudge(f"{self.url} redirects to {location}: judge that URL.")
        refusals = {each: self.stranger(each).start() for each in self.options.revisions if each != self.usual}
        refusals[self.usual] = first
        if not (asking := [each for each in self.options.revisions if refusals[each].status == 401]):
            return first
        # Who asks for a token at one revision and calls another a bad request does not speak that one.
        self.spoken = tuple(each for each in self.options.revisions if refusals[each].status != 400)
        return refusals[asking[-1]]

    def scopes(self) -> list[str]:
        """What a client asks for first: the scopes of the challenge, else those of the metadata."""
        named = self.found.challenge.scopes if self.found.challenge else []
        listed = strings(self.found.metadata().get("scopes_supported"))
        return [each for each in named or listed if SCOPE.fullmatch(each)]

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

    def end_sessions(self) -> None:
        """End the sessions that were opened, as many as some seconds allow, unless the target lets nobody."""
        ends = time.monotonic() + ENDING
        with contextlib.suppress(TargetGone, pytest.skip.Exception):
            for session, (revision, token) in self.sessions.items():
                answer = Caller(self, revision, token, session).send("DELETE", seconds=1)
                if answer.status in (0, 405, 501) or time.monotonic() > ends:
                    return

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
        url = self.target.url + (query.replace("?", "&") if self.target.query else query)
        answer = _judgeable(self.target.wire.send("POST", url, fields, content, done=ended))
        if answer.ok and self.revision != MODERN and (opened := answer.header("mcp-session-id")):
            self.target.sessions.setdefault(opened, (self.revision, self.token))
        return answer

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

    def tools(self) -> list[dict[str, Any]]:
        """The tools that are listed, as far as they are objects with a name."""
        listed = (self.ask("tools/list").result() or {}).get("tools")
        found = map(as_object, listed if isinstance(listed, list) else [])
        return [each for each in found if isinstance(each.get("name"), str)]

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


def _same_but_for_slash_or_scheme(url: str, other: str) -> bool:
    one, two = split(url), split(other)
    same = (one.hostname, one.path.rstrip("/"), one.query) == (two.hostname, two.path.rstrip("/"), two.query)
    return same and (one.scheme, one.path) != (two.scheme, two.path)


def _judgeable(answer: Answer) -> Answer:
    """The answer, unless the target only says that it was asked too often."""
    if answer.status == 429:
        wait = answer.header("retry-after")
        time.sleep(min(int(wait), 5) if wait.isdecimal() and len(wait) < 5 else 1)
        pytest.skip("The target answered 429: it limits how often it is asked, so this could not be judged.")
    return answer
