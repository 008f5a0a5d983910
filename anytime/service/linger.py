"""A transport that sends a reply's head with the first of its body, and whose close does not cut off who is still sending.

To close a socket with unread data resets the connection, and a reset throws away the reply that the client has not read
yet (RFC 9112, section 9.6): a body over the limit would be answered by a broken pipe instead of a 413.

uvicorn writes head and body apart, and uvloop makes each write a system call; a profile under load found a fifth of the time
in those two. So a head waits for the first piece of its body; an empty piece sends it alone, as a stream begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

_STATUS_LINE, _INTERIM = b"HTTP/1.1 ", b"HTTP/1.1 1"
LINGER_S = 5.0
"""How long a client may go on sending into the void."""


class LingeringTransport:
    """Closes in two steps while ``is_unread()``: first what we send, and what comes is left to be thrown away; then all."""

    __slots__ = ("_head", "_is_lingering", "_is_unread", "_loop", "_timer", "_transport")

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, is_unread: Callable[[], bool]
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._is_unread = is_unread
        self._is_lingering = False
        self._timer: asyncio.TimerHandle | None = None
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends ``data``; a reply's head with what is written next, or at ``flush``."""
        if self._head:
            self._transport.write(self._head + data)
            self._head = b""
        elif data.startswith(_STATUS_LINE) and not data.startswith(_INTERIM):
            self._head = data
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Sends a head that still waits: its reply has no body."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def is_closing(self) -> bool:
        """Whether ``close`` was called, though the client may still be sending."""
        return self._is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """The second call closes at once."""
        self.flush()
        if self._is_lingering or self._transport.is_closing() or not self._is_unread():
            self._close()
            return
        self._is_lingering = True
        self._transport.write_eof()
        self._transport.resume_reading()
        self._timer = self._loop.call_later(LINGER_S, self._close)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.close()
