"""The process in front of several others: it listens, hands each connection to the one that holds fewest, and starts anew
whatever ends. It loads no bundle and reads no request.

Connections are handed out here, and not accepted by whoever comes first, because that spreads them by chance, and a process
with most of them answers late while another idles. A request stays in the process of its connection.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector

from anytime.service.listening import listen, url_of
from anytime.service.logs import set_up_logs
from anytime.service.processes.member import COMMAND, Member
from anytime.service.processes.share import share_of
from anytime.service.processes.totals import Family, added, exposition, families, lasting
from anytime.service.settings import Settings

log = logging.getLogger(__name__)
_AGAIN_S = 1.0
"""Before a process that ended is started anew: one that ends at once must not keep the machine busy."""
_WAIT_S = 0.01
"""Between two tries to hand on what nobody takes, and after a failure to accept."""


_ENDED_WELL = (0, -signal.SIGTERM, -signal.SIGINT)
"""A signal ends a process that does not serve yet, or no longer."""


class Supervisor:
    """Of one service. ``run`` starts its processes and returns when the last has ended."""

    def __init__(
        self, settings: Settings, listeners: Sequence[socket.socket], on_ready: Callable[[str], None] | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:  # fmt: skip
        """``on_ready``: called with the base URL once every process is ready. ``command``: what starts a process."""
        self._settings = settings
        self._listeners = listeners
        self._on_ready = on_ready
        self._command = command
        self._members: list[Member] = []
        self._past: Sequence[Family] = ()
        """What processes that have ended had counted."""
        self._own = CollectorRegistry()
        ProcessCollector(registry=self._own)
        self._sums: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._has_started = False
        self._failed = False

    async def run(self) -> int:
        """Serves until a signal, or until a process cannot be started; returns the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        accepting = [asyncio.create_task(self._accept(listener)) for listener in self._listeners]
        await asyncio.gather(*(self._keep() for _ in range(self._settings.processes)))
        for task in accepting:
            task.cancel()
        await asyncio.gather(*accepting, *self._sums, return_exceptions=True)
        return 1 if self._failed else 0

    def _stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """The first signal lets every process drain; a second SIGINT hurries them."""
        first = not self._stopping.is_set()
        self._stopping.set()
        for member in self._members:
            member.kill(signal.SIGTERM if first else number)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:  # too many open files, or a client that left at once
                log.warning("connection not accepted", extra={"reason": str(error)})
                await asyncio.sleep(_WAIT_S)
                continue
            await self._hand(connection)

    async def _hand(self, connection: socket.socket) -> None:
        """To the process with the fewest connections, among those that are ready if any is."""
        while not any(member.hand(connection) for member in sorted(self._members, key=_by_load)):  # noqa: ASYNC110
            await asyncio.sleep(_WAIT_S)  # a queue that empties in another process rings no bell here

    async def _keep(self) -> None:
        """One place among the processes, filled again and again until the end."""
        while not self._stopping.is_set():
            status = await self._live()
            if self._stopping.is_set():
                self._failed = self._failed or status not in _ENDED_WELL
            elif not self._has_started:
                log.error("a process ended before the service was ready", extra={"status": status})
                self._failed = True
                self._stop()
            else:
                log.error("a process ended: another takes its place", extra={"status": status})
                await self._pause()

    async def _pause(self) -> None:
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([stopped], timeout=_AGAIN_S)
        stopped.cancel()

    async def _live(self) -> int:
        """A process from start to end; returns its exit status."""
        try:
            member = await Member.start(share_of(self._settings), self._command)
        except OSError as error:
            log.error("no process could be started", extra={"reason": str(error)})
            return 1
        self._members.append(member)
        if self._stopping.is_set():
            member.kill(signal.SIGTERM)
        log.info("process started", extra={"pid": member.pid})
        status = await member.attend(self._one_is_ready, lambda number: self._sum_for(member, number))
        self._members.remove(member)
        self._past = lasting(added([self._past, member.counted]))
        for connection in member.leave():
            if self._stopping.is_set():
                connection.close()
            else:
                await self._hand(connection)
        return status

    def _one_is_ready(self) -> None:
        if self._has_started or sum(member.is_ready for member in self._members) < self._settings.processes:
            return
        self._has_started = True
        url = url_of(self._listeners[0])
        log.info("serving", extra={"url": url, "processes": self._settings.processes})
        if self._on_ready is not None:
            self._on_ready(url)

    def _sum_for(self, member: Member, number: int) -> None:
        task = asyncio.create_task(self._sum(member, number))
        self._sums.add(task)
        task.add_done_callback(self._sums.discard)

    async def _sum(self, member: Member, number: int) -> None:
        await asyncio.gather(*(one.count() for one in self._members))
        of_all = [self._past, families(self._own), *(one.counted for one in self._members)]
        member.tell_sum(number, await asyncio.to_thread(lambda: exposition(added(of_all))))


def _by_load(member: Member) -> tuple[bool, int]:
    return not member.is_ready, member.connections


def supervise(settings: Settings, on_ready: Callable[[str], None] | None = None) -> int:
    """Serves with several processes until a signal; returns the exit status."""
    set_up_logs(settings.log_level, settings.log_format)
    try:
        listeners = listen(settings.host, settings.port)
    except OSError as error:
        log.error(str(error))
        return 1
    try:
        return asyncio.run(_supervised(settings, listeners, on_ready))
    finally:
        for listener in listeners:
            listener.close()


async def _supervised(
    settings: Settings, listeners: Sequence[socket.socket], on_ready: Callable[[str], None] | None
) -> int:
    return await Supervisor(settings, listeners, on_ready).run()
