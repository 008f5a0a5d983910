"""Where connections come into a process that has no port: the supervisor accepts them, and hands them over as they are."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable

from anytime.service.processes.line import Held

log = logging.getLogger(__name__)
_AT_ONCE = 64


class Doorway:
    """Lives on the event loop. Each byte that comes through the door brings a connection."""

    def __init__(
        self,
        door: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        report: Callable[[Held], None],
        on_abandoned: Callable[[], None],
    ) -> None:
        """``report``: told how many connections were taken and have ended. ``on_abandoned``: the supervisor is gone."""
        self._door = door
        self._protocol = protocol
        self._report = report
        self._on_abandoned = on_abandoned
        self._taken = 0
        self._ended = 0
        self._will_report = False
        self._connecting: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """From now on connections come in."""
        self._loop = asyncio.get_running_loop()
        self._door.setblocking(False)
        self._loop.add_reader(self._door.fileno(), self._come)

    def close(self) -> None:
        """No more of them; closing twice does nothing."""
        if self._door.fileno() >= 0:
            self._loop.remove_reader(self._door.fileno())
            self._door.close()

    def ended(self) -> None:
        """A connection has ended."""
        self._ended += 1
        self._report_soon()

    def _come(self) -> None:
        while True:
            try:
                marks, files, _, _ = socket.recv_fds(self._door, _AT_ONCE, _AT_ONCE)
            except BlockingIOError:
                return
            except OSError:  # whatever it is, the supervisor replaces a process that ends
                marks, files = b"", []
            if not marks:
                self.close()
                self._on_abandoned()
                return
            self._taken += len(marks)
            for file in files:
                task = self._loop.create_task(self._connect(file))
                self._connecting.add(task)
                task.add_done_callback(self._connecting.discard)
            for _ in range(len(marks) - len(files)):  # this process may open no further file
                log.error("connection lost", extra={"reason": "too many open files"})
                self._ended += 1
            self._report_soon()

    async def _connect(self, file: int) -> None:
        try:
            connection = socket.socket(fileno=file)
        except OSError:  # on macOS the client's leaving can be seen this early
            os.close(file)
            self.ended()
            return
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # the client has left already
            connection.close()
            self.ended()

    def _report_soon(self) -> None:
        """Once for all that this turn of the loop changes."""
        if not self._will_report:
            self._will_report = True
            self._loop.call_soon(self._report_now)

    def _report_now(self) -> None:
        self._will_report = False
        self._report(Held(self._taken, self._ended))
