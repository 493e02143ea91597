"""Where lines go when nobody takes them: a log, a terminal or a reader that is gone costs no caller an answer."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.cli import audit_log_of
from deploy.ending import one_sentence
from deploy.local import log_folder
from deploy.output import CannotWrite, audit_writer, check_destination, laptop_writer
from tests.deploy.laptop import ROOT, found

REFUSED = b'{"time":1,"id":"b","decision":"refused","resource":"r","method":"GET","subject":"\xe6\x97\xa5"}\n'


@contextlib.contextmanager
def reader_that_is_gone() -> Iterator[None]:
    """Standard output is a pipe that nobody reads any more."""
    reads, writes = os.pipe()
    os.close(reads)
    with open(writes, "w", encoding="utf-8") as gone, contextlib.redirect_stdout(gone):  # noqa: PTH123 - a descriptor
        yield


def test_log_that_nobody_reads_any_more_is_said_and_refuses_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with reader_that_is_gone():
        write = audit_writer("stdout")
        assert write is not None
        write(REFUSED)
    assert "the audit log cannot be written: Broken pipe" in caplog.text


def test_log_holds_characters_that_the_terminal_has_not(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="latin-1") as terminal, contextlib.redirect_stdout(terminal):
        write = audit_writer("stdout")
        assert write is not None
        write(REFUSED)
    assert (tmp_path / "log").read_bytes() == REFUSED


@pytest.mark.parametrize("destination", ["stdout", "stderr"])
def test_log_to_a_stream_that_is_closed_is_refused(destination: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, destination, None)
    with pytest.raises(CannotWrite, match=f"audit_log: {destination} is closed; name a file, or say off"):
        audit_writer(destination)


@pytest.mark.parametrize("destination", ["stdout", "stderr", "off", "audit.jsonl", "/audit.jsonl"])
def test_log_that_has_a_folder_is_good(destination: str) -> None:
    check_destination(destination)


def test_file_is_kept_when_the_person_looks_no_longer(tmp_path: Path) -> None:
    with reader_that_is_gone():
        write = laptop_writer(str(tmp_path / "audit.jsonl"))
        write(REFUSED)
        write(REFUSED)
    assert (tmp_path / "audit.jsonl").read_bytes() == REFUSED * 2


def test_reader_who_has_seen_enough_is_no_fault() -> None:
    with reader_that_is_gone(), pytest.raises(SystemExit) as left, one_sentence():
        sys.stdout.write("more than was asked for")
    assert left.value.code == 0


def test_ctrl_c_ends_a_command_without_a_traceback() -> None:
    with pytest.raises(SystemExit) as left, one_sentence():
        raise KeyboardInterrupt
    assert left.value.code == 130


def test_machine_without_room_for_the_log_of_the_laptop_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(CannotWrite, match="TMPDIR"):
        log_folder()


def test_log_is_asked_for_where_standard_input_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SystemExit):
        audit_log_of(None)
    assert "name its file with --log" in capsys.readouterr().err


def test_gate_on_a_laptop_goes_on_when_only_its_head_is_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.cli", "dev", "--port", "0", "--issuer-port", "0"]
    with (
        (tmp_path / "stderr").open("w") as errors,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        try:
            assert process.stdout is not None
            said = ""
            while "Ctrl-C" not in said:
                said += process.stdout.readline().decode()
            process.stdout.close()
            endpoint = found(r"MCP endpoint +(\S+)", said)
            assert [httpx.post(endpoint).status_code for _ in range(3)] == [401] * 3
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert "Traceback" not in (tmp_path / "stderr").read_text()
