"""One admitted request on its way back to the client: the events of its rows, and the means to leave."""

from __future__ import annotations

import asyncio
import math
import os
from collections import deque

from anytime.service.engine.doorbell import OnLoop
from anytime.service.engine.messages import Event, Work
from anytime.service.engine.program import Program
from anytime.service.engine.served import Served

NEVER = math.inf
"""The deadline of a request without one."""


class Ticket:
    """Written by workers under the engine's lock, read on the event loop.

    Times in seconds of ``time.perf_counter``; ``due_at`` is the deadline less its guard, infinite without one.
    """

    def __init__(self, served: Served, program: Program, work: Work, number: int, on_loop: OnLoop) -> None:
        """``on_loop``: by it a worker has those woken who wait on the event loop."""
        self.id = os.urandom(12).hex()
        """Unguessable."""
        self.served = served
        self.program = program
        # Not the work itself: its tensors are the jobs' to drop, once no later graph reads them.
        self.rows = work.rows
        self.arrived = work.arrived
        self.streams = work.streams
        self.traces = work.traces
        self.number = number
        deadline_ms = program.plan.policy.deadline_ms
        self.deadline_at = NEVER if deadline_ms is None else work.arrived + deadline_ms / 1e3
        self.due_at = self.deadline_at
        self.shape: tuple[int, ...] = ()
        self.open_rows = work.rows
        self.row_bytes = 0
        self.started_at: float | None = None
        """When its first graph started."""
        self.admitted_at = 0.0
        self.met_idle_worker = False
        """Whether a worker was idle when it was admitted."""
        self.handed_at: float | None = None
        """When the reply's last byte was offered to the transport; None where the client left before."""
        self.timer: asyncio.TimerHandle | None = None
        self._on_loop = on_loop
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._called = False

    @property
    def done(self) -> bool:
        """Whether every row has ended."""
        return self.open_rows == 0

    @property
    def is_told(self) -> bool:
        """Whether every row has ended, and all events have been taken."""
        return self.done and not self._events

    @property
    def queue_ms(self) -> float:
        """From admission to its first graph's start."""
        return 0.0 if self.started_at is None else (self.started_at - self.admitted_at) * 1e3

    def post(self, event: Event) -> None:
        """Called under the engine's lock, by any thread: an event on the way. ``ring``, or a herald, comes after it."""
        self._events.append(event)

    def end_row(self, event: Event | None) -> None:
        """As ``post``, of a row that ends; nothing is said of one whose client left.

        The event comes first: once ``done`` is seen, everything has been said.
        """
        if event is not None:
            self._events.append(event)
        self.open_rows -= 1

    def ring(self) -> None:
        """Called by any thread: whoever waits on the event loop shall look at what was posted.

        Better without the engine's lock: the loop would wake up only to wait for it.
        """
        if not self._called and (self.streams or self.done):
            self._called = True
            self._on_loop(self.wake)

    async def events(self) -> list[Event]:
        """What has come since the last call, in order; waits for the next if there is none. Empty once all is said.

        A request that does not stream is told everything at once, when its last row has ended.
        """
        while (said := self._said()) is None:
            await self._wait()
        return said

    async def events_within(self, seconds: float) -> list[Event] | None:
        """As ``events``; None where nothing came in this time."""
        said = self._said()
        if said is not None:
            return said
        is_late = False

        def ring() -> None:  # clocks are not compared: some loops call a little before the time is up
            nonlocal is_late
            is_late = True
            self.wake()

        timer = asyncio.get_running_loop().call_later(seconds, ring)
        try:
            while said is None and not is_late:
                await self._wait()  # may wake for what has been taken already
                said = self._said()
        finally:
            timer.cancel()
        return said

    def _said(self) -> list[Event] | None:
        done = self.done  # before the events: whoever ends a row says so first
        if not (self._events and (self.streams or done)):
            return [] if done else None
        said = []
        while self._events:  # one by one, for a worker may add to them meanwhile
            said.append(self._events.popleft())
        return said

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def wake(self) -> None:
        """On the event loop: whoever waits for events looks again."""
        self._called = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
