"""FastMCP as a front and as what stands behind it, as its documentation shows both.

`python -m tests.benchmarks.peers server PORT` serves a tool; `python -m tests.benchmarks.peers proxy PORT SERVER JWKS
ISSUER AUDIENCE` is FastMCP's proxy before the server of that URL, with its own verifier of the issuer's tokens.
"""

from __future__ import annotations

import sys

from fastmcp import FastMCP
from fastmcp.server import create_proxy
from fastmcp.server.auth.providers.jwt import JWTVerifier


def server() -> FastMCP:
    """A server with the tool that the load calls."""
    made = FastMCP("behind")

    @made.tool(description="Greets.", output_schema=None)
    def greet(name: str) -> str:
        return f"Hello, {name}!"

    return made


def proxy(url: str, jwks: str, issuer: str, audience: str) -> FastMCP:
    """The proxy before a server, for tokens of the issuer alone."""
    verifier = JWTVerifier(jwks_uri=jwks, issuer=issuer, audience=audience, required_scopes=["mcp:use"])
    return create_proxy(url, name="front", auth=verifier)


def main(role: str, port: str, *more: str) -> None:
    """Serve one of the two on a port, without sessions and with plain JSON, which is what costs it least."""
    made = server() if role == "server" else proxy(*more)
    made.run(
        transport="http",
        port=int(port),
        show_banner=False,
        stateless_http=True,
        json_response=True,
        log_level="error",
        uvicorn_config={"access_log": False, "backlog": 4096},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
