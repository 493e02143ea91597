"""One visit to a server: what is known of it so far, shared by the steps that find it out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from conformance.challenges import Challenge
from conformance.wire import Answer
from deploy.doctor.asking import Asker, NotAsked
from deploy.doctor.findings import Findings
from deploy.doctor.fronts import Front
from discovery.location import Location

JSON = ("Accept", "application/json")


class CannotExamine(Exception):
    """There is nothing to examine; the text says what to do."""


@dataclass(frozen=True)
class Question:
    """What the operator asks about. The token is in no repr."""

    url: str
    token: str = field(default="", repr=False)
    origin: str = ""  # of a web page that will call
    tool: str = ""  # one that is slow and tells of its progress
    arguments: dict[str, Any] = field(default_factory=dict)
    patience: float = 10.0


@dataclass
class Visit:
    """A server as it is getting known."""

    question: Question
    home: Location
    asker: Asker
    now: Callable[[], float] = time.time
    findings: Findings = field(default_factory=Findings)
    front: Front | None = None
    challenge: Challenge | None = None
    metadata: dict[str, Any] = field(default_factory=dict)  # of the resource, as a client would use it
    issuer: dict[str, Any] = field(default_factory=dict)  # metadata of the first issuer
    claims: dict[str, Any] | None = None  # of the token, not verified
    revisions: tuple[str, ...] = ()  # that the server answers with the token

    @property
    def url(self) -> str:
        """The URL that the operator asks about; scheme, host and port as every client spells them."""
        return self.home.origin + self.home.path

    @property
    def scopes(self) -> list[str]:
        """The scopes a client would ask for: the challenge's, else those of the metadata."""
        listed = self.metadata.get("scopes_supported")
        named = self.challenge.scopes if self.challenge else []
        return named or [each for each in (listed if isinstance(listed, list) else []) if isinstance(each, str)]

    def at(self, topic: str, change: str) -> str:
        """A change, with the line for the front that stands here if there is one that is known."""
        line = self.front.lines.get(topic) if self.front else None
        return f"{change} At {self.front.name}: {line}" if self.front and line else change

    async def get(self, url: str, *headers: tuple[str, str], method: str = "GET") -> Answer:
        """A document, or a preflight for one; what must not be asked is an answer that says so."""
        try:
            return await self.asker.ask(method, url, [JSON, *headers])
        except NotAsked as why:
            return Answer(method, url, (), b"", note=f"not asked: {why}")
