"""Takes out of everything that is reported what must not be in it: secrets, and what would steer a terminal."""

from __future__ import annotations

import html
import json
import re
from urllib.parse import quote, quote_plus

_HIDDEN = "[redacted]"
# A token that was cut is one too, if it is a JSON object that begins in the usual way.
_JWT = re.compile(
    r"(?<![A-Za-z0-9_-])(?:ey[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}|eyJ[A-Za-z0-9_-]{16,}(?:\.[A-Za-z0-9_-]*)?)"
)
_MEMBERS = "access_token|refresh_token|id_token|client_secret|code|code_verifier|password|assertion|state|api_key"
_FIELD = re.compile(rf'((?:^|[?&;\s"])(?:{_MEMBERS}|token|authorization)=)([^&\s";,]{{6,}})', re.IGNORECASE)
_MEMBER = re.compile(rf'("(?:{_MEMBERS})"\s*:\s*")([^"]{{6,}})(")')
_HEADERS = {"authorization", "cookie", "set-cookie", "proxy-authorization", "dpop", "x-api-key", "mcp-session-id"}
_SHORT = 6  # characters; anything shorter would take words apart
_BEGINNING = 12  # characters of a secret by which it is known where it was cut
# Control characters, marks that turn the direction of writing, and what neither XML nor UTF-8 can hold.
_STEERING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


class Redaction:
    """What must not be shown; `hide` adds a secret, and the two methods take out all of them."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def hide(self, *secrets: str | None) -> None:
        """Never show these from now on, as they are or escaped for a URL, JSON or HTML."""
        for secret in secrets:
            if secret and len(secret) >= _SHORT:
                safe = secret.encode("utf-8", "replace")
                self._secrets |= {secret, quote(safe), quote(safe, safe=""), quote_plus(safe)}
                self._secrets |= {json.dumps(secret)[1:-1], html.escape(secret)}

    def text(self, text: str) -> str:
        """The text without secrets, and with every character to be seen that would steer who shows it."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        text = _JWT.sub("[a token]", text)
        for beginning in {secret[:_BEGINNING] for secret in self._secrets if len(secret) > _BEGINNING}:
            if beginning in text:  # of one that was cut
                text = re.sub(re.escape(beginning) + r"[^\s\"'<>&;,]*", _HIDDEN, text)
        text = _MEMBER.sub(rf"\1{_HIDDEN}\3", text)
        return _STEERING.sub(lambda found: ascii(found[0])[1:-1], _FIELD.sub(rf"\1{_HIDDEN}", text))

    def header(self, name: str, value: str) -> str:
        """The value of a header field without secrets; of credentials the scheme and the length are left."""
        if name.lower() not in _HEADERS:
            return self.text(value)
        scheme, blank, rest = value.partition(" ")
        if name.lower() == "authorization" and blank and len(scheme) <= 10:
            return f"{scheme} [{len(rest)} characters]"
        return f"[{len(value)} characters]"
