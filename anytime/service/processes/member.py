"""One process as its supervisor sees it: what it was handed, what it holds, what it has counted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence

from anytime.service.processes.line import Count, Counted, Held, Leaving, Line, Ready, Sum, Summed
from anytime.service.processes.share import as_text
from anytime.service.processes.totals import Family
from anytime.service.settings import Settings

COMMAND = (sys.executable, "-P", "-m", "anytime.service.processes.process")
"""``-P``: modules come from where the supervisor's did, and not from the folder that it stands in."""
_HANGS_S = 1.0
"""A process that has not taken a connection within this hangs, or is very busy."""
_COUNT_S = 2.0
"""A process that has not said within this what it counted is taken at its last word."""


class Member:
    """A process that has been started: in a session of its own, so that a terminal's Ctrl-C meets the supervisor alone."""

    def __init__(self, process: asyncio.subprocess.Process, door: socket.socket, line: Line) -> None:
        self._process = process
        self._door = door
        self._line = line
        self._untaken: deque[tuple[socket.socket, float]] = deque()
        """Each with the time at which it was handed."""
        self._taken = 0
        self._ended = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._asked = 0
        self.has_spoken = False
        self.is_ready = False
        """Whether it has looked at the store and loaded what that names."""
        self.is_leaving = False
        """Whether it drains."""
        self.counted: Sequence[Family] = ()
        """What it said last."""

    @classmethod
    async def start(cls, settings: Settings, command: Sequence[str] = COMMAND) -> Member:
        """Starts it with these settings. Raises ``OSError`` where the system does not allow that."""
        (door, its_door), (line, its_line) = socket.socketpair(), socket.socketpair()
        door.setblocking(False)
        try:
            with its_door, its_line:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    str(its_door.fileno()),
                    str(its_line.fileno()),
                    stdin=asyncio.subprocess.PIPE,
                    pass_fds=(its_door.fileno(), its_line.fileno()),
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )
        except OSError:
            door.close()
            line.close()
            raise
        assert process.stdin is not None
        process.stdin.write(as_text(settings).encode())
        process.stdin.close()
        return cls(process, door, await Line.over(line))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def connections(self) -> int:
        """Those that it holds, and those on the way to it."""
        return len(self._untaken) + self._taken - self._ended

    def load(self, now: float) -> tuple[bool, bool, bool, int]:
        """What a new connection goes by, to the least: those that drain, that hang, that still load come last.

        ``now``: on ``time.monotonic``.
        """
        hangs = bool(self._untaken) and now - self._untaken[0][1] > _HANGS_S
        return self.is_leaving, not self.is_ready, hangs, self.connections

    def hand(self, connection: socket.socket) -> bool:
        """Gives it a connection, and says whether that went; until it has taken it the connection is kept here too."""
        try:
            socket.send_fds(self._door, [b"c"], [connection.fileno()])
        except OSError:  # its queue is full, or it is going
            return False
        self._untaken.append((connection, time.monotonic()))
        return True

    def kill(self, number: signal.Signals) -> None:
        """Sends a signal; to one that is gone, nothing."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)  # asyncio's own way may reap it, and lose its exit status

    async def count(self) -> None:
        """Lets it say what it has counted; one that has never spoken has counted nothing."""
        if not self.has_spoken:
            return
        self._asked += 1
        told = self._waiting[self._asked] = asyncio.get_running_loop().create_future()
        self._line.send(Count(self._asked))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(told, _COUNT_S)

    def tell_sum(self, number: int, text: str) -> None:
        self._line.send(Summed(number, text))

    async def attend(self, on_ready: Callable[[], None], on_sum: Callable[[int], None]) -> int:
        """Hears it until it ends; returns its exit status, negative for a signal.

        ``on_sum``: it wants the sum of what all have counted, under this number.
        """
        while (message := await self._line.receive()) is not None:
            self.has_spoken = True
            if isinstance(message, Held):
                self._take(message)
            elif isinstance(message, Counted):
                self.counted = message.families
                self._count_came(message.number)
            elif isinstance(message, Sum):
                on_sum(message.number)
            elif isinstance(message, Ready):
                self.is_ready = True
                on_ready()
            elif isinstance(message, Leaving):
                self.is_leaving = True
        status = await self._process.wait()
        for number in list(self._waiting):
            self._count_came(number)
        return status

    def leave(self) -> list[socket.socket]:
        """It has ended: closes what led to it, and gives back the connections that it never took.

        Where its last words may be missing none is given back but all are closed, for it may have read from any of them.
        """
        self._door.close()
        self._line.close()
        untaken = [connection for connection, _ in self._untaken]
        self._untaken.clear()
        if not self._line.is_broken:
            return untaken
        for connection in untaken:
            connection.close()
        return []

    def _take(self, held: Held) -> None:
        for _ in range(held.taken - self._taken):
            self._untaken.popleft()[0].close()
        self._taken, self._ended = held.taken, held.ended

    def _count_came(self, number: int) -> None:
        told = self._waiting.pop(number)
        if not told.done():
            told.set_result(None)
