"""When the event loop hears of exits on a row's way: at once, or under load together with others of the moment."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from anytime.service.engine.doorbell import OnLoop
from anytime.service.engine.ticket import Ticket

HOLD_S = 0.002
"""How long such news may wait under load. Each time the loop wakes it takes a core and the interpreter from a graph."""


class Herald:
    """Wakes the clients of rows that are told of an exit on the way.

    Under load what comes within ``hold_s`` after a delivery goes together, by a timer on the loop: a graph that takes long
    holds nothing back. There is one call or one timer at a time.
    """

    def __init__(self, is_pressed: Callable[[], bool], on_loop: OnLoop, hold_s: float = HOLD_S) -> None:
        """``is_pressed``: whether rows lack a worker; asked on the loop after each delivery, without the engine's lock.

        ``on_loop``: has a call made on the event loop.
        """
        self._is_pressed = is_pressed
        self._on_loop = on_loop
        self._hold_s = hold_s
        self._tickets: deque[Ticket] = deque()
        self._is_called = threading.Lock()
        """Held while ``_deliver`` will run, or runs: whoever finds it held need not call."""

    def tell(self, ticket: Ticket) -> None:
        """Called by any thread, after something was posted."""
        self._tickets.append(ticket)
        if self._is_called.acquire(blocking=False):
            self._on_loop(self._deliver)

    def _deliver(self) -> None:
        if self._wake_all() and self._is_pressed():
            asyncio.get_running_loop().call_later(self._hold_s, self._deliver)
            return
        self._is_called.release()
        self._wake_all()  # those told a moment ago, who found it held

    def _wake_all(self) -> bool:
        """Whether there was anybody to wake."""
        has_news = bool(self._tickets)
        while self._tickets:
            self._tickets.popleft().wake()
        return has_news
