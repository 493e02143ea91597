"""Where the lines of a running gate go: the audit log and the diagnostics, each to its place."""

from __future__ import annotations

import logging
import os
import sys

import msgspec

from gateway.audit import Decision, Write


class CannotWrite(Exception):
    """A file for output cannot be opened; the text says which and what to do."""


def audit_writer(destination: str) -> Write | None:
    """What takes the lines of the audit log: `stdout`, `stderr`, a file that is appended to, or nothing for `off`.

    Raises:
        CannotWrite: the file cannot be opened.
    """
    if destination == "off":
        return None
    if destination in ("stdout", "stderr"):
        stream = sys.stdout if destination == "stdout" else sys.stderr
        return lambda lines: (stream.write(lines.decode()), stream.flush())
    return _file_writer(destination)


def laptop_writer(file: str) -> Write:
    """What shows decisions to a person as short lines, and keeps them whole in a file for `bearergate explain`.

    Raises:
        CannotWrite: the file cannot be opened.
    """
    keep = _file_writer(file)

    def write(lines: bytes) -> None:
        keep(lines)
        show_decisions(lines)

    return write


def _file_writer(destination: str) -> Write:
    try:
        # Readable by its owner alone: it says who did what.
        descriptor = os.open(destination, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CannotWrite(
            f"audit_log: {destination} cannot be opened ({reason}); name a file in a folder that is there"
        ) from None
    return lambda lines: _write_all(descriptor, lines)


def _write_all(descriptor: int, lines: bytes) -> None:
    try:
        while lines:
            lines = lines[os.write(descriptor, lines) :]
    except OSError as error:  # a full disk refuses nobody, but whoever runs the gate must hear of it
        logging.getLogger("bearergate.audit").error("the audit log cannot be written: %s", error.strerror)  # noqa: TRY400


_decision = msgspec.json.Decoder(Decision).decode


def show_decisions(lines: bytes) -> None:
    """Decisions as short lines for a person at a terminal; what the laptop shows instead of JSON."""
    for line in lines.splitlines():
        decision = _decision(line)
        what = " ".join(part for part in (decision.method, decision.operation, decision.target) if part)
        if decision.decision == "allowed" and not decision.subject:  # a step of a login
            print(f"  facade   {decision.operation}  {decision.client}".rstrip())
        elif decision.decision == "allowed":
            print(f"  allowed  {decision.subject}  {what}")
        else:
            print(f"  refused  {decision.status} {decision.reason}: {decision.detail}  {what}  (id {decision.id})")
    sys.stdout.flush()


class JsonLines(logging.Formatter):
    """Diagnostics as lines of JSON: time in seconds since the epoch, level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as one line; a traceback stays inside it."""
        line = {"time": record.created, "level": record.levelname.lower(), "logger": record.name}
        line["message"] = record.getMessage()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def log_to_stderr(*, as_json: bool, level: int = logging.INFO) -> None:
    """Send diagnostics of the gate and its server to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("  %(levelname)s  %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("bearergate").setLevel(level)
