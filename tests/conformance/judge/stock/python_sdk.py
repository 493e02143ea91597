"""The Python SDK's own server with its bearer middleware; the SDK leaves verifying to a library, here PyJWT.

Run: python python_sdk.py PORT ISSUER
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import jwt
import uvicorn
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer


class Verifier:
    """PyJWT, as its documentation shows it."""

    def __init__(self, issuer: str, resource: str) -> None:
        self.issuer, self.resource = issuer, resource
        self.keys = jwt.PyJWKClient(f"{issuer}/jwks")

    async def verify_token(self, token: str) -> AccessToken | None:
        """The token, if it is good."""
        try:
            claims = await asyncio.to_thread(self.claims, token)
        except jwt.PyJWTError:
            return None
        return AccessToken(
            token=token,
            client_id=claims["client_id"],
            scopes=str(claims.get("scope", "")).split(),
            expires_at=int(claims["exp"]),
            resource=self.resource,
            subject=claims["sub"],
            claims=claims,
        )

    def claims(self, token: str) -> dict[str, Any]:
        """What the token says."""
        key = self.keys.get_signing_key_from_jwt(token)
        needed = ["exp", "iss", "aud", "sub", "client_id"]
        return jwt.decode(
            token, key, algorithms=["RS256"], audience=self.resource, issuer=self.issuer, options={"require": needed}
        )


def main(port: int, issuer: str) -> None:
    """Serve until interrupted."""
    url = f"http://127.0.0.1:{port}/mcp"
    # As strings: an AnyHttpUrl would put a slash behind an issuer without a path.
    auth = AuthSettings.model_validate(
        {"issuer_url": issuer, "resource_server_url": url, "required_scopes": ["mcp:use"]}
    )
    server = MCPServer("stock", token_verifier=Verifier(issuer, url), auth=auth)

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    uvicorn.run(server.streamable_http_app(), port=port, log_level="error")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
