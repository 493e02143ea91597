"""What a person or a script chose: where to connect, as whom, and how tokens are come by."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from client.errors import BadInput
from discovery.address import is_loopback
from discovery.fetch import NO_AUTHORITIES
from discovery.location import InvalidLocation, Location

METHODS = ("oauth", "lambda", "auto")
DEFAULT_URL = "http://localhost:8000/mcp"  # where `bearergate dev` listens
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The choices of one run; secrets are left out of its repr."""

    url: str = DEFAULT_URL
    auth_method: str = "auto"
    access_token: str = field(default="", repr=False)  # for `lambda`: sent as it is
    client_id: str = ""  # registered beforehand
    client_secret: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)  # a private key in PEM, in place of a secret
    workload_token: str = field(default="", repr=False)  # of the platform the client runs on, in place of both
    client_metadata_url: str = ""  # a client id metadata document, for issuers that take one
    client_credentials: bool = False  # the client is a machine and speaks for itself
    redirect_uri: str = ""  # empty: a loopback port that is free
    scope: str = ""  # asked for beside what the server demands
    issuer: str = ""  # the issuer that the client id belongs to
    browser: bool = True
    allow_hosts: frozenset[str] = frozenset()  # that may be at private addresses
    debug: bool = False
    folder: Path = field(default_factory=lambda: state_folder(os.environ))

    def __post_init__(self) -> None:
        location_of(self.url, "the server's URL")
        if self.auth_method not in METHODS:
            raise BadInput(f"AUTH_METHOD is {self.auth_method!r}: use one of {', '.join(METHODS)}")
        if self.client_metadata_url:
            _check_metadata_url(self.client_metadata_url)
        if self._proof and not self.client_id:
            raise BadInput("A client secret or key needs its client id: set OAUTH_CLIENT_ID or give --client-id")
        if self.client_credentials and not (self.client_id and self._proof):
            raise BadInput("Client credentials need a client id, and its secret, its key or a workload token")

    @property
    def _proof(self) -> str:
        return self.client_secret or self.client_key or self.workload_token

    @property
    def permitted_hosts(self) -> frozenset[str]:
        """Hosts that may be private or loopback: those named, and the server's own, which a person chose.

        A server on this machine may have its issuer on this machine.
        """
        host = Location.of(self.url).host
        return self.allow_hosts | (LOOPBACK | {host} if is_loopback(host) else {host})


def from_environment(environment: Mapping[str, str], **over: object) -> Settings:
    """The settings of the environment, with what the command line says (and is not None) on top.

    Raises:
        BadInput: one of them cannot be used.
    """
    check_authorities(environment.get("SSL_CERT_FILE"))
    known = {
        "url": environment.get("MCP_SERVER_URL"),
        "auth_method": environment.get("AUTH_METHOD"),
        "access_token": environment.get("ACCESS_TOKEN"),
        "client_id": environment.get("OAUTH_CLIENT_ID"),
        "client_secret": environment.get("OAUTH_CLIENT_SECRET"),
        "client_metadata_url": environment.get("OAUTH_CLIENT_METADATA_URL"),
        "redirect_uri": environment.get("OAUTH_REDIRECT_URI"),
        "issuer": environment.get("OAUTH_ISSUER"),
        "scope": environment.get("OAUTH_SCOPE"),
        "debug": environment.get("MCP_CLIENT_DEBUG", "").lower() in ("true", "1", "on") or None,
        "folder": state_folder(environment),
    }
    chosen = {**known, **{name: value for name, value in over.items() if value is not None}}
    return Settings(**{name: value for name, value in chosen.items() if value})  # type: ignore[arg-type]


def check_authorities(file: str | None) -> None:
    """Whether the authorities that somebody chose can be read, before each connection says that it cannot be made.

    Raises:
        BadInput: they cannot.
    """
    if not file:
        return
    try:
        ssl.create_default_context(cafile=file)
    except OSError:  # ssl.SSLError is one
        raise BadInput(NO_AUTHORITIES) from None


def state_folder(environment: Mapping[str, str]) -> Path:
    """Where tokens, locks and the history live: the XDG state directory.

    Raises:
        BadInput: nothing says where that is.
    """
    if base := environment.get("XDG_STATE_HOME"):
        return Path(base) / "bearergate"
    try:
        return Path.home() / ".local" / "state" / "bearergate"
    except RuntimeError:  # a container's user without a name
        raise BadInput("There is no home to keep tokens in: set HOME or XDG_STATE_HOME") from None


def location_of(url: str, what: str) -> Location:
    """The parts of a URL that somebody chose.

    Raises:
        BadInput: it is no https URL (http on loopback).
    """
    try:
        return Location.of(url)
    except InvalidLocation as error:
        raise BadInput(f"{what} cannot be used: {error}") from None


def _check_metadata_url(url: str) -> None:
    """The shape of a client id that is a URL (OAuth Client ID Metadata Document, §3)."""
    location = location_of(url, "the client metadata URL")
    if location.scheme != "https" or location.path in ("", "/"):
        raise BadInput("The client metadata URL must be https and have a path")
