"""Why a command of the client ends, as one sentence and an exit status that a script can tell apart.

ClientError             exit
├── BadInput            2     what was typed or set cannot be used
├── NotAuthorized       3     no token, or one that is not enough, and no way to get a better one
├── ToolFailed          4     the server answered: the tool failed, or it refused the request
├── Unreachable         5     the server or its issuer could not be asked
├── Misbehaved          6     what the server or issuer says must not be acted upon
└── NotEnded            7     a login was forgotten, but not everywhere
"""

from __future__ import annotations

from typing import ClassVar


class ClientError(Exception):
    """A reason to stop; the text is one sentence for a person and holds no secret."""

    exit: ClassVar[int] = 1


class BadInput(ClientError):
    """What was typed, or set, cannot be used as it is."""

    exit = 2


class NotAuthorized(ClientError):
    """The server wants a token that is not to be had without a person, or at all."""

    exit = 3


class NotLoggedIn(NotAuthorized):
    """The server wants a login, and there is none, or none that is good any more."""


class ToolFailed(ClientError):
    """The server answered, and the answer is a failure."""

    exit = 4


class Unreachable(ClientError):
    """Nobody answered, or in the middle of an answer nobody was there any more."""

    exit = 5


class Misbehaved(ClientError):
    """What a server or an issuer says must not be acted upon."""

    exit = 6


class NotEnded(ClientError):
    """The login is forgotten here, but lives on; the text says where, and for how long."""

    exit = 7


CANCELLED = 130  # 128 + SIGINT, as shells have it
