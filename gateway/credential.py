"""The gate's own credential at an upstream: one header field, its secret from the environment or a file."""

from __future__ import annotations

import os
import re
from base64 import b64encode

from gateway.secret import InvalidSecret, read_secret
from gateway.settings import CredentialSettings

PRINTABLE = re.compile(r"[\x20-\x7e]+")


def credential_field(settings: CredentialSettings) -> tuple[bytes, bytes]:
    """Name and value of the header.

    Raises:
        InvalidSecret: the secret is missing, or cannot stand in a header.
    """
    secret = _secret(settings)
    if PRINTABLE.fullmatch(secret) is None:
        raise InvalidSecret(f"{settings.file or settings.variable} holds what no header can carry")
    if settings.username:
        value = "Basic " + b64encode(f"{settings.username}:{secret}".encode()).decode()  # RFC 7617 §2
    else:
        value = settings.prefix + secret
    return settings.header.lower().encode(), value.encode()


def _secret(settings: CredentialSettings) -> str:
    if settings.file:
        return read_secret(settings.file)
    secret = os.environ.get(settings.variable, "").strip()
    if not secret:
        raise InvalidSecret(f"the environment variable {settings.variable} is empty or not set; put the secret there")
    return secret
