"""What the judge is told about a target."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .revisions import REVISIONS


@dataclass(frozen=True)
class Login:
    """How the judge logs in: as whom, and as which client."""

    name: str = ""
    password: str = field(default="", repr=False)
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    client_document: str = ""  # the https URL of a client id metadata document
    redirect_uri: str = ""  # registered for `client_id`; without one a free port of 127.0.0.1
    browser: bool = False  # a person logs in


@dataclass(frozen=True)
class Options:
    """One judgement: the target, what is known about it, and what is asked."""

    url: str
    revisions: tuple[str, ...] = REVISIONS
    token: str = field(default="", repr=False)
    second_token: str = field(default="", repr=False)  # of another principal
    low_token: str = field(default="", repr=False)  # of the first, without some scope
    login: Login = Login()
    second_login: Login = Login()
    issuer_port: int | None = None
    issuer_host: str = "127.0.0.1"
    issuer_url: str = ""
    issuer_clients: tuple[str, ...] = ()  # ID[:SECRET]=REDIRECT, of a gateway that logs in there itself
    audience: str = ""
    scopes: tuple[str, ...] | None = None  # None: what the challenge or the metadata name
    low_scopes: tuple[str, ...] | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    client: str = "mcp-conformance"  # the client_id of tokens the suite makes
    upstream_port: int | None = None
    upstream_host: str = "127.0.0.1"
    privileged_tool: str = ""
    privileged_arguments: dict[str, Any] = field(default_factory=dict)
    state_tool: str = ""
    other_url: str = ""
    allowed_origin: str = ""
    logs: tuple[Path, ...] = ()
    only: tuple[str, ...] = ()
    strict: bool = False
    patience: float = 10.0
    seconds: float = 300.0
    grace: float = 12.0  # seconds for which a used refresh token may go on working
