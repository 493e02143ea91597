"""Secrets that settings name: from a file of their own, as containers and secret stores mount them."""

from __future__ import annotations

from pathlib import Path

MAX_SECRET = 65_536  # bytes of a file


class InvalidSecret(ValueError):
    """A secret cannot be read or used; the text names its file, and never what is in it."""


def read_secret(file: str) -> str:
    """What a file holds, without blanks around it.

    Raises:
        InvalidSecret: it cannot be read, is empty, or is too large to be a secret.
    """
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(MAX_SECRET + 1)
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name
        cause = error.strerror if isinstance(error, OSError) else error
        raise InvalidSecret(f"{file} cannot be read ({cause}); check its name and permissions") from None
    if len(text) > MAX_SECRET:
        raise InvalidSecret(f"{file} is larger than {MAX_SECRET} bytes, so hardly a secret")
    try:
        secret = text.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise InvalidSecret(f"{file} is not text in UTF-8") from None
    if not secret:
        raise InvalidSecret(f"{file} is empty; write the secret into it")
    return secret
