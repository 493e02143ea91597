"""Where the lines of a running gate go: the audit log and the diagnostics, each to its place."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import msgspec

from deploy.ending import silence
from gateway.audit import Decision, Write


class CannotWrite(Exception):
    """A file for output cannot be opened; the text says which and what to do."""


def audit_writer(destination: str) -> Write | None:
    """What takes the lines of the audit log: `stdout`, `stderr`, a file that is appended to, or nothing for `off`.

    Raises:
        CannotWrite: the file cannot be opened, or the stream is closed.
    """
    if destination == "off":
        return None
    if destination not in ("stdout", "stderr"):
        return _file_writer(destination)
    stream = sys.stdout if destination == "stdout" else sys.stderr
    if stream is None:  # as Python has it where whoever started the process closed it
        raise CannotWrite(f"audit_log: {destination} is closed; name a file, or say off")
    descriptor = stream.fileno()  # past the stream, which knows not every character, and keeps what nobody takes
    return lambda lines: _write_all(descriptor, lines)


def check_destination(destination: str) -> None:
    """See whether `audit_writer` would find the folder of a file, without making the file.

    Raises:
        CannotWrite: it would not.
    """
    if destination not in ("stdout", "stderr", "off") and not Path(destination).absolute().parent.is_dir():
        raise CannotWrite(f"audit_log: {destination} is in a folder that is not there; make it, or name another file")


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
            f"audit_log: {destination} cannot be opened ({reason}); name a file that this process may write to"
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
    tell("\n".join(in_short(_decision(line)) for line in lines.splitlines()))


def in_short(decision: Decision) -> str:
    """A decision as a line."""
    what = " ".join(part for part in (decision.method, decision.operation, decision.target) if part)
    if decision.decision == "allowed" and not decision.subject:  # a step of a login
        return f"  facade   {decision.operation}  {decision.client}".rstrip()
    if decision.decision == "allowed":
        return f"  allowed  {decision.subject}  {what}"
    return f"  refused  {decision.status} {decision.reason}: {decision.detail}  {what}  (id {decision.id})"


def tell(text: str) -> None:
    """Show a person what a server has to say; where nobody looks any longer, as after `| head`, it goes on unseen."""
    try:
        print(text, flush=True)
    except OSError:
        silence()


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
