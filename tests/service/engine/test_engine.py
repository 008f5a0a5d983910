"""The engine with real worker threads and real ONNX: shared runs, order, bounds, and how rows and requests end."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from anytime.policy import Policy
from anytime.service.engine.job import Job
from anytime.service.engine.messages import RowAnswer, RowFailure
from anytime.service.errors import BatchTooLarge, QueueFull, ShuttingDown, StateFull
from anytime.service.metrics import Metrics
from tests.bundles import spelled
from tests.bundles.spelled import NAN, row, rows, sure, unsure
from tests.service.engine.engines import (
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
MIDDLING = row(unsure(1), sure(1), sure(1))
HARD = row(unsure(0), unsure(1), unsure(2))
LONG = 1e6


def test_one_run_holds_rows_of_two_requests(spelled_bundle):
    """Requests that wait for the same graphs while the only worker is busy are run together."""

    async def main():
        served = serve(spelled_bundle)
        runner = runner_of(served)
        async with engine_of(workers=1) as engine:
            hold = runner.hold("body1.onnx")
            busy = submit(engine, served, rows(EASY), confidence=0.9)
            await hold.reached()
            first = submit(engine, served, rows(row(sure(1), sure(0), sure(0))), confidence=0.9)
            second = submit(engine, served, rows(row(unsure(2), sure(2), sure(0))), confidence=0.9)
            hold.release()
            assert [told(a) for a in await answers_of(engine, busy)] == [(1, 0, "confidence")]
            assert [told(a) for a in await answers_of(engine, first)] == [(1, 1, "confidence")]
            assert [told(a) for a in await answers_of(engine, second)] == [(2, 2, "confidence")]
        assert runner.ran == [
            ("body1.onnx", 1), ("head1.onnx", 1), ("body1.onnx", 2), ("head1.onnx", 2), ("body2.onnx", 1), ("head2.onnx", 1),
        ]  # fmt: skip

    run(main())


def test_where_batches_do_not_pay_rows_run_alone(spelled_bundle):
    """A profile in which each row costs its full time again keeps the rows of a request apart."""

    async def main():
        served = serve(spelled_bundle, row_ms=100.0)
        async with engine_of(workers=1) as engine:
            answers = await answers_of(engine, submit(engine, served, rows(EASY, EASY, HARD), confidence=0.9))
        assert [told(answer)[0] for answer in answers] == [1, 1, 3]
        assert {count for _, count in runner_of(served).ran} == {1}

    run(main())


def test_rows_of_a_request_leave_separately(spelled_bundle):
    """In a stream the final of an easy row comes before the next exits of the others; each row ends once."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            ticket = submit(engine, served, rows(HARD, EASY, MIDDLING), stream=True, confidence=0.9)
            events = await said_by(engine, ticket)
        assert [(event.row, *told(event)) for event in events] == [
            (0, 1, 0, None), (1, 1, 0, None), (1, 1, 0, "confidence"), (2, 1, 1, None),
            (0, 2, 1, None), (2, 2, 1, None), (2, 2, 1, "confidence"),
            (0, 3, 2, None), (0, 3, 2, "full_depth"),
        ]  # fmt: skip

    run(main())


def test_heads_run_only_where_needed(spelled_bundle):
    """Without a rule only the last head runs; with one at exit 2 that head too; with max_exit nothing deeper."""

    async def main():
        served = serve(spelled_bundle)
        runner = runner_of(served)
        ran = {}
        async with engine_of() as engine:
            for name, policy in {
                "no rule": {}, "a rule at 2": {"confidence": [None, 0.9, None]}, "max_exit": {"max_exit": 2},
                "exact": {"exact": True},
            }.items():  # fmt: skip
                runner.ran.clear()
                await answers_of(engine, submit(engine, served, rows(HARD), **policy))
                ran[name] = " ".join(f"{file[0]}{file[4]}" for file, _ in runner.ran)
        assert ran == {
            "no rule": "b1 b2 b3 h3", "a rule at 2": "b1 b2 h2 b3 h3", "max_exit": "b1 b2 h2", "exact": "b1 b2 b3 h3",
        }  # fmt: skip

    run(main())


@pytest.mark.parametrize(
    ("asked", "order"),
    [
        ([{}, {}, {}], [0, 1, 2]),
        ([{"deadline_ms": 3 * LONG}, {"deadline_ms": LONG}, {"deadline_ms": 2 * LONG}], [1, 2, 0]),
        ([{}, {"deadline_ms": 900.0}, {}], [1, 0, 2]),
        ([{"deadline_ms": LONG}, {}, {}], [1, 2, 0]),
        ([{}, {"deadline_ms": 900.0}, {"priority": 1}], [2, 1, 0]),
        ([{"priority": -1}, {}, {"priority": 5}], [2, 1, 0]),
    ],
    ids=[
        "first come",
        "earliest deadline",
        "a near deadline before none",
        "none before a far deadline",
        "priority before a deadline",
        "priorities",
    ],
)
def test_who_waits_is_served_in_order(spelled_bundle, asked, order):
    """Higher priority first, then the earliest deadline, then first come."""

    async def main():
        served = serve(spelled_bundle, row_ms=100.0)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body1.onnx")
            busy = submit(engine, served, rows(EASY))
            await hold.reached()
            tickets = [submit(engine, served, rows(EASY), **policy) for policy in asked]
            hold.release()
            for ticket in (busy, *tickets):
                await answers_of(engine, ticket)
        assert sorted(range(len(tickets)), key=lambda number: tickets[number].started_at) == order

    run(main())


