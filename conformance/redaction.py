"""Takes secrets out of everything that is reported: those that are known, and what looks like one."""

from __future__ import annotations

import html
import json
import re
from urllib.parse import quote, quote_plus

_HIDDEN = "[redacted]"
_JWT = re.compile(r"\bey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*)?")
_MEMBERS = "access_token|refresh_token|id_token|client_secret|code|code_verifier|password|assertion|state|api_key"
_FIELD = re.compile(rf'((?:^|[?&;\s"])(?:{_MEMBERS}|token|authorization)=)([^&\s";,]{{6,}})', re.IGNORECASE)
_MEMBER = re.compile(rf'("(?:{_MEMBERS})"\s*:\s*")([^"]{{6,}})(")')
_HEADERS = {"authorization", "cookie", "set-cookie", "proxy-authorization", "dpop", "x-api-key", "mcp-session-id"}
_SHORT = 6  # characters; anything shorter would take words apart


class Redaction:
    """What must not be shown; `hide` adds a secret, and the two methods take out all of them."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def hide(self, *secrets: str | None) -> None:
        """Never show these from now on, as they are or escaped for a URL, JSON or HTML."""
        for secret in secrets:
            if secret and len(secret) >= _SHORT:
                self._secrets |= {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
                self._secrets |= {json.dumps(secret)[1:-1], html.escape(secret)}

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        text = _JWT.sub("[a token]", text)
        text = _MEMBER.sub(rf"\1{_HIDDEN}\3", text)
        return _FIELD.sub(rf"\1{_HIDDEN}", text)

    def header(self, name: str, value: str) -> str:
        """The value of a header field without secrets; of credentials the scheme and the length are left."""
        if name.lower() not in _HEADERS:
            return self.text(value)
        scheme, blank, rest = value.partition(" ")
        if name.lower() == "authorization" and blank and len(scheme) <= 10:
            return f"{scheme} [{len(rest)} characters]"
        return f"[{len(value)} characters]"
