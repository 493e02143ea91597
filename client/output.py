"""What a person sees: results on standard output, everything about them on standard error, nothing raw."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from client.errors import ClientError
from client.pager import page
from client.plain import line, plain

FIRST = 1 / 2  # of the width, at most, that the first column gets unfolded: it holds what is copied
NARROW = 10  # characters of a column; where that is too much for all of them, each record becomes a list
GAP = 3  # characters between columns


@dataclass
class Output:
    """Where results and remarks go. `as_json` prints results as JSON, one in a line."""

    as_json: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    paged: bool = False  # long answers, where a person reads them
    around: Callable[[Callable[[], None]], None] = lambda write: write()  # puts writing above a prompt
    live: str = ""  # a line that is drawn again and again

    @property
    def is_seen(self) -> bool:
        """Whether results appear on a terminal."""
        return self.out.isatty()

    def say(self, text: str) -> None:
        """A remark, in lines, above the live one."""
        drawn = self.live
        self.show_live("")
        self.around(lambda: print(plain(text), file=self.err, flush=True))
        self.show_live(drawn)

    def show_live(self, text: str) -> None:
        """Draw the live line in place of the one before; nothing takes it away. Only a terminal has one."""
        if not self.err.isatty():
            return
        columns = width() - 1
        if self.live:
            self.err.write("\r" + " " * min(len(self.live), columns) + "\r")
        self.live = line(text)
        self.err.write(self.live[:columns])
        self.err.flush()

    def text(self, text: str) -> None:
        """A result as text: all of it, in a pager if it is long and somebody sits there."""
        safe = plain(text).rstrip("\n")
        if self.paged and self.is_seen and _is_long(safe):
            page(safe)
        else:
            self.around(lambda: self._print(safe))

    def json(self, value: object) -> None:
        """A result as JSON, in ASCII, so that nothing in it is more than text."""
        self.around(lambda: self._print(json.dumps(value)))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
        """A result as a table, and where nobody looks, as lines with tabs between the cells."""
        cells = [[_cell(value) for value in row] for row in rows]
        if self.is_seen:
            self.text_of_table(columns, cells, title)
        else:
            self.text("\n".join("\t".join(line(cell) for cell in row) for row in cells))

    def text_of_table(self, columns: Sequence[str], rows: list[list[str]], title: str) -> None:
        """A table as wide as the terminal, in which long cells go on in the next line."""
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console(file=self.out, highlight=False, markup=False, emoji=False, width=width())
        style = "bold" if has_colour() else ""
        table = Table(
            title=line(title) or None,
            box=box.SIMPLE,
            title_justify="left",
            title_style=style,
            header_style=style,
        )
        columns, rows = _fitted(columns, rows)
        longest = max(len(cell) for cell in [columns[0], *(row[0] for row in rows)])
        for number, column in enumerate(columns):
            unfolded = None if number else max(1, min(longest, int(width() * FIRST)))
            table.add_column(Text(line(column)), overflow="fold", width=unfolded)
        table.show_header = any(columns)
        for row in rows:
            table.add_row(*[Text(plain(cell)) for cell in row])
        with console.capture() as drawn:
            console.print(table)
        text = drawn.get().rstrip("\n")
        if self.paged and _is_long(text):
            page(text)
        else:
            self.around(lambda: self._print(text))

    def _print(self, text: str) -> None:
        try:
            print(text, file=self.out, flush=True)
        except BrokenPipeError:
            raise  # who reads it has seen enough
        except OSError as error:
            with contextlib.suppress(OSError):
                self.out.close()  # else Python tries again as it ends
            raise ClientError(f"The result cannot be written ({error.strerror})") from None


def width() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size((80, 24)).columns


def _fitted(columns: Sequence[str], rows: list[list[str]]) -> tuple[Sequence[str], list[list[str]]]:
    """The table, or where its columns would be too narrow to read, names and values of one record after the other."""
    longest = [max(len(cell) for cell in each) for each in zip(columns, *rows, strict=True)]
    if sum(min(each, NARROW) + GAP for each in longest) <= width():
        return columns, rows
    lists = [[[name, cell] for name, cell in zip(columns, row, strict=True)] for row in rows]
    return ("", ""), [pair for each in lists for pair in [*each, ["", ""]]][:-1]


def _is_long(text: str) -> bool:
    columns, lines = shutil.get_terminal_size((80, 24))
    return len(text) > columns * lines or text.count("\n") >= lines - 1


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def has_colour() -> bool:
    """Whether colours are wanted (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
