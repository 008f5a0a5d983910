"""A ticket: events from any thread to whoever waits on the loop, none lost, none early."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque

import pytest
import uvloop

from anytime.policy import parse_policy
from anytime.service.engine.messages import RowFailure, Work
from anytime.service.engine.ticket import NEVER, Ticket
from anytime.service.errors import ModelFailed
from tests.bundles.spelled import row, rows, sure
from tests.service.engine.engines import run, serve

ROW = row(sure(0), sure(0), sure(0))


@pytest.fixture(scope="module")
def served(spelled_bundle):
    return serve(spelled_bundle)


def ticket_of(served, count: int = 2, *, streams: bool, **policy) -> Ticket:
    program = served.program(parse_policy(policy))
    work = Work(rows(*[ROW] * count), count, 100.0, streams)
    return Ticket(served, program, work, 0, asyncio.get_running_loop().call_soon_threadsafe)


def event(number: int) -> RowFailure:
    return RowFailure(number, ModelFailed("scripted"))


def test_a_stream_is_told_as_it_comes(served):
    """Each event wakes whoever waits; after the last row's end there is nothing more, as often as one asks."""

    async def main():
        ticket = ticket_of(served, streams=True)
        waits = asyncio.create_task(ticket.events())
        await asyncio.sleep(0)
        ticket.post(event(0))
        ticket.ring()
        assert [e.row for e in await waits] == [0]
        ticket.end_row(event(0))
        ticket.ring()
        ticket.end_row(event(1))
        ticket.ring()
        assert [e.row for e in await ticket.events()] == [0, 1]
        assert await ticket.events() == []
        assert await ticket.events() == []

    run(main())


def test_who_does_not_stream_is_told_at_the_end(served):
    """A row that ended says nothing until the last one has."""

    async def main():
        ticket = ticket_of(served, streams=False)
        waits = asyncio.create_task(ticket.events())
        await asyncio.sleep(0)
        ticket.end_row(event(1))
        ticket.ring()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waits.done()
        ticket.end_row(event(0))
        ticket.ring()
        assert [e.row for e in await waits] == [1, 0]

    run(main())


def test_a_wait_that_is_too_long_says_so(served):
    """Within its time a wait gives what came; else None, and what comes afterwards is told by the next; [] is the end."""

    async def main():
        ticket = ticket_of(served, 1, streams=True)
        assert await ticket.events_within(0.001) is None
        ticket.post(event(0))
        ticket.ring()
        assert [e.row for e in await ticket.events_within(60)] == [0]
        waits = asyncio.create_task(ticket.events_within(60))
        await asyncio.sleep(0)
        ticket.end_row(event(1))
        ticket.ring()
        assert [e.row for e in await waits] == [1]
        assert await ticket.events_within(60) == []

    run(main())


def test_a_wake_that_brings_nothing_cuts_no_wait_short(served):
    """A call that comes after its event was taken is no reason to say that the time is up."""

    async def main():
        ticket = ticket_of(served, 1, streams=True)
        waits = asyncio.create_task(ticket.events_within(60))
        for _ in range(3):
            await asyncio.sleep(0)
            ticket.wake()
        assert not waits.done()
        ticket.post(event(0))
        ticket.ring()
        assert [e.row for e in await waits] == [0]

    run(main())


def test_a_wait_ends_in_time_on_the_loop_that_serves(served):
    """uvloop's timers may ring a little before its clock says so: the wait ends all the same."""

    async def main():
        ticket = ticket_of(served, 1, streams=True)
        for _ in range(20):
            async with asyncio.timeout(10):
                assert await ticket.events_within(0.0104) is None

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_a_wait_that_is_broken_off_loses_nothing(served):
    """Who was waiting is cancelled; what comes afterwards is told by the next."""

    async def main():
        ticket = ticket_of(served, streams=True)
        waits = asyncio.create_task(ticket.events())
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        ticket.post(event(0))
        ticket.ring()
        assert [e.row for e in await ticket.events()] == [0]

    run(main())


@pytest.mark.usefixtures("restless_threads")
def test_every_event_of_another_thread_arrives(served):
    """A thread that posts as fast as it can is heard completely and in order, and the end comes after all of it."""

    async def main():
        for _ in range(300):
            ticket = ticket_of(served, 100, streams=True)

            def post(ticket=ticket):
                for number in range(100):
                    ticket.post(event(number))
                    ticket.ring()
                    ticket.end_row(event(number))
                    ticket.ring()

            posting = asyncio.create_task(asyncio.to_thread(post))
            heard = []
            while events := await ticket.events():
                heard += [e.row for e in events]
            await posting
            assert heard == [number for number in range(100) for _ in range(2)]

    run(main())


def test_times(served):
    """A deadline counts from the request's head; without one it is never due; what has not started has not waited."""

    async def main():
        assert ticket_of(served, streams=False, deadline_ms=250.0).deadline_at == 100.25
        ticket = ticket_of(served, streams=False)
        assert (ticket.deadline_at, ticket.due_at, ticket.queue_ms) == (NEVER, NEVER, 0.0)
        ticket.admitted_at, ticket.started_at = 5.0, 5.5
        assert ticket.queue_ms == 500.0

    run(main())


def test_ids_cannot_be_guessed(served):
    """Two tickets share nothing; an id has 96 random bits."""

    async def main():
        ids = {ticket_of(served, streams=False).id for _ in range(1000)}
        assert len(ids) == 1000
        assert {len(id) for id in ids} == {24}

    run(main())


def test_a_ticket_holds_no_tensors(served):
    """What a request sent is the jobs' to drop: the ticket, which lives until the reply, does not keep it."""

    async def main():
        work = Work(rows(ROW, ROW), 2, 100.0)
        sent = [weakref.ref(tensor) for tensor in work.tensors.values()]
        on_loop = asyncio.get_running_loop().call_soon_threadsafe
        ticket = Ticket(served, served.program(parse_policy({})), work, 0, on_loop)
        del work
        assert ticket.rows == 2
        assert [tensor() for tensor in sent] == [None]

    run(main())


class Telling(deque):
    """The ticket's events; when it is asked whether it holds any, the row ends in that moment."""

    def __init__(self, end) -> None:
        super().__init__()
        self._end = end

    def __bool__(self) -> bool:
        held = len(self) > 0
        end, self._end = self._end, None
        if end is not None:
            end()
        return held


@pytest.mark.parametrize("streams", [False, True])
def test_the_last_event_is_not_lost_between_two_looks(served, streams):
    """A row that ends while the loop looks at its events is told all the same."""

    async def main():
        ticket = ticket_of(served, 1, streams=streams)
        ticket._events = Telling(lambda: (ticket.end_row(event(0)), ticket.ring()))
        assert [said.row for said in await ticket.events()] == [0]
        assert await ticket.events() == []

    run(main())
