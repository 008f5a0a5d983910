"""uvicorn's HTTP protocol with what it lacks: a bound on the time and the size of a request's head, and when it was read."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from anytime.service.errors import BodyTimeout, HeadTooLarge, ServiceError, error_body
from anytime.service.reply import dumps

ARRIVED = "anytime.arrived"
"""The key of a scope's ``state`` that holds ``time.perf_counter()`` at the end of the request's head."""
HEAD_BYTES = 64 * 1024


def head_bounded(timeout_s: float) -> type[HttpToolsProtocol]:
    """The protocol class of a server whose clients get ``timeout_s`` for a request's head."""
    return type("BoundedProtocol", (_BoundedHead,), {"head_timeout_s": timeout_s})


class _BoundedHead(HttpToolsProtocol):
    head_timeout_s = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn types it
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        if self._head_timer is None:
            self._watch_head()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._head_is_here()
        if not self.transport.is_closing():
            self.scope["state"][ARRIVED] = time.perf_counter()
            super().on_headers_complete()

    def _watch_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._too_slow)

    def _head_is_here(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            self._refuse(
                HeadTooLarge(f"the request's head has more than {HEAD_BYTES} bytes; send fewer or shorter headers")
            )

    def _too_slow(self) -> None:
        self._head_timer = None
        self._refuse(BodyTimeout(f"the request's head was not complete after {self.head_timeout_s:g} s"))

    def _refuse(self, error: ServiceError) -> None:
        """Answers below ASGI, for there is no request yet, and closes."""
        if self.transport.is_closing():
            return
        body = dumps(error_body(error))
        phrase = {408: b"Request Timeout", 431: b"Request Header Fields Too Large"}[error.status]
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (error.status, phrase, len(body), body)
        )
        self.transport.close()
