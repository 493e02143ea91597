"""Why the library does not do what it is asked; the text is one sentence that says what to do next.

Refusal
├── Unusable      a name, template or argument is not as it must be
├── Missing       there is no such prompt, or no such version of it
├── Conflict      somebody else has written meanwhile
└── Unreachable   the library cannot be read or written now
    └── Denied    the server may not do it
"""

from __future__ import annotations


class Refusal(Exception):
    """One sentence for the caller."""


class Unusable(Refusal):
    """A name, template or argument is not as it must be."""


class Missing(Refusal):
    """There is no such prompt, or no such version of it."""


class Conflict(Refusal):
    """Somebody else has written meanwhile, and nothing was written."""


class Unreachable(Refusal):
    """The library cannot be read or written now."""


class Denied(Unreachable):
    """The server has no permission for it."""
