"""WWW-Authenticate: written exactly, and read from strangers.

    challenge  = scheme [ 1*SP ( token68 / #( name BWS "=" BWS ( token / quoted-string ) ) ) ]   RFC 9110 §11.6.1

Writing refuses what the grammar cannot say, so nothing of a token or a claim can become a header of its own.
Reading is bounded and takes linear time.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import msgspec

from discovery.location import Location

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_LENGTH = 8192  # characters of one header field
MAX_FIELDS = 16  # header fields looked at
MAX_CHALLENGES = 16  # in one field
MAX_PARAMS = 32  # in one challenge

# RFC 9110 §5.6.2, §11.2, §5.6.4. The quantifiers are possessive: no character is looked at twice.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]++")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]++=*+")
_QUOTED = re.compile(r'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*+)"')
_QUOTED_PAIR = re.compile(r"\\(.)")
_SPACES = re.compile(r" ++")
_EQUALS = re.compile(r"[ \t]*+=[ \t]*+")  # BWS "=" BWS
_GAP = re.compile(r"[ \t,]*+")  # commas of a list, empty elements included (RFC 9110 §5.6.1.2)
_ENDS = re.compile(r"[ \t]*+(?:,|\Z)")

_SAYABLE = re.compile(r"[\x20-\x7e]*")  # quoted-string without tabs and obs-text, which some servers mangle
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6750 §3
_TEXT = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6750 §3, error and error_description


class InvalidChallenge(ValueError):
    """The header field does not follow the grammar, or goes beyond a bound; the text repeats nothing of it."""


class Challenge(msgspec.Struct, frozen=True):
    """One challenge: a scheme and what it says, either parameters or a single token68."""

    scheme: str
    params: dict[str, str] = {}
    token68: str = ""

    def is_for(self, scheme: str) -> bool:
        """Whether this challenge is of the scheme; case does not count (RFC 9110 §11.1)."""
        return self.scheme.lower() == scheme.lower()

    def encode(self) -> str:
        """The value of a WWW-Authenticate field, every parameter as a quoted-string.

        Raises:
            ValueError: something in it cannot be said in a header field.
        """
        _require(_TOKEN, self.scheme, "the scheme")
        if self.token68:
            if self.params:
                raise ValueError("a challenge has parameters or a token68, not both")
            return f"{self.scheme} {_require(_TOKEN68, self.token68, 'the token68')}"
        if len({name.lower() for name in self.params}) < len(self.params):
            raise ValueError("a challenge says each parameter once")  # RFC 9110 §11.2
        said = ", ".join(f"{_require(_TOKEN, name, 'a name')}={_quote(self.params[name])}" for name in self.params)
        return f"{self.scheme} {said}" if said else self.scheme


def bearer(
    *,
    resource_metadata: str,
    scope: Iterable[str] = (),
    error: str | None = None,
    error_description: str | None = None,
    realm: str | None = None,
) -> str:
    """The Bearer challenge of a 401 or 403 (RFC 6750 §3, RFC 9728 §5.1).

    `scope` holds single scopes. Without `error` the request had no credentials, and nothing is said about them.

    Raises:
        ValueError: a value outside the characters it may have: a mistake in the program that calls this.
    """
    if isinstance(scope, str):
        raise ValueError("scope is a collection of scopes, not one string")  # noqa: TRY004 - one error for all mistakes
    if error is None and error_description is not None:
        raise ValueError("error_description needs an error to describe")
    Location.of(resource_metadata)  # RFC 9728 §5.1: a URL, so absolute; https but on loopback
    for text in (error, error_description):
        if text is not None:
            _require(_TEXT, text, "error or its description")
    params = {
        "realm": realm,
        "error": error,
        "error_description": error_description,
        "scope": " ".join(_require(_SCOPE_TOKEN, each, "a scope") for each in dict.fromkeys(scope)) or None,
        "resource_metadata": resource_metadata,
    }
    return Challenge("Bearer", {name: value for name, value in params.items() if value is not None}).encode()


def read(field: str) -> list[Challenge]:
    """The challenges of one WWW-Authenticate field, in order; parameter names in lower case.

    Raises:
        InvalidChallenge: not the grammar, a parameter given twice (RFC 9110 §11.2), or too much of anything.
    """
    if len(field) > MAX_LENGTH:
        raise InvalidChallenge(f"the field is longer than {MAX_LENGTH} characters")
    challenges: list[Challenge] = []
    position = _match(_GAP, field, 0).end()
    while position < len(field):
        if len(challenges) == MAX_CHALLENGES:
            raise InvalidChallenge(f"the field holds more than {MAX_CHALLENGES} challenges")
        challenge, position = _read_challenge(field, position)
        challenges.append(challenge)
    return challenges


def find_bearer(fields: Iterable[str]) -> Challenge | None:
    """The Bearer challenge among the WWW-Authenticate fields of a response, or None.

    Of several, the first that names the metadata, for a proxy may have added a bare one of its own. A malformed
    field is passed over: the client then looks at the well-known URLs, as with no challenge at all.
    """
    found: list[Challenge] = []
    for field in itertools.islice(fields, MAX_FIELDS):
        try:
            found += [challenge for challenge in read(field) if challenge.is_for("Bearer")]
        except InvalidChallenge:
            continue
    return max(found, key=lambda challenge: "resource_metadata" in challenge.params, default=None)


def _read_challenge(field: str, position: int) -> tuple[Challenge, int]:
    scheme = _match(_TOKEN, field, position)
    space = _SPACES.match(field, scheme.end())
    if space is None or _ENDS.match(field, space.end()):
        return Challenge(scheme[0]), _end(field, scheme.end())
    token68 = _TOKEN68.match(field, space.end())
    if token68 and _ENDS.match(field, token68.end()):
        return Challenge(scheme[0], token68=token68[0]), _end(field, token68.end())
    params, position = _read_params(field, space.end())
    return Challenge(scheme[0], params), position


def _read_params(field: str, position: int) -> tuple[dict[str, str], int]:
    """Parameters up to the end, or to a name without "=": the scheme of the next challenge."""
    params: dict[str, str] = {}
    while position < len(field):
        name = _match(_TOKEN, field, position)
        if params and not _EQUALS.match(field, name.end()):
            break
        if name[0].lower() in params:
            raise InvalidChallenge("a challenge says a parameter twice")
        if len(params) == MAX_PARAMS:
            raise InvalidChallenge(f"a challenge has more than {MAX_PARAMS} parameters")
        value, position = _read_value(field, _match(_EQUALS, field, name.end()).end())
        params[name[0].lower()] = value
        position = _end(field, position)
    return params, position


def _read_value(field: str, position: int) -> tuple[str, int]:
    quoted = _QUOTED.match(field, position)
    if quoted:
        return _QUOTED_PAIR.sub(r"\1", quoted[1]), quoted.end()
    token = _match(_TOKEN, field, position)
    return token[0], token.end()


def _end(field: str, position: int) -> int:
    """Where the next element begins: whatever ends here must be followed by a comma or nothing."""
    return _match(_GAP, field, _match(_ENDS, field, position).end()).end()


def _match(pattern: re.Pattern[str], field: str, position: int) -> re.Match[str]:
    match = pattern.match(field, position)
    if match is None:
        raise InvalidChallenge(f"the field breaks the grammar at character {position}")
    return match


def _require(pattern: re.Pattern[str], value: str, what: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"{what} holds characters that a challenge cannot carry")
    return value


def _quote(value: str) -> str:
    escaped = _require(_SAYABLE, value, "a parameter").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
