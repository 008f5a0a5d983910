"""A row that runs on from exit to exit: it gives way to who is more urgent, and its stream is told in time."""

from __future__ import annotations

import asyncio

import pytest

from tests.bundles.spelled import row, rows, sure, unsure
from tests.service.engine.engines import answers_of, engine_of, run, runner_of, serve, submit, told

EASY = row(sure(0), sure(0), sure(0))
HARD = row(unsure(0), unsure(1), unsure(2))


async def exits_heard(ticket) -> list[int]:
    """The exits of what is told next."""
    return [event.answer.outcome.exit for event in await ticket.events()]


@pytest.mark.parametrize(("together_s", "pieces"), [(60.0, [[1], [2, 3]]), (0.0, [[1], [2], [3]])])
def test_what_comes_soon_is_told_together(together_s, pieces, spelled_bundle):
    """The first exit is told at once; one whose next comes in time waits for it, and only such a one."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1, together_s=together_s) as engine:
            second, third = (runner_of(served).hold(f"body{stage}.onnx") for stage in (2, 3))
            ticket = submit(engine, served, rows(HARD), stream=True, confidence=0.9)
            heard = [await exits_heard(ticket)]
            waits = asyncio.create_task(exits_heard(ticket))
            await asyncio.sleep(0)
            second.release()
            await third.reached()
            for _ in range(5):
                await asyncio.sleep(0)
            assert waits.done() is (len(pieces) == 3)
            third.release()
            heard.append(await waits)
            while more := await exits_heard(ticket):
                heard.append(more)
            assert [list(dict.fromkeys(each)) for each in heard] == pieces
            engine.finish(ticket)

    run(main())


def test_what_was_held_back_is_told_when_the_row_gives_way(spelled_bundle):
    """A row that has to let others pass before its next exit keeps nothing to itself meanwhile."""

    async def main():
        served = serve(spelled_bundle)
        runner = runner_of(served)
        async with engine_of(workers=1, together_s=60.0) as engine:
            hold, last = runner.hold("body2.onnx"), runner.hold("body3.onnx")
            ticket = submit(engine, served, rows(HARD), stream=True, max_exit=3)
            assert await exits_heard(ticket) == [1]
            await hold.reached()
            urgent = submit(engine, served, rows(HARD), priority=1)
            waits = asyncio.create_task(exits_heard(ticket))
            await asyncio.sleep(0)
            hold.release()
            await last.reached()  # the urgent row's
            assert await waits == [2]
            last.release()
            await answers_of(engine, urgent)
            await answers_of(engine, ticket)

    run(main())


@pytest.mark.parametrize("streams", [False, True], ids=["plain", "stream"])
def test_a_row_that_runs_on_gives_way(streams, spelled_bundle):
    """A row without a clock runs on without a choice while nobody waits; once somebody does, at its next boundary."""

    async def main():
        served = serve(spelled_bundle)
        runner = runner_of(served)
        async with engine_of(workers=1) as engine:
            hold = runner.hold("body2.onnx")
            runs_on = submit(engine, served, rows(HARD), stream=streams, confidence=0.9)
            await hold.reached()
            urgent = submit(engine, served, rows(EASY), confidence=0.9, priority=1)
            hold.release()
            assert [told(a) for a in await answers_of(engine, urgent)] == [(1, 0, "confidence")]
            assert [told(a) for a in await answers_of(engine, runs_on)] == [(3, 2, "full_depth")]
        assert " ".join(f"{file[0]}{file[4]}" for file, _ in runner.ran) == "b1 h1 b2 h2 b1 h1 b3 h3"

    run(main())
