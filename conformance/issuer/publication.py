"""How one published document is answered: as it is, or late, broken, elsewhere or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from starlette.responses import Response


@dataclass
class Publication:
    """What a test sets here, whoever fetches the document meets, until `reset()`."""

    status: int | None = None  # in place of 200
    body: bytes | None = None  # in place of the document
    content_type: str | None = None  # in place of application/json
    headers: dict[str, str] = field(default_factory=dict)  # sent besides
    redirect_to: str | None = None  # a 302 to this URL, unless `status` says another 3xx
    delay: float = 0.0  # seconds before the answer
    hold: anyio.Event | None = None  # no answer until it is set
    hits: int = 0  # requests so far, the unanswered ones included

    def reset(self) -> None:
        """Answer the document as it is again, and count from zero."""
        vars(self).update(vars(Publication()))

    async def answer(self, document: Mapping[str, Any]) -> Response:
        """The answer to one request for `document`."""
        self.hits += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.delay:
            await anyio.sleep(self.delay)
        headers = {"Content-Type": self.content_type or "application/json"} | self.headers
        if self.redirect_to is not None:
            return Response(status_code=self.status or 302, headers=headers | {"Location": self.redirect_to})
        content = json.dumps(document).encode() if self.body is None else self.body
        return Response(content, self.status or 200, headers)
