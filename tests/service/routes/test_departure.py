"""A client's leaving is told once, whenever it comes, and never after the watch has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from anytime.service.routes.departure import SOON_S, Departure

PIECE, LEFT = {"type": "http.request"}, {"type": "http.disconnect"}


class Wire:
    """``receive`` that hands over what was put on it, and waits for more."""

    def __init__(self, *messages: Mapping[str, Any]) -> None:
        self.messages: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self.asked = 0
        for message in messages:
            self.messages.put_nowait(message)

    async def __call__(self) -> Any:
        self.asked += 1
        return await self.messages.get()


def test_who_left_before_the_watch_begins_is_seen():
    """The watch begins a moment after the request; what happened until then is not lost."""

    async def leave() -> int:
        told: list[None] = []
        Departure(Wire(LEFT), lambda: told.append(None))
        assert told == []
        await asyncio.sleep(20 * SOON_S)
        return len(told)

    assert asyncio.run(leave()) == 1


def test_what_comes_before_the_end_is_passed_over():
    """Whatever else is received is no end; the end is told as soon as it comes."""

    async def leave() -> tuple[int, int]:
        told: list[None] = []
        wire = Wire(PIECE, PIECE)
        Departure(wire, lambda: told.append(None))
        await asyncio.sleep(20 * SOON_S)
        before = len(told)
        wire.messages.put_nowait(LEFT)
        await asyncio.sleep(0.01)
        return before, len(told)

    assert asyncio.run(leave()) == (0, 1)


def test_nothing_is_told_once_it_has_ended():
    """Ended before the watch began or in its midst, it neither asks nor tells any more."""

    async def end(after_s: float) -> tuple[int, list[None], int]:
        told: list[None] = []
        wire = Wire()
        departure = Departure(wire, lambda: told.append(None))
        await asyncio.sleep(after_s)
        departure.end()
        wire.messages.put_nowait(LEFT)
        await asyncio.sleep(20 * SOON_S)
        return wire.asked, told, len(asyncio.all_tasks())

    assert asyncio.run(end(0.0)) == (0, [], 1)
    assert asyncio.run(end(20 * SOON_S)) == (1, [], 1)
