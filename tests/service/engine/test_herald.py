"""The herald: exits that a row runs past are told at once, and under load together; none is lost."""

from __future__ import annotations

import asyncio

import pytest

from anytime.service.engine.herald import Herald
from tests.service.engine.engines import run, serve
from tests.service.engine.test_ticket import event, ticket_of

HOLD_S = 3600.0
"""Passes only when the loop's clock is put forward."""


@pytest.fixture(scope="module")
def served(spelled_bundle):
    return serve(spelled_bundle)


def herald_of(is_pressed) -> Herald:
    return Herald(is_pressed, asyncio.get_running_loop(), HOLD_S)


def say(herald, ticket, number) -> None:
    ticket.post(event(number))
    herald.tell(ticket)


async def settle() -> None:
    """The loop does all that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


async def heard(ticket) -> list[int]:
    return [each.row for each in await ticket.events()]


def test_without_load_each_exit_is_told_at_once(served):
    """Nobody waits for a worker: no news waits for a timer, however soon it follows."""

    async def main():
        herald, ticket = herald_of(lambda: False), ticket_of(served, streams=True)
        for number in range(3):
            waits = asyncio.create_task(heard(ticket))
            await settle()
            say(herald, ticket, number)
            assert await waits == [number]

    run(main())


def test_under_load_news_of_a_moment_goes_together(served):
    """The first is told at once; what follows, of whatever ticket, when the time is up; and so again after that."""

    async def main():
        herald, one, other = herald_of(lambda: True), ticket_of(served, streams=True), ticket_of(served, streams=True)
        waits = asyncio.create_task(heard(one))
        await settle()
        say(herald, one, 0)
        assert await waits == [0]
        for first in (1, 3):
            waits = [asyncio.create_task(heard(ticket)) for ticket in (one, other)]
            await settle()
            for number in (first, first + 1):
                say(herald, one, number)
                say(herald, other, number)
            await settle()
            assert not any(waiter.done() for waiter in waits)
            asyncio.get_running_loop().skip(HOLD_S)
            assert [await waiter for waiter in waits] == [[first, first + 1]] * 2

    run(main())


def test_an_end_waits_for_no_timer(served):
    """A row that ends rings by itself, and what was held of it goes with its end."""

    async def main():
        herald, ticket = herald_of(lambda: True), ticket_of(served, 1, streams=True)
        say(herald, ticket, 0)
        await settle()
        assert await heard(ticket) == [0]
        waits = asyncio.create_task(heard(ticket))
        await settle()
        say(herald, ticket, 1)
        ticket.end_row(event(2))
        ticket.ring()
        assert await waits == [1, 2]

    run(main())


def test_the_hold_ends_with_the_load(served):
    """Where a hold brought nothing, or nobody waits any more, the next news is told at once again."""

    async def main():
        is_pressed = True
        herald, ticket = herald_of(lambda: is_pressed), ticket_of(served, streams=True)
        for number in range(2):  # the hold after it brings nothing
            say(herald, ticket, number)
            assert await heard(ticket) == [number]
            asyncio.get_running_loop().skip(HOLD_S)
            await settle()
        say(herald, ticket, 2)
        await settle()
        say(herald, ticket, 3)
        is_pressed = False
        asyncio.get_running_loop().skip(HOLD_S)
        await settle()
        assert await heard(ticket) == [2, 3]
        waits = asyncio.create_task(heard(ticket))
        await settle()
        say(herald, ticket, 4)
        assert await waits == [4]

    run(main())


@pytest.mark.usefixtures("restless_threads")
@pytest.mark.parametrize("is_pressed", [False, True])
def test_every_news_of_another_thread_is_told(served, is_pressed):
    """A thread that posts as fast as it can, and says nothing afterwards, is heard completely."""

    async def main():
        loop = asyncio.get_running_loop()
        herald = Herald(lambda: is_pressed, loop, 0.0001)
        for _ in range(100):
            ticket = ticket_of(served, 100, streams=True)
            posting = asyncio.create_task(asyncio.to_thread(_say_all, herald, ticket))
            told = []
            async with asyncio.timeout(60):
                while len(told) < 100:
                    told += await heard(ticket)
            await posting
            assert told == list(range(100))

    run(main())


def _say_all(herald, ticket) -> None:
    for number in range(100):
        say(herald, ticket, number)
