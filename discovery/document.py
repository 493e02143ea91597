"""JSON documents as strangers send them: an object, or one sentence why not."""

from __future__ import annotations

import msgspec


class InvalidDocument(ValueError):
    """The bytes are not a JSON object; the text says why and repeats nothing of them."""


def read(document: bytes) -> dict[str, object]:
    """The members of a JSON object; of a member given twice, the last.

    Raises:
        InvalidDocument: not JSON, not an object, or nested too deeply.
    """
    try:
        return msgspec.json.decode(document, type=dict[str, object])
    except (ValueError, RecursionError) as error:  # msgspec.DecodeError and UnicodeDecodeError are ValueErrors
        raise InvalidDocument(f"not a JSON object ({_cause(error)})") from None


def quoted(value: object) -> str:
    """A stranger's value for an error text: escaped, and no longer than a line."""
    return repr(value)[:200]


def _cause(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error)
