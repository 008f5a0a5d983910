"""A transport whose close does not cut off a client that is still sending.

To close a socket with unread data resets the connection, and a reset throws away the reply that the client has not read
yet (RFC 9112, section 9.6): a body over the limit would be answered by a broken pipe instead of a 413.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

LINGER_S = 5.0
"""How long a client may go on sending into the void."""


class LingeringTransport:
    """Closes in two steps while ``is_unread()``: first what we send, and what comes is left to be thrown away; then all."""

    __slots__ = ("_is_lingering", "_is_unread", "_loop", "_timer", "_transport", "write")

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, is_unread: Callable[[], bool]
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._is_unread = is_unread
        self._is_lingering = False
        self._timer: asyncio.TimerHandle | None = None
        self.write = transport.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether ``close`` was called, though the client may still be sending."""
        return self._is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """The second call closes at once."""
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
