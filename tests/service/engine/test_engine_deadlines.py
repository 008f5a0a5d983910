"""Deadlines in the engine. Nobody waits for them: the loop's clock is put forward while a graph is held."""

from __future__ import annotations

import time

import pytest

from anytime.policy import Policy
from anytime.service.engine.messages import RowAnswer, RowFailure, Work
from anytime.service.engine.timing import Timing, Timings
from anytime.service.errors import (
    DeadlineBeforeFirstExit,
    DeadlineBeforeFullDepth,
    DeadlineUnreachable,
)
from anytime.service.metrics import Metrics
from tests.bundles.spelled import row, rows, sure, unsure
from tests.service.engine.engines import (
    LONG_MS,
    answers_of,
    ends_of,
    engine_of,
    run,
    runner_of,
    said_by,
    serve,
    skip_to_deadlines,
    submit,
    told,
)

EASY = row(sure(0), sure(0), sure(0))
HARD = row(unsure(0), unsure(1), unsure(2))
FULL = 3 * 100 + 9
"""Multiply-adds of the last head and the bodies that it needs."""


def codes(ends) -> list[str]:
    return [end.error.code if isinstance(end, RowFailure) else str(end.reason) for end in ends]


def test_the_timer_answers_while_a_graph_still_runs(spelled_bundle):
    """With body 2 held, the deadline brings exit 1's answer; the graph in flight counts in its cost, its head does not."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body2.onnx")
            ticket = submit(engine, served, rows(HARD), deadline_ms=LONG_MS)
            await hold.reached()
            skip_to_deadlines()
            (answer,) = await answers_of(engine, ticket)
            assert told(answer) == (1, 0, "deadline")
            assert (answer.depth, answer.cost) == (1, (100 + 9 + 100) / FULL)
            assert (engine.rows, engine.state_bytes) == (0, 0)
            hold.release()
        assert [file for file, _ in runner_of(served).ran] == ["body1.onnx", "head1.onnx", "body2.onnx"]

    run(main())


def test_no_exit_by_the_deadline_is_504(spelled_bundle):
    """With body 1 held, the deadline ends the row as ``deadline_before_first_exit``, and is counted as missed."""

    async def main():
        metrics = Metrics()
        served = serve(spelled_bundle)
        async with engine_of(workers=1, metrics=metrics) as engine:
            hold = runner_of(served).hold("body1.onnx")
            ticket = submit(engine, served, rows(HARD), deadline_ms=LONG_MS)
            await hold.reached()
            skip_to_deadlines()
            ends = await ends_of(engine, ticket)
            assert codes(ends) == ["deadline_before_first_exit"]
            assert isinstance(ends[0], RowFailure) and ends[0].error.status == 504
            assert 'anytime_deadline_misses_total{model="spelled"} 1.0' in metrics.exposition().decode()
            hold.release()
        assert [file for file, _ in runner_of(served).ran] == ["body1.onnx"]

    run(main())


def test_exact_at_its_deadline_is_504(spelled_bundle):
    """``exact`` has nothing to say before full depth, though a stream has seen two exits."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body3.onnx")
            ticket = submit(engine, served, rows(HARD), stream=True, exact=True, deadline_ms=LONG_MS)
            await hold.reached()
            skip_to_deadlines()
            events = await said_by(engine, ticket)
            assert [event.error.code if isinstance(event, RowFailure) else told(event) for event in events] == [
                (1, 0, None), (2, 1, None), "deadline_before_full_depth",
            ]  # fmt: skip
            hold.release()

    run(main())