def test_a_failing_row_fails_alone(spelled_bundle):
    """Rows that share a run with one that makes a graph fail, or an exit say NaN, are answered as ever, and cost as ever."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            inputs = rows(
                HARD, row(sure(0), sure(0), sure(0), trip=1), row(unsure(0), unsure(0), sure(0), trip=2.5),
                row(unsure(0), NAN, sure(0)), MIDDLING,
            )  # fmt: skip
            ends = await ends_of(engine, submit(engine, served, inputs, confidence=0.9))
            alone = [*await ends_of(engine, submit(engine, served, rows(HARD), confidence=0.9)),
                     *await ends_of(engine, submit(engine, served, rows(MIDDLING), confidence=0.9))]  # fmt: skip
        assert [end.error.code if isinstance(end, RowFailure) else told(end)[0] for end in ends] == [
            3, "model_failed", "model_failed", "model_failed", 2,
        ]  # fmt: skip
        kept = [end for end in ends if isinstance(end, RowAnswer)]
        assert [(told(end), end.cost, end.depth) for end in kept] == [(told(end), end.cost, end.depth) for end in alone]

    run(main())


def test_what_ran_before_a_batch_failed_does_not_run_again(spelled_bundle):
    """A head that fails for one row is run again for each; the body before it is not."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            inputs = rows(EASY, row(sure(0), sure(0), sure(0), trip=1.5))
            ends = await ends_of(engine, submit(engine, served, inputs, confidence=0.9))
        assert isinstance(ends[0], RowAnswer)
        assert isinstance(ends[1], RowFailure)
        assert runner_of(served).ran == [("body1.onnx", 2), ("head1.onnx", 2), ("head1.onnx", 1), ("head1.onnx", 1)]

    run(main())


def test_a_message_of_a_failure_names_no_path(spelled_bundle):
    """What ONNX Runtime says is told without where anything lies."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of() as engine:
            ends = await ends_of(engine, submit(engine, served, rows(row(sure(0), sure(0), sure(0), trip=1))))
        assert isinstance(ends[0], RowFailure)
        assert "out of" in str(ends[0].error)
        assert "/" not in str(ends[0].error).replace("idx=", "")

    run(main())


def test_a_bug_of_ours_costs_its_rows_and_not_the_worker(spelled_bundle):
    """Tensors that the routes would never let through end as ``internal``, and the next request is answered."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            held = runner_of(served).hold("body1.onnx")
            busy = submit(engine, served, rows(EASY))
            await held.reached()
            odd = submit(engine, served, {"x": np.zeros((1, 3), np.float32)})
            good = submit(engine, served, rows(EASY))
            held.release()
            await answers_of(engine, busy)
            codes = [end.error.code for end in [*await ends_of(engine, odd), *await ends_of(engine, good)]]
            assert codes == ["internal", "internal"]
            assert [told(a)[0] for a in await answers_of(engine, submit(engine, served, rows(EASY)))] == [3]

    run(main())


@pytest.mark.parametrize(
    ("bounds", "refusal", "retries"),
    [
        ({"rows": 3}, QueueFull, True),
        ({"state_rows": 3}, StateFull, True),
        ({"rows": 1}, BatchTooLarge, False),
        ({"state_rows": 1}, BatchTooLarge, False),
    ],
    ids=["rows", "state", "more rows than ever", "more state than ever"],
)
def test_bounds_refuse_at_once(spelled_bundle, bounds, refusal, retries):
    """What does not fit now is told when to come back; what never will is told so. Later it is let in again."""

    async def main():
        metrics = Metrics()
        served = serve(spelled_bundle)
        row_bytes = served.program(Policy()).peak_bytes({})
        held = {"state_bytes": bounds["state_rows"] * row_bytes} if "state_rows" in bounds else bounds
        async with engine_of(workers=1, metrics=metrics, **held) as engine:
            hold = runner_of(served).hold("body1.onnx")
            busy = submit(engine, served, rows(EASY, EASY)) if retries else None
            with pytest.raises(refusal) as refused:
                submit(engine, served, rows(EASY, EASY))
            assert (refused.value.retry_after_s is not None) == retries
            assert f'anytime_shed_total{{code="{refusal.code}",model="spelled"}} 2.0' in metrics.exposition().decode()
            hold.release()
            if busy is not None:
                await answers_of(engine, busy)
                assert len(await answers_of(engine, submit(engine, served, rows(EASY, EASY)))) == 2

    run(main())


