"""The herald: exits on a row's way are told at once, and under load together; none is lost."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading

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
    return Herald(is_pressed, asyncio.get_running_loop().call_soon_threadsafe, HOLD_S)


def say(herald, ticket, number) -> None:
    ticket.post(event(number))
    herald.tell(ticket)


async def settle() -> None:
    """The loop does all that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


async def waiting(ticket) -> asyncio.Task[list[int]]:
    """Somebody who waits for the next events, and hears of nothing unless he is woken."""

    async def heard() -> list[int]:
        return [each.row for each in await ticket.events()]

    task = asyncio.create_task(heard())
    await settle()
    return task


def skip() -> None:
    asyncio.get_running_loop().skip(HOLD_S)


def test_without_load_each_exit_is_told_at_once(served):
    """No row lacks a worker: no news waits for a timer, however soon it follows."""

    async def main():
        herald, ticket = herald_of(lambda: False), ticket_of(served, streams=True)
        for number in range(3):
            waits = await waiting(ticket)
            say(herald, ticket, number)
            assert await waits == [number]

    run(main())


def test_under_load_news_of_a_moment_goes_together(served):
    """The first is told at once; what follows, of whatever ticket, when the time is up; and so again after that."""

    async def main():
        herald, one, other = herald_of(lambda: True), ticket_of(served, streams=True), ticket_of(served, streams=True)
        waits = await waiting(one)
        say(herald, one, 0)
        assert await waits == [0]
        for first in (1, 3):
            both = [await waiting(ticket) for ticket in (one, other)]
            for number in (first, first + 1):
                say(herald, one, number)
                say(herald, other, number)
            await settle()
            assert not any(waits.done() for waits in both)
            skip()
            assert [await waits for waits in both] == [[first, first + 1]] * 2

    run(main())


def test_an_end_waits_for_no_timer(served):
    """A row that ends rings by itself, and what was held of it goes with its end."""

    async def main():
        herald, ticket = herald_of(lambda: True), ticket_of(served, 1, streams=True)
        waits = await waiting(ticket)
        say(herald, ticket, 0)
        assert await waits == [0]
        waits = await waiting(ticket)
        say(herald, ticket, 1)
        ticket.end_row(event(2))
        ticket.ring()
        assert await waits == [1, 2]

    run(main())


@pytest.mark.parametrize("is_still_pressed", [False, True])
def test_a_hold_that_brings_nothing_is_the_last(served, is_still_pressed):
    """The next news is told at once again, whether or not rows still lack a worker."""

    async def main():
        is_pressed = True
        herald, ticket = herald_of(lambda: is_pressed), ticket_of(served, streams=True)
        for number in range(3):
            is_pressed = True
            waits = await waiting(ticket)
            say(herald, ticket, number)
            assert await waits == [number]
            is_pressed = is_still_pressed
            skip()
            await settle()

    run(main())


def test_the_hold_ends_with_the_load(served):
    """What was held when the load ended is told when the time is up, and what comes then at once."""

    async def main():
        is_pressed = True
        herald, ticket = herald_of(lambda: is_pressed), ticket_of(served, streams=True)
        say(herald, ticket, 0)
        await settle()
        await ticket.events()
        waits = await waiting(ticket)
        say(herald, ticket, 1)
        is_pressed = False
        skip()
        assert await waits == [1]
        waits = await waiting(ticket)
        say(herald, ticket, 2)
        assert await waits == [2]

    run(main())


@pytest.mark.parametrize("is_pressed", [False, True])
def test_news_between_a_delivery_and_its_end_is_told(served, is_pressed):
    """Somebody speaks after the last ticket was woken and before the herald says that it must be called again."""

    async def main():
        late = ticket_of(served, streams=True)
        says = [lambda: say(herald, late, 1)]

        def pressed() -> bool:
            while says:
                says.pop()()
            return is_pressed

        herald, early = herald_of(pressed), ticket_of(served, streams=True)
        waits = await waiting(late)
        say(herald, early, 0)
        await settle()
        skip()
        async with asyncio.timeout(60):
            assert await waits == [1]

    run(main())


@contextlib.contextmanager
def speaker(herald, ticket):
    """Another thread that says each number it is given."""
    numbers: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def speak() -> None:
        while (number := numbers.get()) is not None:
            say(herald, ticket, number)

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield numbers.put
    finally:
        numbers.put(None)
        thread.join()


@pytest.mark.usefixtures("restless_threads")
@pytest.mark.parametrize("is_pressed", [False, True])
def test_every_news_of_another_thread_is_told(served, is_pressed):
    """A thread that says something and then nothing more is heard, each time."""

    async def main():
        on_loop = asyncio.get_running_loop().call_soon_threadsafe
        herald, ticket = Herald(lambda: is_pressed, on_loop, 0.0001), ticket_of(served, streams=True)
        with speaker(herald, ticket) as speak:
            for number in range(1000):
                waits = await waiting(ticket)
                speak(number)
                async with asyncio.timeout(60):
                    assert await waits == [number]

    run(main())
