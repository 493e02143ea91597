"""How a command ends before its work is done: a line per sentence on standard error, and a status.

Every command imports this at its start, so that the standard library is all it needs then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from typing import NoReturn

Add = Callable[[Callable[[Namespace], None]], ArgumentParser]  # puts a verb on a command line, named as what runs it

OWN = {"gateway", "discovery", "tools", "deploy", "conformance", "client"}


def leave(text: str, status: int = 1) -> NoReturn:
    """Say why on standard error, and end with a status."""
    for line in text.splitlines():
        print(f"bearergate: {line}", file=sys.stderr)
    raise SystemExit(status)


def missing(error: ImportError, extra: str) -> NoReturn:
    """End a command whose parts are not installed; `extra` brings them."""
    if error.name is None or error.name.partition(".")[0] in OWN:
        raise error  # a fault of ours, not a part left out
    leave(f"This command needs {error.name}, which is not installed: pip install 'bearergate[{extra}]'")


def end_well_at_hangup() -> None:
    """A terminal that closes, or a service manager's SIGHUP, ends a server as SIGTERM does: no answer is lost.

    Where whoever started it had it ignored, as `nohup` does, it stays so.
    """
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # Windows has none
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))


def silence() -> None:
    """Nobody reads standard output any more: let all that is still written there lead nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def reader_gone() -> NoReturn:
    """End well and say nothing: whoever read standard output has seen enough."""
    silence()
    raise SystemExit(0)


@contextlib.contextmanager
def one_sentence(*causes: type[Exception], status: int = 1) -> Iterator[None]:
    """Ends the command with a sentence per problem where the cause is not a fault of ours: one of these, or known."""
    try:
        yield
        print(end="", flush=True)  # or the reader's end would be noticed when nobody can say so
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        reader_gone()
    except Exception as error:
        if not isinstance(error, (*causes, *expected())):
            raise
        leave(str(error), status)


def expected() -> tuple[type[Exception], ...]:
    """The causes that are no fault of ours; a command that ends well need not import them."""
    from deploy.explain import NotExplained
    from deploy.output import CannotWrite
    from deploy.server import CannotListen
    from gateway.sources import SettingsError
    from tools.registry import PluginError

    return (SettingsError, PluginError, CannotListen, CannotWrite, NotExplained)
