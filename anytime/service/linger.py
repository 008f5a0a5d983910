"""A transport that sends a reply's head with the first of its body, and whose close does not cut off who is still sending.

To close a socket with unread data resets the connection, and a reset throws away the reply that the client has not read
yet (RFC 9112, section 9.6): a body over the limit would be answered by a broken pipe instead of a 413.

uvicorn writes head and body apart, and uvloop makes each write a system call; a profile under load found a fifth of the time
in those two. So a head waits for the body, but never beyond this turn of the event loop. One system call less is certain; a
higher rate was not told from noise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

_STATUS_LINE = b"HTTP/1.1 "
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
        """Sends ``data``; a reply's head at the latest when the event loop comes round again."""
        if self._head:
            self._transport.write(self._head + data)
            self._head = b""
        elif data.startswith(_STATUS_LINE):
            self._head = data
            self._loop.call_soon(self._send_head)
        else:
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Whether ``close`` was called, though the client may still be sending."""
        return self._is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """The second call closes at once."""
        self._send_head()
        if self._is_lingering or self._transport.is_closing() or not self._is_unread():
            self._close()
            return
        self._is_lingering = True
        self._transport.write_eof()
        self._transport.resume_reading()
        self._timer = self._loop.call_later(LINGER_S, self._close)

    def _send_head(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.close()
