"""The command of the judge: it judges, writes what came of it, and ends with a status."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .arguments import command_line, read, read_text
from .judge import judge
from .report import Report
from .requirements import REQUIREMENTS
from .serving import CannotListen
from .target import CannotJudge

CANNOT = 2  # the exit status where there was no judgement


def main(arguments: Sequence[str] | None = None, program: str = "python -m conformance") -> int:
    """Judge, write the reports, and return the exit status: 0, 1 for failures, 2 where no judgement was possible."""
    parser = command_line(program)
    said = parser.parse_args(arguments)
    try:
        options = read(said)
        expected = read_expected(said.expected_failures) if said.expected_failures else {}
        report = judge(options)
    except (CannotJudge, CannotListen, ValueError) as why:
        print(f"conformance: {why}", file=sys.stderr)  # noqa: T201 - how a command speaks
        return CANNOT
    report.expected = expected
    try:
        write(report, said)
    except OSError as error:
        named = error.filename or "Standard output"
        print(f"conformance: {named} cannot be written ({error.strerror}).", file=sys.stderr)  # noqa: T201 - likewise
        return CANNOT
    return report.exit_code


def read_expected(file: Path) -> dict[str, str]:
    """The requirements that are expected to fail, with the reason.

    Raises:
        ValueError: the file cannot be read, or names a requirement that there is not.
    """
    lines = [line.partition("#")[0].strip() for line in read_text(file).splitlines()]
    found = dict(_named(line) for line in lines if line)
    for name in found:
        if name not in REQUIREMENTS:
            raise ValueError(f"{file}: there is no requirement {name}.")
    return found


def _named(line: str) -> tuple[str, str]:
    name, *why = line.split(maxsplit=1)
    return name, "".join(why)


def write(report: Report, said: argparse.Namespace) -> None:
    """Write every report that was asked for, and the summary on standard output.

    Raises:
        OSError: the first of them that could not be written; all others are.
    """
    from . import junit, page, sarif, terminal  # noqa: PLC0415

    written: dict[str, Callable[[Report], str]] = {
        "json": lambda made: json.dumps(made.as_json(), indent=1),
        "junit": junit.write,
        "sarif": sarif.write,
        "html": page.write,
    }
    failed: list[OSError] = []
    for kind, as_text in written.items():
        if file := getattr(said, kind):
            try:
                file.write_text(as_text(report), "utf-8")
            except OSError as error:
                failed.append(error)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a target may say what this terminal cannot show
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(terminal.write(report, quiet=said.quiet, colours=colours), flush=True)  # noqa: T201 - the summary
    if failed:
        raise failed[0]
