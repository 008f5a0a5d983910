"""The doorbell: every call of whatever thread is made on the loop, in order, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from anytime.service.engine import engine as engine_module
from anytime.service.engine.doorbell import Doorbell
from tests.bundles.spelled import row, rows, sure, unsure
from tests.service.engine.engines import answers_of, engine_of, open_files, runner_of, serve, submit

EASY = row(sure(0), sure(0), sure(0))
HARD = row(unsure(0), unsure(1), unsure(2))


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often it finds something to read for whoever asked to be told, and knows who still asks."""

    def __init__(self) -> None:
        self.heard = 0
        self.watched: set[int] = set()
        super().__init__()

    def add_reader(self, fd, callback, *args):
        def counted():
            self.heard += 1
            callback(*args)

        self.watched.add(fd)
        return super().add_reader(fd, counted)

    def remove_reader(self, fd):
        self.watched.discard(fd)
        return super().remove_reader(fd)


Run = Callable[[Awaitable[None]], None]


def run_counted(main) -> None:
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(main)


@pytest.fixture(params=[asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request) -> Run:
    """Runs a coroutine on a loop of each kind."""

    def run_to_its_end(main):
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main)

    return run_to_its_end


def bell_here() -> Doorbell:
    return Doorbell(asyncio.get_running_loop())


async def settle() -> None:
    """The loop does all that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_calls_are_made_in_order_on_the_loop(run):
    """What another thread asks for is done by the loop's thread, all of it, in its order."""

    async def main():
        bell, made = bell_here(), []
        thread = threading.Thread(
            target=lambda: [
                bell.call(lambda number=number: made.append((number, threading.get_ident()))) for number in range(100)
            ]
        )
        thread.start()
        thread.join()
        await settle()
        assert made == [(number, threading.get_ident()) for number in range(100)]
        bell.close()

    run(main())


@pytest.mark.usefixtures("restless_threads")
def test_the_last_call_of_a_thread_is_heard(run):
    """Two threads that each ring once and then wait: no ring is lost between one look of the loop and the next."""

    async def main():
        loop, bell = asyncio.get_running_loop(), bell_here()
        turns = [queue.SimpleQueue(), queue.SimpleQueue()]

        def ring(turn):
            while (answer := turn.get()) is not None:
                bell.call(answer)

        threads = [threading.Thread(target=ring, args=(turn,)) for turn in turns]
        for thread in threads:
            thread.start()
        for _ in range(1000):
            answers = [loop.create_future() for _ in turns]
            for turn, answer in zip(turns, answers, strict=True):
                turn.put(lambda answer=answer: answer.set_result(None))
            _, unheard = await asyncio.wait(answers, timeout=60)
            assert not unheard
        for turn, thread in zip(turns, threads, strict=True):
            turn.put(None)
            thread.join()
        bell.close()

    run(main())


def test_calls_of_a_moment_share_one_wake_up():
    """The loop is woken once for all that was asked before it looked, and again for what comes after."""

    async def main():
        loop, bell, made = asyncio.get_running_loop(), bell_here(), []
        for number in range(3):
            bell.call(lambda number=number: made.append(number))
        await settle()
        assert (made, loop.heard) == ([0, 1, 2], 1)
        bell.call(lambda: made.append(3))
        await settle()
        assert (made, loop.heard) == ([0, 1, 2, 3], 2)
        bell.close()

    run_counted(main())


def test_who_comes_while_the_loop_listens_is_heard(run, monkeypatch):
    """A call that comes in the moment in which the loop takes the ring before it is made, and so is the next one."""
    read, meanwhile = os.read, []

    def interrupted(file, length):
        while meanwhile:
            meanwhile.pop()()
        return read(file, length)

    monkeypatch.setattr(os, "read", interrupted)

    async def main():
        bell, made = bell_here(), []
        meanwhile.append(lambda: bell.call(lambda: made.append("meanwhile")))
        bell.call(lambda: made.append("first"))
        await settle()
        assert made == ["first", "meanwhile"]
        bell.call(lambda: made.append("last"))
        await settle()
        assert made == ["first", "meanwhile", "last"]
        bell.close()

    run(main())


def test_many_calls_wait(run):
    """However many calls come before the loop looks, no caller waits for it or fails."""

    async def main():
        bell, made = bell_here(), []
        for _ in range(100_000):
            bell.call(lambda: made.append(None))
        await settle()
        assert len(made) == 100_000
        bell.close()

    run(main())


