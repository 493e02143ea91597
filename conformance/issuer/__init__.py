"""An OAuth issuer under the suite's control: shaped like Amazon Cognito, or complete by the specifications.

It is three things at once: the issuer that conformance tests control, the one embedded in `bearergate dev`,
and the instrument that makes tokens and key sets of every kind, the broken ones included.
"""

from __future__ import annotations

from .accounts import User
from .client_documents import ClientDocuments
from .clients import Client
from .clock import Clock
from .instrument import Issuer
from .keys import Keys, rsa_key
from .profile import ResourceServer
from .publication import Publication
from .signing import flip_bit, sign
from .tokens import ABSENT, Lifetimes

__all__ = [
    "ABSENT",
    "Client",
    "ClientDocuments",
    "Clock",
    "Issuer",
    "Keys",
    "Lifetimes",
    "Publication",
    "ResourceServer",
    "User",
    "flip_bit",
    "rsa_key",
    "sign",
]
