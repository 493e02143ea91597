"""The events of one session that a client may still ask for again: bounded, the oldest forgotten first."""

from __future__ import annotations

import secrets
from collections import OrderedDict

from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp.types import INTERNAL_ERROR, ErrorData, JSONRPCError, JSONRPCMessage, JSONRPCResponse
from pydantic_core import PydanticSerializationError

MAX_EVENTS = 200  # of one session
MAX_CHARACTERS = 512 * 1024  # of their messages as JSON
MAX_MESSAGE = 128 * 1024  # characters of one message that is kept as it is


class BoundedEventStore(EventStore):
    """Keeps the last events of one session; ids cannot be guessed, and a replay stays within its stream."""

    def __init__(self, max_events: int = MAX_EVENTS, max_characters: int = MAX_CHARACTERS) -> None:
        self.max_events = max_events
        self.max_characters = max_characters
        self._events: OrderedDict[EventId, tuple[StreamId, JSONRPCMessage | None, int]] = OrderedDict()
        self._characters = 0

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        """Keep an event; None is the one that only says where a stream begins."""
        event_id = secrets.token_urlsafe(16)
        kept, size = _fitting(message)
        self._events[event_id] = (stream_id, kept, size)
        self._characters += size
        while len(self._events) > self.max_events or self._characters > self.max_characters:
            _, (_, _, freed) = self._events.popitem(last=False)
            self._characters -= freed
        return event_id

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        """Send again what came after an event on its stream.

        None if the event is unknown or forgotten, or if the stream ends there, so that the SDK does not keep it open.
        """
        if last_event_id not in self._events:
            return None
        stream_id, message, _ = self._events[last_event_id]
        event_id: EventId | None = last_event_id
        while event_id is not None and not _answers(message):
            event_id, message = self._next(stream_id, event_id)
            if event_id is not None and message is not None:
                await send_callback(EventMessage(message, event_id))
        return None if _answers(message) else stream_id

    def _next(self, stream_id: StreamId, event_id: EventId) -> tuple[EventId | None, JSONRPCMessage | None]:
        """The event of a stream that comes after another one; looked up anew, as more may come during a replay."""
        ids = list(self._events)
        later = ids[ids.index(event_id) + 1 :] if event_id in self._events else ids
        for found in later:
            stream, message, _ = self._events[found]
            if stream == stream_id and message is not None:
                return found, message
        return None, None


def _answers(message: JSONRPCMessage | None) -> bool:
    """Whether a message is the response that ends the stream of its request."""
    return isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None


def _fitting(message: JSONRPCMessage | None) -> tuple[JSONRPCMessage | None, int]:
    """What is kept of a message, and its size. A response too large is one that says so, or its client would wait."""
    if message is None:
        return None, 0
    try:
        size = len(message.model_dump_json(exclude_unset=True))
    except PydanticSerializationError:  # a tool returned what JSON cannot say, such as half a surrogate pair
        size = MAX_MESSAGE + 1  # an exception here would end the whole session, without a word to its client
    if size <= MAX_MESSAGE:
        return message, size
    if not isinstance(message, JSONRPCResponse | JSONRPCError):
        return None, 0
    error = ErrorData(code=INTERNAL_ERROR, message="The answer could not be kept for later: ask once more.")
    return JSONRPCError(jsonrpc="2.0", id=message.id, error=error), 0