def test_end_all_answers_with_what_there_is(spelled_bundle):
    """At shutdown a row with an exit gets it, reason ``cancelled``; others and exact ones are told ``shutting_down``."""

    async def main():
        served = serve(spelled_bundle, row_ms=100.0)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body2.onnx")
            reached = submit(engine, served, rows(HARD), confidence=0.9)
            await hold.reached()
            waiting = submit(engine, served, rows(EASY), confidence=0.9)
            engine.refuse_new()
            with pytest.raises(ShuttingDown):
                submit(engine, served, rows(EASY))
            engine.end_all()
            assert engine.rows == 0
            assert [told(answer) for answer in await answers_of(engine, reached)] == [(1, 0, "cancelled")]
            ends = await ends_of(engine, waiting)
            assert [end.error.code for end in ends if isinstance(end, RowFailure)] == ["shutting_down"]
            hold.release()

    run(main())


def test_end_all_overrules_no_decision(tmp_path, monkeypatch):
    """A row whose rule has fired, and which a worker is about to answer, is answered by that rule at a shutdown too."""
    decided, release = threading.Event(), threading.Event()
    heard = Job.heard

    def held(job, outcome, ahead):
        decision = heard(job, outcome, ahead)
        if decision.stops:
            decided.set()
            release.wait(10)
        return decision

    async def main():
        served = serve(spelled.build(tmp_path / "bundle", answer="most_confident"), row_ms=100.0)
        async with engine_of(workers=1) as engine:
            monkeypatch.setattr(Job, "heard", held)
            surest_at_exit_1 = row((3.0, 0, 0), (0, 1.5, 0), unsure(2))
            ticket = submit(engine, served, rows(surest_at_exit_1), confidence=[None, 0.5, None])
            await asyncio.to_thread(decided.wait, 10)
            engine.end_all()
            release.set()
            assert [told(answer) for answer in await answers_of(engine, ticket)] == [(2, 1, "confidence")]

    run(main())


def test_nothing_is_computed_after_close(spelled_bundle):
    """``close`` waits for the graph that runs, and no other starts."""

    async def main():
        served = serve(spelled_bundle, row_ms=100.0)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body1.onnx")
            tickets = [submit(engine, served, rows(HARD)) for _ in range(5)]
            await hold.reached()
            closing = asyncio.create_task(asyncio.to_thread(engine.close))
            ends = [await ends_of(engine, ticket) for ticket in tickets]
            assert all(isinstance(end, RowFailure) for each in ends for end in each)
            hold.release()
            await closing
        assert runner_of(served).ran == [("body1.onnx", 1)]

    run(main())


def test_rows_in_flight_are_counted_per_bundle(spelled_bundle):
    """``in_flight`` counts admitted rows that have not ended: what the shelf asks before it unloads."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body1.onnx")
            ticket = submit(engine, served, rows(EASY, HARD))
            assert (served.in_flight, engine.rows) == (2, 2)
            assert engine.state_bytes == 2 * served.program(Policy()).peak_bytes({})
            hold.release()
            await answers_of(engine, ticket)
            assert served.in_flight == 0

    run(main())


def test_a_late_wake_up_loses_nothing(spelled_bundle):
    """Timers of requests that have long been answered find nothing to do."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of() as engine:
            answers = await answers_of(engine, submit(engine, served, rows(EASY), deadline_ms=LONG, confidence=0.9))
            skip_to_deadlines()
            await asyncio.sleep(0)
            assert [told(answer) for answer in answers] == [(1, 0, "confidence")]

    run(main())


def test_two_versions_never_share_a_run(spelled_bundle, tmp_path):
    """Rows of two bundles wait for graphs of the same name, and run apart."""

    async def main():
        old, new = serve(spelled_bundle), serve(spelled.build(tmp_path / "new", version=2))
        async with engine_of(workers=1) as engine:
            hold = runner_of(old).hold("body1.onnx")
            tickets = [submit(engine, old, rows(EASY))]
            await hold.reached()
            tickets += [submit(engine, served, rows(EASY)) for served in (old, new, old, new)]
            hold.release()
            for ticket in tickets:
                await answers_of(engine, ticket)
        assert [count for file, count in runner_of(old).ran if file == "body1.onnx"] == [1, 2]
        assert [count for file, count in runner_of(new).ran if file == "body1.onnx"] == [2]

    run(main())


def test_a_figure_that_fails_costs_no_worker(spelled_bundle, caplog):
    """Where a run cannot be counted its rows are answered all the same, and the worker serves the next."""

    class Broken(Metrics):
        def ran(self, model, graphs, rows):
            raise ArithmeticError("scripted")

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1, metrics=Broken()) as engine:
            for _ in range(2):
                answers = await answers_of(engine, submit(engine, served, rows(HARD), confidence=0.9))
                assert [told(answer) for answer in answers] == [(3, 2, "full_depth")]

    run(main())
    assert "could not be counted" in caplog.text
