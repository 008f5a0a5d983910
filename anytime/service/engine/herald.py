"""When the event loop hears of exits that a row runs past: at once, or under load together with others of the moment."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from anytime.service.engine.ticket import Ticket

HOLD_S = 0.002
"""For how long such news may wait while rows wait for a worker. Each time the loop wakes it takes a core and the interpreter
from a graph; a row that waits in the queue waits longer than this. Ends and rows with a clock are never held."""


class Herald:
    """Wakes the clients of rows that go on. The first news goes out at once; what comes within ``hold_s`` after it goes
    together, by a timer on the loop, so that a graph that takes long holds nothing back.
    """

    def __init__(self, is_pressed: Callable[[], bool], loop: asyncio.AbstractEventLoop, hold_s: float = HOLD_S) -> None:
        """``is_pressed``: whether rows wait for a worker; asked on the loop, without the engine's lock."""
        self._is_pressed = is_pressed
        self._loop = loop
        self._hold_s = hold_s
        self._tickets: deque[Ticket] = deque()
        self._is_called = False
        """Whether ``_deliver`` will run; what is added before it has cleared this is delivered by it."""

    def tell(self, ticket: Ticket) -> None:
        """Called by any thread: something was posted on the way of a row that goes on."""
        self._tickets.append(ticket)
        if not self._is_called:
            self._is_called = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._is_called = False
        has_news = bool(self._tickets)
        while self._tickets:
            self._tickets.popleft().wake()
        if has_news and self._is_pressed():
            self._is_called = True
            self._loop.call_later(self._hold_s, self._deliver)
