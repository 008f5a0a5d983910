"""How a worker thread has the event loop do something, without holding the interpreter while it wakes it.

uvloop's ``call_soon_threadsafe`` wakes the loop by a write that holds the interpreter: the loop's thread gets a core, finds
the interpreter taken, and sleeps again. Where the kernel moved it to the worker's core it then waits behind the next graph,
up to a tick of the clock, for it has just had a turn (on a virtual machine even while another core is idle: one that is
halted counts as taken). ``os.write`` lets go of the interpreter, so that a thread which gets a core at once needs no second
wake-up.
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
        """Called by any thread while the loop runs, or once it is closed; no other thread will ring any more.

        What it was told before is still done.
        """
        try:
            self._loop.call_soon_threadsafe(self._end)
        except RuntimeError:  # the loop is closed, and calls nothing any more
            self._close_ends()

    def _hear(self) -> None:
        os.read(self._ear, _ALL)
        self._is_rung = False  # after the read, which takes every ring; before the calls: who comes now rings again
        self._make_calls()

    def _make_calls(self) -> None:
        for _ in range(len(self._calls)):  # who comes meanwhile has rung, and others may want the loop first
            try:
                self._calls.popleft()()
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException:  # as the loop does it: the others' calls must not be lost with this one
                log.exception("a call from a worker failed")

    def _end(self) -> None:
        if self._is_closed:
            return
        self._make_calls()
        self._loop.remove_reader(self._ear)
        self._close_ends()

    def _close_ends(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            os.close(self._ear)
            os.close(self._button)