def test_exact_goes_on_until_its_timer(spelled_bundle):
    """A worst time that does not fit stops a row with an answer, and not one that must reach full depth."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            for ms in (10 * LONG_MS, 1.0, 1.0):  # one slow run: the worst, and not what is typical
                runner_of(served).ms["body2.onnx"] = ms
                await answers_of(engine, submit(engine, served, rows(HARD)))
            exact = submit(engine, served, rows(HARD), stream=True, exact=True, deadline_ms=LONG_MS)
            other = submit(engine, served, rows(HARD), stream=True, deadline_ms=LONG_MS)
            assert codes(await ends_of(engine, exact)) == ["full_depth"]
            assert codes(await ends_of(engine, other)) == ["deadline"]

    run(main())


def test_a_graph_that_does_not_fit_is_not_started(spelled_bundle):
    """Where the next graphs' worst time is beyond the deadline the row answers at once, reason ``deadline``."""

    async def main():
        served = serve(spelled_bundle, ms={"body2.onnx": 10 * LONG_MS})
        runner_of(served).ran.clear()
        async with engine_of(workers=1) as engine:
            (answer,) = await answers_of(engine, submit(engine, served, rows(HARD), deadline_ms=LONG_MS))
        assert told(answer) == (1, 0, "deadline")
        assert answer.cost == (100 + 9) / FULL
        assert [file for file, _ in runner_of(served).ran] == ["body1.onnx", "head1.onnx"]

    run(main())


def test_while_it_waits_a_row_may_become_hopeless(spelled_bundle):
    """A row whose next graphs fitted when it began to wait, and no longer do when its turn comes, is answered instead."""

    async def main():
        served = serve(spelled_bundle, row_ms=100.0)
        runner = runner_of(served)
        async with engine_of(workers=1) as engine:
            hold = runner.hold("body2.onnx")
            first = submit(engine, served, rows(HARD), confidence=0.9, priority=1)
            await hold.reached()
            waits = submit(engine, served, rows(HARD), deadline_ms=LONG_MS)
            runner.ms["body2.onnx"] = 10 * LONG_MS
            hold.release()
            assert codes(await ends_of(engine, first)) == ["full_depth"]
            assert codes(await ends_of(engine, waits)) == ["deadline"]

    run(main())


def test_rows_with_and_without_an_exit(spelled_bundle):
    """Of one request's rows at the deadline, those with an exit are answered and the others are 504."""

    async def main():
        served = serve(spelled_bundle, row_ms=100.0)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body1.onnx", after=1)
            ticket = submit(engine, served, rows(HARD, EASY, HARD), deadline_ms=LONG_MS)
            await hold.reached()
            skip_to_deadlines()
            ends = await ends_of(engine, ticket)
            assert codes(ends) == ["deadline", "deadline_before_first_exit", "deadline_before_first_exit"]
            hold.release()

    run(main())


def test_everybodys_first_exit_comes_before_anybodys_second(spelled_bundle):
    """Among rows with deadlines, one without an answer runs before one that has an answer and an earlier deadline."""

    async def main():
        served = serve(spelled_bundle, row_ms=100.0)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body1.onnx")
            early = submit(engine, served, rows(HARD), deadline_ms=LONG_MS)
            await hold.reached()
            late = submit(engine, served, rows(HARD), deadline_ms=2 * LONG_MS)
            hold.release()
            await ends_of(engine, early)
            await ends_of(engine, late)
            bodies = [file for file, _ in runner_of(served).ran if file.startswith("body") and file != "body3.onnx"]
            assert bodies[-4:] == ["body1.onnx", "body1.onnx", "body2.onnx", "body2.onnx"]

    run(main())


def test_the_most_urgent_row_is_not_held_up_by_its_batch(spelled_bundle):
    """However many rows wait for the same graphs, no more share a run than the first one's deadline has time for."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body1.onnx")
            runner_of(served).ms |= {"body1.onnx": 100_000.0, "head1.onnx": 0.0}
            busy = submit(engine, served, rows(EASY))
            await hold.reached()
            others = submit(engine, served, rows(*[EASY] * 20), confidence=0.9)
            urgent = submit(engine, served, rows(EASY), confidence=0.9, deadline_ms=450_000.0, priority=1)
            hold.release()
            for ticket in (busy, others, urgent):
                await ends_of(engine, ticket)
        bodies = [count for file, count in runner_of(served).ran if file == "body1.onnx"]
        assert bodies[-3:-1] == [1, 4] and bodies[-1] == 17

    run(main())


def test_a_stopped_row_keeps_its_answer_after_its_deadline(spelled_bundle):
    """Of two rows the one that was confident in time says so; only the other is stopped by the deadline."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body2.onnx")
            ticket = submit(engine, served, rows(HARD, EASY), confidence=0.9, deadline_ms=LONG_MS)
            await hold.reached()
            skip_to_deadlines()
            assert [told(answer) for answer in await answers_of(engine, ticket)] == [
                (1, 0, "deadline"),
                (1, 0, "confidence"),
            ]
            hold.release()

    run(main())


