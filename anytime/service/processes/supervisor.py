"""The process in front of several others: it listens, hands each connection to the one that holds fewest, and starts anew
whatever ends. It loads no bundle and reads no request.

Connections are handed out here, and not accepted by whoever comes first, because that spreads them by chance, and a process
with most of them answers late while another idles. A request stays in the process of its connection.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector

from anytime.service.listening import listen, url_of
from anytime.service.logs import set_up_logs
from anytime.service.processes.member import COMMAND, Member
from anytime.service.processes.share import share_of
from anytime.service.processes.totals import Family, added, exposition, families, lasting
from anytime.service.settings import Settings

log = logging.getLogger(__name__)
_AGAIN_S = 1.0
"""Before a process that ended is started anew, and before accepting again where the system had nothing left."""
_WAIT_S = 0.01
"""Between two tries to hand on what nobody takes."""
_ENDED_WELL = (0, -signal.SIGTERM, -signal.SIGINT)
"""A signal ends a process that does not serve yet, or no longer."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Supervisor:
    """Of one service. ``run`` starts its processes and returns when the last has ended."""

    def __init__(
        self, settings: Settings, listeners: Sequence[socket.socket], on_ready: Callable[[str], None] | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:  # fmt: skip
        """``on_ready``: called with the base URL once every process is ready. ``command``: what starts a process."""
        self._settings = settings
        self._listeners = listeners
        self._url = url_of(listeners[0])
        self._on_ready = on_ready
        self._command = command
        self._members: list[Member] = []
        self._past: Sequence[Family] = ()
        """What processes that have ended had counted."""
        self._own = CollectorRegistry()
        ProcessCollector(registry=self._own)
        self._asking: list[tuple[Member, int]] = []
        """Who waits for the next sum of all metrics, and under which number."""
        self._is_asked = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._has_started = False
        self._failed = False

    async def run(self) -> int:
        """Serves until a signal, or until a process cannot be started; returns the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        for listener in self._listeners:
            self._go(self._accept(listener))
        self._go(self._sum())
        await asyncio.gather(*(self._keep() for _ in range(self._settings.processes)))
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return 1 if self._failed else 0

    def _stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """The first signal lets every process drain; a second SIGINT hurries them."""
        first = not self._stopping.is_set()
        self._stopping.set()
        for member in self._members:
            member.kill(signal.SIGTERM if first else number)

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        """Something beside the processes, until it or the service ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the supervisor failed: draining", exc_info=error)
            self._failed = True
            self._stop()

    # -- connections ---------------------------------------------------------------------------------------------

    async def _accept(self, listener: socket.socket) -> None:
        """Until the service stops and nobody takes connections any more: then new clients are refused, and know it."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        is_open = True
        while is_open:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:  # else the client has left at once
                if error.errno in _EXHAUSTED:
                    log.error("connection not accepted", extra={"reason": str(error)})
                    await asyncio.sleep(_AGAIN_S)
                continue
            is_open = await self._hand(connection)
        listener.close()

    async def _hand(self, connection: socket.socket) -> bool:
        """To the process with the fewest connections, among those that are ready if any is.

        False, and closed, where the service stops and nobody takes it.
        """
        while True:
            now = time.monotonic()
            for member in sorted(self._members, key=lambda member: member.load(now)):
                if member.hand(connection):
                    return True
            if self._stopping.is_set():
                connection.close()
                return False
            await asyncio.sleep(_WAIT_S)

    async def _hand_on(self, connections: Sequence[socket.socket]) -> None:
        for connection in connections:
            await self._hand(connection)

    # -- processes -----------------------------------------------------------------------------------------------

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
        status = await member.attend(self._one_is_ready, lambda number: self._wants_sum(member, number))
        self._members.remove(member)
        self._past = lasting(added([self._past, member.counted]))
        self._go(self._hand_on(member.leave()))
        return status

    def _one_is_ready(self) -> None:
        if self._has_started or sum(member.is_ready for member in self._members) < self._settings.processes:
            return
        self._has_started = True
        log.info("serving", extra={"url": self._url, "processes": self._settings.processes})
        if self._on_ready is not None:
            self._on_ready(self._url)

    # -- metrics -------------------------------------------------------------------------------------------------

    def _wants_sum(self, member: Member, number: int) -> None:
        self._asking.append((member, number))
        self._is_asked.set()

    async def _sum(self) -> None:
        """Adds up again and again as long as somebody asks; all who ask meanwhile get the next sum."""
        while True:
            await self._is_asked.wait()
            self._is_asked.clear()
            asking, self._asking = self._asking, []
            await asyncio.gather(*(one.count() for one in self._members))
            of_all = [self._past, families(self._own), *(one.counted for one in self._members)]
            try:
                text = await asyncio.to_thread(_text, of_all)
            except Exception:  # the service goes on, and who asked gives its own count
                log.exception("metrics could not be added up")
                text = ""
            for member, number in asking:
                member.tell_sum(number, text)


def _text(of_all: Iterable[Sequence[Family]]) -> str:
    return exposition(added(of_all))


def supervise(settings: Settings, on_ready: Callable[[str], None] | None = None) -> int:
    """Serves with several processes until a signal; returns the exit status."""
    set_up_logs(settings.log_level, settings.log_format)
    try:
        listeners = listen(settings.host, settings.port)
    except (OSError, UnicodeError) as error:
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
