"""Libraries in the package are loaded as before, without what only debuggers read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from deploy.native_code import without_symbols

ELSEWHERE = {"32 bits": b"\x7fELF\x01\x01", "most byte first": b"\x7fELF\x02\x02", "a script": b"#!/bin/sh\n", "": b""}


def test_library_becomes_smaller_and_does_what_it_did(tmp_path: Path) -> None:
    library = Path(sys.modules["msgspec._core"].__file__ or "")
    made = tmp_path / library.name
    made.write_bytes(without_symbols(library.read_bytes()))
    assert len(made.read_bytes()) < library.stat().st_size
    assert without_symbols(made.read_bytes()) == made.read_bytes()
    code = (
        "import importlib.util, msgspec, sys\n"  # its Python part first, which the library asks for
        "spec = importlib.util.spec_from_file_location('msgspec._core', sys.argv[1])\n"
        "again = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(again)\n"
        "print(again.__file__ == sys.argv[1], again.JSONEncoder().encode([1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(made)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"True {msgspec.json.encode([1])!r}\n"), done.stderr


@pytest.mark.parametrize("content", ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_is_no_library_of_lambda_stays_as_it_is(content: bytes) -> None:
    assert without_symbols(content) == content