REFUSALS = {
    "exit 1 alone takes longer": ({"body1.onnx": 2000.0}, 1000.0, {}, DeadlineBeforeFirstExit, 504),
    "full depth takes longer": ({"body3.onnx": 2000.0}, 1000.0, {"exact": True}, DeadlineBeforeFullDepth, 504),
    "what is ahead takes longer": ({"body1.onnx": 60_000.0}, 100_000.0, {}, DeadlineUnreachable, 429),
}


@pytest.mark.parametrize(("ms", "deadline_ms", "policy", "refusal", "status"), REFUSALS.values(), ids=REFUSALS)
def test_deadlines_that_cannot_be_met_are_refused(spelled_bundle, ms, deadline_ms, policy, refusal, status):
    """Below the typical time even when idle: 504 at once. Only because of who is ahead: 429 with ``Retry-After``."""

    async def main():
        served = serve(spelled_bundle, ms=ms)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body1.onnx")
            ahead = submit(engine, served, rows(*[HARD] * 4), max_exit=1, priority=1)
            await hold.reached()
            ahead_too = submit(engine, served, rows(*[HARD] * 4), max_exit=1, priority=1)
            with pytest.raises(refusal) as refused:
                submit(engine, served, rows(HARD), deadline_ms=deadline_ms, **policy)
            assert refused.value.status == status
            assert (refused.value.retry_after_s is not None) == (status == 429)
            assert (engine.rows, served.in_flight) == (8, 8)
            hold.release()
            for ticket in (ahead, ahead_too):
                await answers_of(engine, ticket)

    run(main())


def test_a_deadline_counts_from_the_head_of_the_request(spelled_bundle):
    """A request whose deadline passed while it was being read is refused, and nothing of it runs."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of() as engine:
            program = served.program(Policy(deadline_ms=50.0))
            work = Work(rows(HARD), 1, time.perf_counter() - 0.05)
            with pytest.raises(DeadlineBeforeFirstExit):
                engine.submit(served, program, work, {})
        assert runner_of(served).ran == []

    run(main())


def test_a_slow_spell_does_not_refuse_for_ever(spelled_bundle):
    """Once no run of exit 1 is young enough to prove that it is too slow, a request is let in and measures anew."""

    async def main():
        served = serve(spelled_bundle, ms={"body1.onnx": 2000.0})
        runner = runner_of(served)
        async with engine_of() as engine:
            with pytest.raises(DeadlineBeforeFirstExit):
                submit(engine, served, rows(EASY), deadline_ms=1500.0)
            runner.ms["body1.onnx"] = 1.0
            served.timings = Timings([Timing(2000.0, time.perf_counter() - 120.0) for _ in served.flow.nodes])
            (answer,) = await answers_of(engine, submit(engine, served, rows(EASY), deadline_ms=1500.0, confidence=0.9))
            assert isinstance(answer, RowAnswer) and told(answer) == (1, 0, "confidence")

    run(main())


def test_lateness_is_counted_per_row(spelled_bundle):
    """Every row of a reply with a deadline appears in the lateness histogram; in time counts as 0."""

    async def main():
        metrics = Metrics()
        served = serve(spelled_bundle)
        async with engine_of(metrics=metrics) as engine:
            await answers_of(engine, submit(engine, served, rows(EASY, EASY), deadline_ms=LONG_MS))
            await answers_of(engine, submit(engine, served, rows(EASY)))
        text = metrics.exposition().decode()
        assert 'anytime_lateness_seconds_count{model="spelled"} 2.0' in text
        assert 'anytime_lateness_seconds_sum{model="spelled"} 0.0' in text

    run(main())
