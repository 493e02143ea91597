"""Runs the gate as a server or in a container, from settings alone."""

from __future__ import annotations

import logging
import sys

from starlette.types import ASGIApp

from deploy.assembly import assemble
from deploy.output import audit_writer, log_to_stderr
from deploy.server import ByPort, listen, run
from gateway.app import drain
from gateway.settings import Settings

log = logging.getLogger("bearergate")


def warn_of_insecure_options(settings: Settings) -> None:
    """Say at every start which protection the settings have switched off."""
    if not isinstance(settings.facade, str) and settings.facade.insecure_client_document_hosts:
        hosts = ", ".join(settings.facade.insecure_client_document_hosts)
        log.warning(
            "INSECURE: facade.insecure_client_document_hosts lets strangers have documents fetched from %s", hosts
        )


def serve(settings: Settings) -> None:
    """Serve the gate and its tools until SIGTERM or SIGINT.

    Raises:
        PluginError: a tool plugin that the settings name cannot be used.
        CannotListen: the address is taken or not this machine's.
        CannotWrite: the audit log cannot be opened.
    """
    log_to_stderr(as_json=True)
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # its command line: 30 ms, 6 MiB with rich
    warn_of_insecure_options(settings)
    gate = assemble(settings).gate(audit_writer(settings.audit_log))
    app: ASGIApp = gate
    sockets = listen([settings.host], settings.port)
    address, port, *_ = sockets[0].getsockname()
    if settings.metrics_port:
        from gateway.metrics import metrics_of

        sockets += listen([settings.metrics_host], settings.metrics_port)
        app = ByPort(app, {settings.metrics_port: metrics_of(gate)})
    log.info("listens on %s, port %d, for %s", address, port, settings.public_url)
    run(
        app,
        sockets,
        drain=lambda: drain(gate),
        drain_seconds=settings.drain_seconds,
    )
