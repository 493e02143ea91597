"""How a machine shows who it is at a token endpoint: with its secret, its key, or a token of the platform it runs on.

Sources: OAuth 2.1 §4.2; RFC 7523 §2.2 (a client's key) and §2.1 (workload identity federation, SEP-1933).
"""

from __future__ import annotations

from mcp.client.auth.extensions.client_credentials import SignedJWTParameters
from mcp.shared.auth import JWT_BEARER_GRANT_TYPE

from client.errors import BadInput
from client.settings import Settings

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def grant(settings: Settings, issuer: str) -> dict[str, str]:
    """The grant, and all that proves the client but a secret, as members of a token request.

    Raises:
        BadInput: the key is none.
    """
    if settings.workload_token:
        return {
            "grant_type": JWT_BEARER_GRANT_TYPE,
            "assertion": settings.workload_token,
            "client_id": settings.client_id,
        }
    if not settings.client_key:
        return {"grant_type": "client_credentials"}
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION,
        "client_assertion": await _signed(settings, issuer),
    }


async def _signed(settings: Settings, issuer: str) -> str:
    """A short-lived JWT of the client about itself; the issuer's identifier is its only audience."""
    parameters = SignedJWTParameters(
        issuer=settings.client_id,
        subject=settings.client_id,
        signing_key=settings.client_key,
        signing_algorithm=_algorithm(settings.client_key),
    )
    return await parameters.create_assertion_provider()(issuer)


def _algorithm(pem: str) -> str:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        raise BadInput("The client's key cannot be read: it must be a private key in PEM, without a password") from None
    if isinstance(key, EllipticCurvePrivateKey):
        return {256: "ES256", 384: "ES384", 521: "ES512"}[key.key_size]
    return "EdDSA" if isinstance(key, Ed25519PrivateKey) else "RS256"
