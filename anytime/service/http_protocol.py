"""uvicorn's HTTP protocol with what it lacks: bounds on a request's head, errors below ASGI in their one shape, a client's
leaving seen behind pipelined requests, and a close that lets a client that is still sending read its reply.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from anytime.service.errors import BodyTimeout, HeadTooLarge, MalformedRequest, ServiceError, error_body
from anytime.service.linger import LingeringTransport
from anytime.service.logs import REQUEST_ID, request_id
from anytime.service.reply import dumps

ARRIVED = "anytime.arrived"
"""The key of a scope's ``state`` that holds ``time.perf_counter()`` at the end of the request's head."""
GONE = "anytime.gone"
"""The key of a scope's ``state`` that holds the request's ``Departure``: what a task that waits for ``receive`` would tell,
without the task."""
IS_WHOLE = "anytime.is_whole"
"""The key of a scope's ``state`` that is there once all of the body has come."""
HEAD_BYTES = 64 * 1024
PIPELINED = 8
"""Requests that may wait behind one on its connection before reading stops, and with it the sight of a client's leaving."""


class Departure:
    """The connection's end under a request: whether it has come, and who is to be told when it does."""

    __slots__ = ("has_come", "tell")

    def __init__(self) -> None:
        self.has_come = False
        self.tell: Callable[[], object] | None = None

    def comes(self) -> None:
        """The client has left. Only the first time counts."""
        if not self.has_come:
            self.has_come = True
            if self.tell is not None:
                self.tell()


def _nothing() -> None:
    pass


def head_bounded(timeout_s: float, on_lost: Callable[[], None] = _nothing) -> type[HttpToolsProtocol]:
    """The protocol class of a server whose clients get ``timeout_s`` for a request's head.

    ``on_lost``: told on the event loop of every connection that ends.
    """
    return type("BoundedProtocol", (_BoundedHead,), {"head_timeout_s": timeout_s, "on_lost": staticmethod(on_lost)})


class _BoundedHead(HttpToolsProtocol):
    head_timeout_s = 10.0
    on_lost: Callable[[], None] = staticmethod(_nothing)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        self._in_vain = 0
        """Bytes that came since the parser last made something whole of them: a head, a piece of a body, a message."""
        self._is_whole = False
        self._is_in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn types it
        self._lingering = LingeringTransport(transport, self.loop, self._is_unread)
        super().connection_made(cast(asyncio.Transport, self._lingering))
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self.on_lost()
        self._head_is_here()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True  # uvicorn tells the last of the pipelined requests only
            self._running.message_event.set()
            self._running.scope["state"][GONE].comes()
        super().connection_lost(exc)
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return  # what still comes of a request that was refused
        self._is_whole = False
        self._in_vain += len(data)
        super().data_received(data)
        if self._is_whole:
            self._in_vain = 0
        elif self._in_vain > HEAD_BYTES:
            self._refuse_head()
        if self._head_timer is None and (self._is_in_head or self._is_idle):
            self._watch_head()  # part of a head; or no request came: the rest of a body that nobody read, or an empty line

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._head_is_here()
        if self._in_vain > HEAD_BYTES and self._head_bytes() > HEAD_BYTES:
            self._refuse_head()
        if self.transport.is_closing():
            return
        self._is_whole = True
        self.scope["state"][ARRIVED] = time.perf_counter()
        self.scope["state"][GONE] = Departure()
        super().on_headers_complete()
        if self.pipeline and len(self.pipeline) < PIPELINED:
            self.flow.resume_reading()

    def on_body(self, body: bytes) -> None:
        self._is_whole = True
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_whole = True
        if not self.transport.is_closing():
            super().on_message_complete()
            self.scope["state"][IS_WHOLE] = True
            self.cycle.more_body = False  # uvicorn leaves it where the reply came first
            if self.cycle is self._running:
                self.flow.resume_reading()  # what it paused for the body: who does not read sees nobody leave
            if not self._is_busy:
                self._head_is_here()

    def on_response_complete(self) -> None:
        self._lingering.flush()
        super().on_response_complete()
        if self.cycle.more_body and not self.pipeline and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._watch_head()  # the reply came first: the rest of the body gets as long as a head

    def send_400_response(self, msg: str) -> None:
        """What uvicorn answers to what is no HTTP."""
        self._refuse(MalformedRequest("this is no HTTP/1.1 request; look at its head and at the framing of its body"))

    def shutdown(self) -> None:
        """The server ends: a connection without a request under way ends with it, the others after their reply."""
        if self._running is not None and not self._running.response_complete:
            self._running.keep_alive = False
        else:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    @property
    def _is_busy(self) -> bool:
        return self._running is not None and not self._running.response_complete

    @property
    def _is_idle(self) -> bool:
        """Whether no request is under way, and none was answered that the next is waited for."""
        return not self._is_busy and self.timeout_keep_alive_task is None

    def _is_unread(self) -> bool:
        """Whether the client may still be sending what nobody will read."""
        return self._in_vain > 0 or (self._running is not None and self.cycle.more_body)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _watch_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._too_slow)

    def _head_is_here(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_head(self) -> None:
        self._refuse(
            HeadTooLarge(f"the request's head has more than {HEAD_BYTES} bytes; send fewer or shorter headers")
        )

    def _too_slow(self) -> None:
        self._head_timer = None
        if self._in_vain:
            self._refuse(BodyTimeout(f"the request's head was not complete after {self.head_timeout_s:g} s"))
        else:
            self.transport.close()  # a browser opens connections that it may never use

    def _refuse(self, error: ServiceError) -> None:
        """Answers below ASGI, for there is no request yet, and closes. In the middle of a reply it only closes."""
        if self.transport.is_closing():
            return
        self._head_is_here()
        if not self._is_busy:
            id = request_id(self.headers or ())
            body = dumps(error_body(error, id))
            self.transport.write(
                b"%bcontent-type: application/json\r\ncontent-length: %d\r\n%b: %b\r\nconnection: close\r\n\r\n%b"
                % (STATUS_LINE[error.status], len(body), REQUEST_ID, id.encode(), body)
            )
        self.transport.close()
