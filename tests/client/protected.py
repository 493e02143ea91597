"""Stock servers with a stock issuer in them, which lets in whoever asks: `sdk PORT` or `fastmcp PORT`."""

from __future__ import annotations

import sys

import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from pydantic import AnyHttpUrl
from starlette.applications import Starlette


def fastmcp(origin: str) -> Starlette:
    """FastMCP's server."""
    issuer = InMemoryOAuthProvider(
        base_url=origin,
        client_registration_options=ClientRegistrationOptions(enabled=True),
        revocation_options=RevocationOptions(enabled=True),
    )
    server = FastMCP("protected", version="1", auth=issuer)
    server.tool(greet)
    return server.http_app(path="/mcp")


def sdk(origin: str) -> Starlette:
    """The SDK's server."""
    auth = AuthSettings(
        issuer_url=AnyHttpUrl(origin),
        resource_server_url=AnyHttpUrl(f"{origin}/mcp"),
        validate_token_resource=False,  # the issuer in it keeps none
        client_registration_options=ClientRegistrationOptions(enabled=True),
        revocation_options=RevocationOptions(enabled=True),
    )
    server = MCPServer("protected", version="1", auth_server_provider=InMemoryOAuthProvider(base_url=origin), auth=auth)
    server.tool()(greet)
    return server.streamable_http_app()


def greet(name: str) -> str:
    """Says hello."""
    return f"Hello, {name}!"


if __name__ == "__main__":
    made = {"fastmcp": fastmcp, "sdk": sdk}[sys.argv[1]](f"http://localhost:{sys.argv[2]}")
    uvicorn.run(made, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
