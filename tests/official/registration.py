"""A public client at an issuer, registered as any app may (RFC 7591)."""

from __future__ import annotations

from dataclasses import dataclass

import httpx


@dataclass(frozen=True)
class Registered:
    """The client's id, and where the issuer takes its requests."""

    client_id: str
    authorization_endpoint: str
    token_endpoint: str


async def register(issuer: str, name: str, callback: str) -> Registered:
    """A new client with this one redirect URI."""
    async with httpx.AsyncClient() as http:
        metadata = (await http.get(f"{issuer}/.well-known/oauth-authorization-server")).json()
        asked = {"client_name": name, "redirect_uris": [callback], "token_endpoint_auth_method": "none"}
        answer = await http.post(metadata["registration_endpoint"], json=asked)
    assert answer.status_code == 201, answer.text
    return Registered(answer.json()["client_id"], metadata["authorization_endpoint"], metadata["token_endpoint"])
