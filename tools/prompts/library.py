"""The library as the server knows it: parsed once for each etag, looked at anew when somebody asks.

A template that is wrong is reported and not listed, and hides no other. What others write to the store meanwhile is
found at the next look.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from tools.prompts.names import checked
from tools.prompts.refusals import Conflict, Denied, Missing, Refusal, Unreachable, Unusable
from tools.prompts.store import MAX_PROMPTS, Listing, Saved, Store, Stored, Version
from tools.prompts.template import Template, parse

READERS = 8  # templates read at the same time
THREADS = 8  # of all callers together
PATIENCE = 5.0  # seconds that a list of prompts waits for the store
MAX_DIFFERENCE = 8_000  # characters of a difference that is told

_ETAG = re.compile(r"[A-Za-z0-9-]{1,100}")

log = logging.getLogger("bearergate.prompts")
T = TypeVar("T")


@dataclass(frozen=True)
class Known:
    """What is known of a template: what it says, or why it cannot be used."""

    etag: str
    template: Template | None
    problem: str = ""


class Library:
    """The prompts of a store; `on_change` is called on the loop whenever they are others than before."""

    def __init__(
        self, store: Store, on_change: Callable[[], None] = lambda: None, *, patience: float = PATIENCE
    ) -> None:
        self.on_change = on_change
        self._store = store
        self._patience = patience
        self._known: Mapping[str, Known] | None = None  # nobody has looked yet
        self._strange: Mapping[str, str] = {}
        self._lock = anyio.Lock()
        self._threads = anyio.CapacityLimiter(THREADS)
        self._looked = 0.0  # when the last look began
        self._failure: Refusal | None = None  # of that look
        self._told = ""  # the failure that the log has
        self._looking: set[asyncio.Task[None]] = set()

    @property
    def templates(self) -> dict[str, Template]:
        """What can be used, by name."""
        known = self._known or {}
        return {name: one.template for name, one in sorted(known.items()) if one.template is not None}

    @property
    def problems(self) -> dict[str, str]:
        """What cannot, by file name, and why."""
        known = self._known or {}
        return {**self._strange, **{name: one.problem for name, one in known.items() if one.problem}}

    async def look(self) -> None:
        """See what there is in the store; callers who come meanwhile share the next look.

        Raises:
            Unreachable: the store cannot be asked; what was known stays known.
        """
        asked = time.monotonic()
        async with self._lock:
            while self._looked <= asked:
                await self._look()
        if self._failure is not None:
            raise Unreachable(str(self._failure))

    async def try_to_look(self) -> None:
        """The same for those who go on with what is known: they do not wait long, and the log gets the reason, once."""
        looking = asyncio.create_task(self._look_or_log())
        self._looking.add(looking)
        looking.add_done_callback(self._looking.discard)
        await asyncio.wait({looking}, timeout=self._patience)

    async def template(self, name: str) -> Template:
        """A template as it is now.

        Raises:
            Missing: there is none.
            Unusable: it cannot be used, or the name is none.
            Unreachable: the store cannot be asked.
        """
        name = checked(name)
        known = (self._known or {}).get(name)
        try:
            stored = await self._run(self._store.read, name, known.etag if known else "")
        except Missing:
            self._learn(name, None)
            raise
        if stored is not None:
            known = known_of(stored)
            self._learn(name, known)
        if known is None or known.template is None:
            problem = known.problem if known else ""
            raise Unusable(f"The prompt {name} cannot be used until its template is corrected: {problem}")
        return known.template

    async def source(self, name: str, version: str = "") -> Stored:
        """A template as it is kept, be it usable or not."""
        name = checked(name)
        if version:
            return await self._run(self._store.read_version, name, version)
        stored = await self._run(self._store.read, name)
        assert stored is not None, "nothing was known"  # noqa: S101 - for mypy: without an etag there is always an answer
        return stored

    async def versions(self, name: str) -> list[Version]:
        """The versions of a prompt, the newest first."""
        return await self._run(self._store.versions, checked(name))

    async def create(self, name: str, text: str) -> Saved:
        """Put a new prompt into the library.

        Raises:
            Conflict: there is one of that name.
            Unusable: the name or the template is none.
        """
        name, content = checked(name), _checked_content(text)
        try:
            saved = await self._run(self._store.write, name, content, None)
        except Conflict:
            already = await self._saved_already(name, content)
            if already is None:
                raise _conflict_with_existing(name) from None
            saved = already
        await self._after_write()
        return saved

    async def update(self, name: str, text: str, etag: str) -> Saved:
        """Replace a prompt that its author has read.

        Raises:
            Conflict: it has changed since, or was removed; the text says how it has changed.
            Unusable: the name, the template or the etag is none.
        """
        name, content, etag = checked(name), _checked_content(text), _checked_etag(etag)
        try:
            saved = await self._run(self._store.write, name, content, etag)
        except (Conflict, Missing):
            already = await self._saved_already(name, content)
            if already is None:
                raise await self._conflict(name, etag, "update_prompt") from None
            saved = already
        await self._after_write()
        return saved

    async def remove(self, name: str, etag: str) -> None:
        """Remove a prompt that its remover has read. Raises as `update` does."""
        name, etag = checked(name), _checked_etag(etag)
        try:
            await self._run(self._store.remove, name, etag)
        except (Conflict, Missing):
            raise await self._conflict(name, etag, "remove_prompt") from None
        await self._after_write()

    async def _look_or_log(self) -> None:
        told = ""
        try:
            await self.look()
        except Unreachable as refusal:
            told = str(refusal)
        if told and told != self._told:
            log.warning("The prompts shown are those known before: %s", told)
        self._told = told

    async def _run(self, function: Callable[..., T], *arguments: object) -> T:
        return await anyio.to_thread.run_sync(partial(function, *arguments), limiter=self._threads)

    async def _look(self) -> None:
        began, failure = time.monotonic(), None
        try:
            listing, known = await self._run(read_all, self._store, self._known or {})
        except Refusal as refusal:
            failure = refusal
        else:
            self._take(known, listing.problems)
        self._looked, self._failure = began, failure

    def _learn(self, name: str, one: Known | None) -> None:
        """Take note of a single template."""
        others = {other: known for other, known in (self._known or {}).items() if other != name}
        self._take(others if one is None else {**others, name: one}, self._strange)

    def _take(self, known: Mapping[str, Known], strange: Mapping[str, str]) -> None:
        """Know this from now on, and tell whoever has to hear of it."""
        before, problems = self._known, self.problems
        self._known, self._strange = known, strange
        for name, problem in self.problems.items():
            if problems.get(name) != problem:
                log.warning("The prompt %a is not listed: %s", name, problem)
        if before != known:
            self.on_change()

    async def _after_write(self) -> None:
        """The write is done, whatever becomes of the look."""
        await self.try_to_look()

    async def _saved_already(self, name: str, content: bytes) -> Saved | None:
        """What a write has made whose answer was lost, so that botocore sent it once more and met its own work."""
        try:
            stored = await self.source(name)
        except Missing:
            return None
        return Saved(stored.etag, stored.version) if stored.content == content else None

    async def _conflict(self, name: str, etag: str, tool: str) -> Conflict:
        """How a prompt has changed since its reader saw it, and how to go on."""
        try:
            now = await self.source(name)
        except Missing:
            return Conflict(
                f"Nothing was done: there is no prompt {name} any more. list_prompt_versions tells what it was, and "
                "create_prompt puts it back."
            )
        before = await self._with_etag(name, etag)
        if before is None:
            told = f"It now reads:\n\n{_text(now)}"
        else:
            told = f"It has changed like this:\n\n{_difference(before, now)}"
        return Conflict(
            f"Nothing was done: {name} is not what you have read (etag {etag}), somebody has changed it. Look at the "
            f"change, and if you still want yours call {tool} with the etag {now.etag} and a text that has both. {told}"
        )

    async def _with_etag(self, name: str, etag: str) -> Stored | None:
        """The old version of that etag, if it can be had."""
        try:
            found = next((one for one in await self.versions(name) if one.etag == etag), None)
            return await self.source(name, found.id) if found else None
        except Refusal:  # it would be a help, no more
            return None


def known_of(stored: Stored) -> Known:
    """What is to be known of a template."""
    try:
        return Known(stored.etag, parse(stored.content))
    except Unusable as refusal:
        return Known(stored.etag, None, str(refusal))


def read_all(store: Store, before: Mapping[str, Known]) -> tuple[Listing, Mapping[str, Known]]:
    """The whole library; only what has another etag than before is read."""
    listing = store.scan()
    names = sorted(listing.etags)
    kept = {name: before[name] for name in names if name in before and before[name].etag == listing.etags[name]}
    with ThreadPoolExecutor(READERS) as pool:
        read = pool.map(lambda name: (name, _read(store, name)), [n for n in names[:MAX_PROMPTS] if n not in kept])
        kept |= {name: known for name, known in read if known is not None}
    excess = f"The library has more than {MAX_PROMPTS} prompts: remove some."
    kept |= {name: Known(listing.etags[name], None, excess) for name in names[MAX_PROMPTS:]}
    return listing, kept


def _read(store: Store, name: str) -> Known | None:
    try:
        stored = store.read(name)
    except Missing:  # removed since the listing
        return None
    except (Denied, Unusable) as refusal:  # of this one; the others may be fine
        return Known("", None, str(refusal))
    return known_of(stored) if stored else None


def _checked_content(text: str) -> bytes:
    try:
        content = text.encode()
    except UnicodeEncodeError:
        raise Unusable("The template holds half of a character: write it whole.") from None
    parse(content)
    return content


def _checked_etag(etag: str) -> str:
    bare = etag.strip('"')
    if not _ETAG.fullmatch(bare):  # a star would fit whatever there is
        raise Unusable("The etag is none: give the one that read_prompt told.")
    return bare


def _conflict_with_existing(name: str) -> Conflict:
    return Conflict(
        f"Nothing was done: there is a prompt {name} already. Read it with read_prompt and use update_prompt."
    )


def _text(stored: Stored) -> str:
    return stored.content.decode(errors="replace")[:MAX_DIFFERENCE]


def _difference(before: Stored, now: Stored) -> str:
    old, new = (one.content.decode(errors="replace").splitlines() for one in (before, now))
    told = difflib.unified_diff(old, new, "what you have read", "what it is now", lineterm="")
    return "\n".join(told)[:MAX_DIFFERENCE]