def test_a_call_may_ring_again(run):
    """A call that asks for another one, from the loop itself, has it made."""

    async def main():
        bell, made = bell_here(), []
        bell.call(lambda: bell.call(lambda: made.append("second")))
        await settle()
        assert made == ["second"]
        bell.close()

    run(main())


def test_calls_that_ring_on_and_on_hold_up_nobody(run):
    """A call that asks for itself again and again leaves the loop time for others."""

    async def main():
        bell, made = bell_here(), []

        def again():
            made.append(None)
            if len(made) < 10_000:
                bell.call(again)
            else:
                ended.set()

        ended = asyncio.Event()
        bell.call(again)
        await settle()
        assert 1 <= len(made) < 100
        await ended.wait()
        bell.close()

    run(main())


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
def test_a_call_that_fails_costs_no_other(run, caplog, error):
    """It is logged, and the calls behind it are made."""

    def failing():
        raise error

    async def main():
        bell, made = bell_here(), []
        bell.call(failing)
        bell.call(lambda: made.append("behind"))
        await settle()
        assert made == ["behind"]
        bell.close()

    run(main())
    assert error.__name__ in caplog.text


def test_closed_once_its_calls_are_made():
    """What was asked before is done, later nothing is; no file stays open or watched; to close again does nothing."""

    async def main():
        loop, faults, before = asyncio.get_running_loop(), [], open_files()
        loop.set_exception_handler(lambda loop, context: faults.append(context))
        watched = set(loop.watched)
        bell, made = bell_here(), []
        assert open_files() == before + 2
        bell.call(lambda: made.append("heard"))
        await settle()
        bell.close()
        bell.call(lambda: made.append("before its end"))
        bell.close()
        await settle()
        assert open_files() == before
        assert loop.watched == watched
        silent = bell_here()
        silent.close()
        await settle()
        for each in (bell, silent):
            each.call(lambda: made.append("after"))
        await settle()
        assert made == ["heard", "before its end"]
        assert faults == []

    run_counted(main())


def test_closed_again_after_another_was_opened(run):
    """To close a bell once more does nothing to one that has its file descriptors by now."""

    async def main():
        first, made = bell_here(), []
        first.close()
        await settle()
        second = bell_here()
        first.close()
        await settle()
        second.call(lambda: made.append("heard"))
        await settle()
        assert made == ["heard"]
        second.close()

    run(main())


def test_closed_after_its_loop(run):
    """Where the loop has gone first the files are closed all the same."""
    before = open_files()
    bells = []

    async def main():
        bells.append(bell_here())

    run(main())
    assert open_files() == before + 2
    bells[0].close()
    assert open_files() == before


def test_an_engine_wakes_its_loop_by_it(spelled_bundle):
    """A first exit, one told on the way and the end: each is one ring."""

    async def main():
        loop, served = asyncio.get_running_loop(), serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            holds = [runner_of(served).hold(f"body{stage}.onnx") for stage in (2, 3)]
            ticket = submit(engine, served, rows(HARD), stream=True, confidence=0.9)
            for exit, hold in enumerate(holds, 1):
                assert [event.answer.outcome.exit for event in await ticket.events()] == [exit]
                assert loop.heard == exit
                await hold.reached()
                hold.release()
            await answers_of(engine, ticket)
            assert loop.heard == 3

    run_counted(main())


def test_an_engine_closes_its_own(spelled_bundle):
    """What an engine holds open to wake its event loop is closed with it."""

    async def main():
        before = open_files()
        async with engine_of(workers=1) as engine:
            await answers_of(engine, submit(engine, serve(spelled_bundle), rows(EASY)))
            assert open_files() > before
        await settle()
        assert open_files() == before

    run_counted(main())


def test_an_engine_leaves_it_to_who_is_left_behind(spelled_bundle, monkeypatch):
    """A worker whose graph does not end in time may ring yet: no other file gets what it writes."""
    monkeypatch.setattr(engine_module, "_CLOSE_S", 0.01)

    async def main():
        before, served = open_files(), serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body2.onnx")
            submit(engine, served, rows(HARD))
            await hold.reached()
            await asyncio.to_thread(engine.close)
            assert engine.left_behind == ["anytime-worker-0"]
            await settle()
            assert open_files() == before + 2
            hold.release()
            monkeypatch.undo()
        await settle()
        assert open_files() == before

    run_counted(main())
