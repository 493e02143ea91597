"""The shell's side of a terminal: a prompt with history and completion, questions, and what comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app_or_none, run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.output import ColorDepth

from client.ask import Declined
from client.complete import suggestions
from client.history import History
from client.output import has_colour

if TYPE_CHECKING:
    from prompt_toolkit.document import Document

PROMPT = "> "


class Suggestions(Completer):
    """Completion from what is known at the moment a key is pressed."""

    def __init__(self, commands: Mapping[str, str], tools: Callable[[], Sequence[Any]]) -> None:
        self._commands = commands
        self._tools = tools

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Ways to go on."""
        del complete_event
        for text, replaced, about in suggestions(document.text_before_cursor, self._commands, self._tools()):
            yield Completion(text, start_position=-replaced, display_meta=about)


class Terminal:
    """A person at a terminal."""

    def __init__(self, folder: Path, commands: Mapping[str, str], tools: Callable[[], Sequence[Any]]) -> None:
        depth = None if has_colour() else ColorDepth.DEPTH_1_BIT
        self.history = History(folder / "history")
        self._lines: PromptSession[str] = PromptSession(
            history=self.history,
            completer=Suggestions(commands, tools),
            complete_while_typing=False,
            color_depth=depth,
        )
        self._depth = depth

    async def line(self) -> str | None:
        """The next line, or None at the end of input. Ctrl-C gives up the line, not the shell."""
        while True:
            try:
                return await self._lines.prompt_async(PROMPT, handle_sigint=False)
            except EOFError:
                return None
            except KeyboardInterrupt:
                continue

    async def ask(self, question: str, *, secret: bool = False) -> str:
        """An answer, which no history keeps."""
        asking: PromptSession[str] = PromptSession(history=InMemoryHistory(), color_depth=self._depth)
        try:
            return await asking.prompt_async(question, is_password=secret, handle_sigint=False)
        except (EOFError, KeyboardInterrupt):
            raise Declined("Not answered.") from None


def above_the_prompt(write: Callable[[], None]) -> None:
    """Write without getting into the line that is being typed."""
    app = get_app_or_none()
    if app is None or not app.is_running:
        write()
    else:
        asyncio.ensure_future(run_in_terminal(write))  # noqa: RUF006 - it is held by the application that runs it
