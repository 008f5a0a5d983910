"""Rows that run on: their streams are told on the way, they give way to who is more urgent; and workers that fall idle."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from anytime.service.metrics import Metrics
from tests.bundles.spelled import row, rows, sure, unsure
from tests.service import spinner
from tests.service.engine.engines import LONG_MS, answers_of, engine_of, run, runner_of, serve, submit, told

EASY = row(sure(0), sure(0), sure(0))
HARD = row(unsure(0), unsure(1), unsure(2))


def test_each_exit_is_told_while_the_row_runs_on(spelled_bundle):
    """A stream hears of an exit although the graph after it does not end, and no hop lies between the two."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            holds = [runner_of(served).hold(f"body{stage}.onnx") for stage in (2, 3)]
            ticket = submit(engine, served, rows(HARD), stream=True, confidence=0.9)
            for exit, hold in enumerate(holds, 1):
                assert [event.answer.outcome.exit for event in await ticket.events()] == [exit]
                await hold.reached()
                hold.release()
            assert [told(answer) for answer in await answers_of(engine, ticket)] == [(3, 2, "full_depth")]

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


async def exits_of(ticket) -> list[int]:
    """What is told next."""
    return [event.answer.outcome.exit for event in await ticket.events()]


async def stall(runner, file, hold=None):
    """Lets go of what is held, until the only worker stands at the start of this graph."""
    following = runner.hold(file)
    if hold is not None:
        hold.release()
    await following.reached()
    return following


@pytest.mark.parametrize(
    "clock", [{}, {"deadline_ms": LONG_MS}, {"max_ms": LONG_MS}], ids=["none", "deadline", "max_ms"]
)
def test_under_load_a_second_exit_is_held(clock, spelled_bundle):
    """While a row lacks the worker it is told by the timer, where one was told just before; a first exit is not held, and
    nothing of a row with a clock."""

    async def main():
        served = serve(spelled_bundle, row_ms=100.0)
        runner, hold_s = runner_of(served), LONG_MS / 4e3
        async with engine_of(workers=1, hold_s=hold_s) as engine:
            first_hold = runner.hold("body2.onnx")
            one = submit(engine, served, rows(HARD), stream=True, confidence=0.9)
            await first_hold.reached()
            lacking = submit(engine, served, rows(HARD), confidence=0.9)  # to the end of all this
            assert await exits_of(one) == [1]
            hold = await stall(runner, "body3.onnx", first_hold)
            assert await exits_of(one) == [2]  # from here on others are held
            other = submit(engine, served, rows(HARD), stream=True, confidence=0.9, priority=1, **clock)
            waits = asyncio.create_task(exits_of(other))  # hears of nothing unless it is woken
            await asyncio.sleep(0)
            hold = await stall(runner, "body2.onnx", hold)
            async with asyncio.timeout(60):
                assert await waits == [1]
            waits = asyncio.create_task(exits_of(other))
            await asyncio.sleep(0)
            hold = await stall(runner, "body3.onnx", hold)
            for _ in range(5):
                await asyncio.sleep(0)
            assert waits.done() == bool(clock)
            asyncio.get_running_loop().skip(hold_s)
            assert await waits == [2]
            hold.release()
            for ticket in (one, other, lacking):
                assert [told(answer) for answer in await answers_of(engine, ticket)] == [(3, 2, "full_depth")]

    run(main())


def test_with_a_worker_to_spare_no_exit_is_held(spelled_bundle):
    """However many streams came at once: a row that a woken worker has not taken yet lacks none."""

    async def main():
        served = serve(spelled_bundle, row_ms=100.0)
        async with engine_of(workers=3, hold_s=LONG_MS / 1e3) as engine:
            for _ in range(100):
                async with asyncio.timeout(60):
                    while engine._idle < 3:  # noqa: ASYNC110  # workers fall idle on their own
                        await asyncio.sleep(0)
                asked = [submit(engine, served, rows(HARD), stream=True, confidence=0.9) for _ in range(2)]
                for ticket in asked:
                    heard = []
                    while exits := await exits_of(ticket):
                        heard += exits
                    assert heard == [1, 2, 3, 3]  # its end says the last once more
                    engine.finish(ticket)
            for _ in range(5):
                await asyncio.sleep(0)
            assert not engine._herald._is_called.locked()

    run(main())


def test_nobody_sleeps_through_a_request(spelled_bundle):
    """However often workers fall idle, each request finds one: none is left behind with all of them asleep."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=3) as engine:
            for count in (1, 5, 1, 2, 9) * 40:
                asked = [submit(engine, served, rows(HARD), confidence=0.9) for _ in range(count)]
                async with asyncio.timeout(60):
                    answered = [told(answer) for ticket in asked for answer in await answers_of(engine, ticket)]
                assert answered == [(3, 2, "full_depth")] * count

    run(main())


def test_a_request_knows_whether_a_worker_was_idle(spelled_bundle):
    """It does where one waits for work, and does not while the only one holds a graph."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            async with asyncio.timeout(60):  # a worker that has just said its last falls idle a moment later
                while not (ticket := submit(engine, served, rows(EASY))).met_idle_worker:
                    await answers_of(engine, ticket)
                await answers_of(engine, ticket)
            hold = runner_of(served).hold("body1.onnx")
            first = submit(engine, served, rows(EASY))
            await hold.reached()
            second = submit(engine, served, rows(EASY))
            assert not second.met_idle_worker
            hold.release()
            for each in (first, second):
                await answers_of(engine, each)

    run(main())


def test_the_first_prediction_is_when_exit_1_spoke(tmp_path):
    """Also where nothing but its top probability was looked at, and the row ran on."""
    metrics, spoke_within_s = Metrics(), []

    async def main():
        served = serve(spinner.build(tmp_path / "bundle"))
        async with engine_of(workers=1, metrics=metrics) as engine:
            hold = runner_of(served).hold("body.onnx")
            ticket = submit(engine, served, {"x": np.array([spinner.row()], np.float32)}, confidence=0.9)
            await hold.reached()
            spoke_within_s.append(time.perf_counter() - ticket.arrived)
            hold.release()
            await answers_of(engine, ticket)

    run(main())
    found = {sample.name: sample.value for family in metrics.collect() for sample in family.samples}
    assert found["anytime_first_prediction_seconds_count"] == 1
    assert found["anytime_first_prediction_seconds_sum"] <= spoke_within_s[0]
