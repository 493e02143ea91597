"""FastMCP with its JWT verifier, as its documentation shows it. Run: python fast_mcp.py PORT ISSUER."""

from __future__ import annotations

import sys

from fastmcp import FastMCP
from fastmcp.server.auth import RemoteAuthProvider
from fastmcp.server.auth.providers.jwt import JWTVerifier
from pydantic import AnyHttpUrl


def main(port: int, issuer: str) -> None:
    """Serve until interrupted."""
    base = f"http://127.0.0.1:{port}"
    verifier = JWTVerifier(
        jwks_uri=f"{issuer}/jwks", issuer=issuer, audience=f"{base}/mcp", required_scopes=["mcp:use"]
    )
    auth = RemoteAuthProvider(token_verifier=verifier, authorization_servers=[AnyHttpUrl(issuer)], base_url=base)
    server: FastMCP = FastMCP("stock", auth=auth)

    @server.tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    server.run(transport="http", host="127.0.0.1", port=port, show_banner=False, log_level="ERROR")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
