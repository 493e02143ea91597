"""A client for protected MCP servers: an interactive shell, and the same without a person."""
