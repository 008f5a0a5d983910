"""The process: uvicorn around the service, ready first, drained last."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn

from anytime.service.allocator import keep_freed_memory
from anytime.service.app import Service
from anytime.service.http_protocol import head_bounded
from anytime.service.listening import BACKLOG, url_of
from anytime.service.logs import set_up_logs
from anytime.service.settings import Settings
from anytime.service.time_slice import shorten_time_slice

log = logging.getLogger(__name__)

_SWITCH_S = 0.0001
"""How long a worker that comes back from a run waits for the interpreter, at most, for a core may stand idle meanwhile. Full
depth over 8 connections, 2 ms network, two cores: 10 us, 50 us and 0.3 ms give the same rate within 4 %; with older code
Python's own 5 ms gave a seventh less."""
_CLOSE_S = 5
"""After the drain: what is left to write gets this long."""
_KEEP_ALIVE_S = 75
"""An idle connection lives longer than in the pools of the usual proxies (60 s), so that it is they who close it: a server
that closes first loses the request that was just sent."""


class Server(uvicorn.Server):
    """uvicorn's server; at a signal it drains the service before it closes connections."""

    def __init__(
        self,
        settings: Settings,
        service: Service,
        on_ready: Callable[[str], None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        """``on_lost``: told of every connection that ends."""
        super().__init__(
            uvicorn.Config(
                service.asgi,
                host=settings.host,
                port=settings.port,
                http=head_bounded(settings.head_timeout_s, on_lost or _nobody),
                loop="uvloop",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nothing asks for the client's address or scheme
                timeout_graceful_shutdown=_CLOSE_S,
                timeout_keep_alive=_KEEP_ALIVE_S,
                backlog=BACKLOG,
            )
        )
        self._service = service
        self._on_ready = on_ready
        self._telling: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._telling = asyncio.create_task(self._tell_when_ready())

    def stop_accepting(self) -> None:
        """Nothing here: uvicorn closes what it listens on itself."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("draining")
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        await self._service.drain(lambda: self.force_exit)
        self.stop_accepting()
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn would have the application cancelled, and log where
            await self.lifespan.shutdown()

    def leave(self) -> int:
        """The exit status. Where a graph still runs the process ends here, for the runtime must not go from under it."""
        status = 0 if self.started else 1
        if self._service.engine.left_behind:
            logging.shutdown()
            os._exit(status)
        return status

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, which raises a signal again once it has been obeyed: but to stop when told to is a success."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def _tell_when_ready(self) -> None:
        await self._service.catalogue.first_look()
        self.tell_ready()

    def tell_ready(self) -> None:
        """The store has been looked at, and its models loaded."""
        url = url_of(self.servers[0].sockets[0])
        catalogue = self._service.catalogue
        log.info("serving", extra={"url": url, "models": list(catalogue.models), "refused": len(catalogue.faults)})
        if self._on_ready is not None:
            self._on_ready(url)


def serve(settings: Settings, on_ready: Callable[[str], None] | None = None) -> int:
    """Serves until a signal; returns the exit status.

    ``on_ready``: called on the event loop with the base URL, once the store has been looked at and its models loaded.
    """
    set_up_process(settings)
    server = Server(settings, Service(settings), on_ready)
    server.run()
    return server.leave()


def set_up_process(settings: Settings) -> None:
    """Logs, memory and threads of a process that serves. Called by the thread of its event loop."""
    set_up_logs(settings.log_level, settings.log_format)
    keep_freed_memory()
    sys.setswitchinterval(_SWITCH_S)
    shorten_time_slice()


def _nobody() -> None:
    pass
