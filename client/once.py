"""One thing and out: a call, a login or a token, for scripts and other programs."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from client.apart import apart
from client.ask import Declined, Nobody, arguments_of
from client.calling import call
from client.connection import Callbacks
from client.output import Output
from client.progress import Progress
from client.server import Server
from client.settings import Settings
from client.shell import person, standard_input
from client.vault import open_vault

if TYPE_CHECKING:
    from client.login import Person


def call_once(settings: Settings, output: Output, tool: str, text: str) -> None:
    """Call a tool and show its result.

    Raises:
        ClientError: the call did not succeed.
    """
    arguments = arguments_of(standard_input().read() if text == "-" else text)

    async def run() -> None:
        server = _server(settings, output, None)
        try:
            await call(server, tool, arguments, output, Nobody())
        finally:
            await server.connection.close()

    asyncio.run(run())


def log_in_once(settings: Settings, output: Output) -> None:
    """Log in and say as whom.

    Raises:
        ClientError: the login did not succeed.
    """
    from client import account

    who = person(settings, output, _Typing())
    asyncio.run(account.log_in(_server(settings, output, who), output))


def token_once(settings: Settings, output: Output) -> None:
    """Print an access token that is valid for a while.

    Raises:
        ClientError: there is none without logging in.
    """
    login = asyncio.run(_server(settings, output, None).fresh())
    if output.as_json:
        output.json({"access_token": login.access_token, "expires_at": login.expires_at, "scope": login.scope})
    else:
        output.text(login.access_token)


def _server(settings: Settings, output: Output, person: Person | None) -> Server:
    def trace(what: str) -> None:
        if settings.debug:
            output.say(f"[debug] {what}")

    callbacks = Callbacks(
        log=Progress(output).log,
        reconnecting=lambda why: output.say(f"{why}. Connecting again."),
        trace=trace,
    )
    return Server(settings, open_vault(settings.folder, output.say), person, callbacks)


class _Typing:
    """A person who is asked on standard error and answers on standard input."""

    async def ask(self, question: str, *, secret: bool = False) -> str:
        if sys.stdin.isatty():  # which cuts lines of more than 4095 characters, unless somebody else reads them
            from prompt_toolkit import PromptSession

            session: PromptSession[str] = PromptSession()
            try:
                return await session.prompt_async(question, is_password=secret, handle_sigint=False)
            except EOFError:
                raise Declined("Not answered.") from None
        sys.stderr.write(question)
        sys.stderr.flush()
        answer: str = await apart(sys.stdin.readline)
        return answer.strip()
