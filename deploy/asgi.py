"""Runs the gate as a server or in a container, from settings alone."""

from __future__ import annotations

from deploy.assembly import assemble
from deploy.output import audit_writer, log_to_stderr
from deploy.server import listen, run
from gateway.app import drain
from gateway.settings import Settings


def serve(settings: Settings) -> None:
    """Serve the gate and its tools until SIGTERM or SIGINT.

    Raises:
        PluginError: a tool plugin that the settings name cannot be used.
        CannotListenError: the address is taken or not this machine's.
        CannotWriteError: the audit log cannot be opened.
    """
    log_to_stderr(as_json=True)
    gate = assemble(settings).gate(audit_writer(settings.audit_log))
    run(gate, listen([settings.host], settings.port), drain=lambda: drain(gate), drain_seconds=settings.drain_seconds)
