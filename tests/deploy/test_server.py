"""Sockets and output of a running gate, where a process of its own would not tell enough."""

from __future__ import annotations

import errno
import json
import logging
import socket

import pytest

from deploy.output import CannotWrite, JsonLines, audit_writer, show_decisions
from deploy.server import CannotListen, _sentence, listen


def test_one_port_is_listened_on_at_every_address_there_is() -> None:
    sockets = listen(["192.0.2.1", "127.0.0.1"], 0)
    assert [opened.getsockname()[0] for opened in sockets] == ["127.0.0.1"]
    for opened in sockets:
        opened.close()


def test_address_of_others_after_one_of_ours_is_left_out() -> None:
    (opened,) = listen(["127.0.0.1", "192.0.2.1"], 0)
    opened.close()


def test_nothing_stays_open_where_one_address_is_taken() -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"Port {port} is in use"):
            listen(["127.0.0.1", "127.0.0.2"], port)
        with socket.create_server(("127.0.0.1", port)):
            pass  # it was closed again


def test_port_that_needs_more_rights_is_said() -> None:
    assert "choose one above 1023" in _sentence("127.0.0.1", 80, PermissionError(errno.EACCES, "denied"))


def test_audit_log_that_cannot_be_written_is_said_and_refuses_nobody(caplog: pytest.LogCaptureFixture) -> None:
    write = audit_writer("/dev/full")
    assert write is not None
    write(b"{}\n")
    assert "the audit log cannot be written: No space left on device" in caplog.text


def test_audit_log_in_no_folder_is_refused() -> None:
    with pytest.raises(CannotWrite, match="audit_log: /nope/log cannot be opened"):
        audit_writer("/nope/log")


@pytest.mark.parametrize("destination", ["stdout", "stderr"])
def test_audit_log_goes_where_it_is_sent(destination: str, capfd: pytest.CaptureFixture[str]) -> None:
    write = audit_writer(destination)
    assert write is not None
    write(b'{"id":"1"}\n')
    assert getattr(capfd.readouterr(), destination[3:]) == '{"id":"1"}\n'


def test_decisions_are_short_lines_at_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    allowed = {"time": 1, "id": "a", "decision": "allowed", "resource": "r", "method": "POST", "subject": "alice"}
    refused = {"time": 1, "id": "b", "decision": "refused", "resource": "r", "method": "GET", "status": 401}
    refused |= {"reason": "x", "detail": "y"}
    show_decisions(json.dumps(allowed).encode() + b"\n" + json.dumps(refused).encode() + b"\n")
    assert capsys.readouterr().out == "  allowed  alice  POST\n  refused  401 x: y  GET  (id b)\n"


def test_traceback_of_a_fault_stays_in_its_line() -> None:
    fault = ValueError("a fault")
    cause = (ValueError, fault, fault.__traceback__)
    line = JsonLines().format(logging.LogRecord("n", logging.ERROR, "p", 1, "it %s", ("broke",), cause))
    assert "\n" not in line
    said = json.loads(line)
    assert (said["level"], said["message"]) == ("error", "it broke")
    assert "ValueError: a fault" in said["traceback"]
