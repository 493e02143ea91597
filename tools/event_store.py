"""The events of one session that a client may still ask for again: bounded, the oldest forgotten first."""

from __future__ import annotations

import secrets
from collections import OrderedDict

from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp.types import JSONRPCMessage

MAX_EVENTS = 200  # of one session
MAX_BYTES = 512 * 1024  # of their messages
MAX_MESSAGE = 128 * 1024  # bytes of one message that is kept; a larger one cannot be replayed


class BoundedEventStore(EventStore):
    """Keeps the last events of one session; ids cannot be guessed, and a replay stays within its stream."""

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self.max_events = max_events
        self.max_bytes = max_bytes
        self._events: OrderedDict[EventId, tuple[StreamId, JSONRPCMessage | None, int]] = OrderedDict()
        self._bytes = 0

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        """Keep an event; None is the one that only says where a stream begins."""
        event_id = secrets.token_urlsafe(16)
        size = len(message.model_dump_json(exclude_unset=True)) if message is not None else 0
        kept = message if size <= MAX_MESSAGE else None
        self._events[event_id] = (stream_id, kept, size if kept is not None else 0)
        self._bytes += self._events[event_id][2]
        while len(self._events) > self.max_events or self._bytes > self.max_bytes:
            _, (_, _, freed) = self._events.popitem(last=False)
            self._bytes -= freed
        return event_id

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        """Send again what came after an event on its stream; None if the event is unknown or forgotten."""
        if last_event_id not in self._events:
            return None
        stream_id = self._events[last_event_id][0]
        ids = list(self._events)
        for event_id in ids[ids.index(last_event_id) + 1 :]:
            stream, message, _ = self._events.get(event_id, ("", None, 0))
            if stream == stream_id and message is not None:
                await send_callback(EventMessage(message, event_id))
        return stream_id
