"""What the facade seals, by purpose: everything a login needs to remember travels in one of these."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

import msgspec

# Purposes: a value sealed for one never opens as another.
CLIENT = "client"
CONSENT = "consent"
APPROVALS = "approvals"
STATE = "state"
CODE = "code"
REFRESH = "refresh"

CONSENT_SECONDS = 15 * 60  # to read a page and decide
STATE_SECONDS = 30 * 60  # to log in at the issuer, a forgotten password and a second factor included
CODE_SECONDS = 60


class Registration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A client that registered itself: its `client_id` is this, sealed."""

    redirect_uris: tuple[str, ...]
    name: str = ""


class Wish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client asked for at the authorization endpoint, once it was checked."""

    client: str  # `fingerprint` of its id
    redirect_uri: str
    challenge: str  # PKCE, S256
    resource: str
    scopes: tuple[str, ...]
    state: str | None = None
    browser: str = ""  # `fingerprint` of the browser's cookie


class Consent(msgspec.Struct, frozen=True):
    """A consent page under way."""

    wish: Wish
    client_id: str
    hints: dict[str, str] = {}  # parameters for the issuer's login


class Flow(msgspec.Struct, frozen=True):
    """A login under way at the issuer: what `state` is."""

    wish: Wish
    verifier: str  # our own PKCE towards the issuer


class Code(msgspec.Struct, frozen=True, array_like=True):
    """The issuer's code, on its way to the client that may redeem it: in a URL, so nothing more than that takes."""

    code: str
    verifier: str  # our own PKCE towards the issuer
    client: str  # `fingerprint` of its id
    redirect_uri: str  # `fingerprint` of it
    challenge: str
    resource: str
    scopes: tuple[str, ...]


class Refresh(msgspec.Struct, frozen=True):
    """The issuer's refresh token, and who may use it for what."""

    token: str
    client: str
    resource: str
    scopes: tuple[str, ...]


def fingerprint(text: str) -> str:
    """A short stand-in for a text: 128 bits of its SHA-256."""
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).rstrip(b"=").decode()


def s256(verifier: str) -> str:
    """The PKCE challenge of a verifier (RFC 7636 §4.2)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
