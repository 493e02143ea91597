"""The gate on a laptop: an embedded issuer, the gate and its tools, in one process on loopback."""

from __future__ import annotations

import base64
import logging
import os
import secrets
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.issuer import Client, Issuer, Lifetimes, ResourceServer, User
from deploy.assembly import assemble
from deploy.output import CannotWrite, laptop_writer, log_to_stderr, tell
from deploy.server import ByPort, listen, run
from gateway.app import drain
from gateway.facade.front import CALLBACK
from gateway.seal import KEY_BYTES
from gateway.sources import parse

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from gateway.settings import Settings

LOOPBACK = ("127.0.0.1", "::1")
USER = User("alice", "wonderland", groups=("admins",))
CLIENT = "bearergate"  # the facade's own client at the issuer
POOL = "local_Laptop"
KNOWN = "laptop"  # the id for clients that are told one; they come back to any port of this machine
REDIRECTS = [f"http://{host}{path}" for host in ("localhost", "127.0.0.1") for path in ("/callback", "/")]
GRACE = 10  # seconds in which a refresh token that was just exchanged still works, for two refreshes that race
# What the scopes of the bundled tools allow, in words for the consent page.
WORDS = {
    "greetings:read": "Greet you",
    "greetings:many": "Greet you several times",
    "bedrock:read": "Read how Bedrock is used",
    "bedrock:spend": "Read what Bedrock costs",
    "prompts:read": "Read the prompt library",
    "prompts:write": "Change the prompt library",
}


def dev(port: int, issuer_port: int, token_seconds: int, metrics_port: int) -> None:
    """Serve the gate on `port` and the embedded issuer on `issuer_port`, until Ctrl-C.

    The issuer behaves like a Cognito user pool, so clients meet it as they would in production: through the facade.
    `token_seconds` is how long an access token lives. Metrics are on `metrics_port`, unless it is 0.

    Raises:
        CannotListen: one of the ports is taken.
        CannotWrite: there is no place for the audit log.
        PluginError: an installed tool plugin cannot be used.
    """
    log_to_stderr(as_json=False, level=logging.WARNING)
    os.environ.setdefault("BEARERGATE_BEDROCK_SAMPLE", "1")  # a report without an AWS account; 0 asks AWS
    sockets = listen(LOOPBACK, port)
    issuer_sockets = listen(LOOPBACK, issuer_port)
    metrics_sockets = listen(LOOPBACK, metrics_port) if metrics_port else []
    port, issuer_port = (opened[0].getsockname()[1] for opened in (sockets, issuer_sockets))
    secret = secrets.token_urlsafe(32)
    assembly = assemble(laptop_settings(port, issuer_port, secret))
    issuer = embedded_issuer(assembly.settings, secret, token_seconds)
    with log_folder() as folder:
        log = str(Path(folder) / "audit.jsonl")
        gate = assembly.gate(laptop_writer(log))
        tell(introduction(assembly.settings, log))
        others: dict[int, ASGIApp] = {issuer_port: issuer.app}
        if metrics_sockets:
            from gateway.metrics import metrics_of

            others[metrics_port] = metrics_of(gate)
        opened = [*sockets, *issuer_sockets, *metrics_sockets]
        run(ByPort(gate, others), opened, drain=lambda: drain(gate), drain_seconds=5)


def log_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for the audit log, gone when the gate is.

    Raises:
        CannotWrite: there is no place for it.
    """
    try:
        return tempfile.TemporaryDirectory(prefix="bearergate-", ignore_cleanup_errors=True)
    except OSError as error:
        why = f"No temporary folder can be made for the audit log ({error.strerror})"
        raise CannotWrite(f"{why}: name one that may be written to with TMPDIR") from None


def laptop_settings(port: int, issuer_port: int, secret: str) -> Settings:
    """Settings of the gate on a laptop; the issuer's clock is the gate's own, so no leeway is needed."""
    origin = f"http://localhost:{port}"
    prefix = f"{origin}/mcp/"  # the resource server's identifier is the resource, as Cognito's binding wants it
    return parse(
        {
            "public_url": origin,
            "issuers": [
                {"issuer": f"http://localhost:{issuer_port}/{POOL}", "kind": "cognito", "resource_binding": True}
            ],
            "resources": [
                {
                    "name": "bearergate on this laptop",
                    "scopes": [f"{prefix}greetings:read"],
                    "scope_prefix": prefix,
                }
            ],
            "facade": {
                "client_id": CLIENT,
                "client_secret": secret,
                "kind": "cognito",
                "clients": [{"client_id": KNOWN, "name": "An app that was set up by hand", "redirect_uris": REDIRECTS}],
                "scopes": {prefix + scope: words for scope, words in WORDS.items()},
                # Clients under development have their documents here; everything else here is the person's own too.
                "insecure_client_document_hosts": ["localhost", "127.0.0.1", "[::1]"],
            },
            "seal_keys": [base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()],
            "leeway": 0,
        }
    )


def embedded_issuer(settings: Settings, secret: str, token_seconds: int) -> Issuer:
    """A user pool that knows the gate as its only client, and every scope that the gate's tools need."""
    resource = settings.resources[0]
    needed = {*resource.scopes, *(scope for rule in resource.rules for scope in rule.scopes)}
    names = [scope.removeprefix(resource.scope_prefix) for scope in sorted(needed)]
    return Issuer.cognito(
        settings.issuers[0].issuer.removesuffix(f"/{POOL}"),
        pool=POOL,
        resource_servers=[ResourceServer(settings.url_of(resource), {name: WORDS.get(name, name) for name in names})],
        refresh_rotation=True,
        refresh_grace=GRACE,
        users=[USER],
        clients=[Client(CLIENT, (settings.public_url + CALLBACK,), secret, "bearergate")],
        lifetimes=Lifetimes(access=token_seconds),
    )


def introduction(settings: Settings, log: str) -> str:
    """What a person needs to try it: the endpoint, the login, what to paste into a client, and where to look."""
    resource = settings.url_of(settings.resources[0])
    return textwrap.dedent(f"""\
        bearergate guards a demo MCP server on this laptop.

          MCP endpoint   {resource}
          Issuer         {settings.public_url}  (a facade; behind it {settings.issuers[0].issuer})
          Log in as      {USER.name} with the password {USER.password}
          Client id      {KNOWN}, for clients that neither register nor have a metadata document

        Claude Code:  claude mcp add --transport http bearergate {resource}
        VS Code, in .vscode/mcp.json:

          {{"servers": {{"bearergate": {{"type": "http", "url": "{resource}"}}}}}}

        Cursor and others, in mcp.json:

          {{"mcpServers": {{"bearergate": {{"url": "{resource}"}}}}}}

        Every decision appears below, a refusal with its id. What to change is said by

          bearergate explain ID --log {log}

        Ctrl-C stops it.
    """)
