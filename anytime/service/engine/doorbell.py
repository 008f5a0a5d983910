"""How a worker thread has the event loop do something, without holding the interpreter while it wakes it.

The loop's own ``call_soon_threadsafe`` wakes it by a write that holds the interpreter: the loop's thread gets a core, finds
the interpreter taken, and sleeps again. Where the kernel moved it to the worker's core it then waits behind the next graph,
up to a tick of the clock, for it has just had a turn (on a virtual machine even while another core is idle: one that is
halted counts as taken). ``os.write`` lets go of the interpreter, so that the one wake-up is enough.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

OnLoop = Callable[[Callable[[], object]], object]
"""Takes a call from any thread and makes it on the event loop; the loop's ``call_soon_threadsafe`` is one."""
_ALL = 4096
"""More bytes than there are ever in the pipe: one for each thread that rings at the same moment."""


class Doorbell:
    """Calls from any thread to one event loop, made in their order; those of a moment share one wake-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """To be made on the loop, and closed: it holds two file descriptors."""
        self._loop = loop
        self._calls: deque[Callable[[], object]] = deque()
        self._is_rung = False
        """Whether the loop will look at the calls anyway."""
        self._is_closed = False
        self._ear, self._button = os.pipe()
        for end in (self._ear, self._button):
            os.set_blocking(end, False)
        loop.add_reader(self._ear, self._hear)

    def call(self, callback: Callable[[], object]) -> None:
        """``callback`` is called on the loop soon. After the bell was closed nothing is."""
        if self._is_closed:
            return
        self._calls.append(callback)
        if not self._is_rung:
            self._is_rung = True
            os.write(self._button, b"\0")

    def close(self) -> None:
        """Called by any thread, once no other thread will ring; what it was told before is still done."""
        try:
            self._loop.call_soon_threadsafe(self._end)
        except RuntimeError:  # the loop is closed, and calls nothing any more
            self._close_ends()

    def _hear(self) -> None:
        os.read(self._ear, _ALL)
        self._is_rung = False  # before the calls: who comes after the last of them rings again
        self._make_calls()

    def _make_calls(self) -> None:
        while self._calls:
            try:
                self._calls.popleft()()
            except Exception:  # the others' calls must not be lost with it
                log.exception("a call from a worker failed")

    def _end(self) -> None:
        self._make_calls()
        self._loop.remove_reader(self._ear)
        self._close_ends()

    def _close_ends(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            os.close(self._ear)
            os.close(self._button)
