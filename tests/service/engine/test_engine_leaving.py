"""Clients that leave: their rows end at once, their state is freed, and the graph in flight is the last."""

from __future__ import annotations

import asyncio

import pytest

from anytime.service.metrics import Metrics
from tests.bundles.spelled import row, rows, sure, unsure
from tests.service.engine.engines import (
    LONG_MS,
    answers_of,
    assert_empty,
    engine_of,
    run,
    runner_of,
    said_by,
    serve,
    submit,
    told,
)

EASY = row(sure(0), sure(0), sure(0))
HARD = row(unsure(0), unsure(1), unsure(2))


@pytest.mark.parametrize("file", ["body1.onnx", "head1.onnx", "body2.onnx", "head2.onnx", "body3.onnx", "head3.onnx"])
@pytest.mark.parametrize("count", [1, 3], ids=["one row", "three rows"])
def test_leaving_during_a_run(spelled_bundle, file, count):
    """Whatever graph runs when the client leaves: it ends, none follows, and nothing is held meanwhile."""

    async def main():
        metrics = Metrics()
        served = serve(spelled_bundle)
        async with engine_of(workers=1, metrics=metrics) as engine:
            hold = runner_of(served).hold(file)
            ticket = submit(engine, served, rows(*[HARD] * count), confidence=0.9)
            await hold.reached()
            engine.cancel(ticket)
            assert_empty(engine)
            assert served.in_flight == 0
            hold.release()
            assert [
                told(a)[0] for a in await answers_of(engine, submit(engine, served, rows(EASY), confidence=0.9))
            ] == [1]
        assert [name for name, _ in runner_of(served).ran[:-2]] == [*before(file), file]
        assert f'anytime_rows_total{{end="cancelled",model="spelled"}} {count}.0' in metrics.exposition().decode()

    run(main())


def before(file: str) -> list[str]:
    order = [f"{part}{k}.onnx" for k in (1, 2, 3) for part in ("body", "head")]
    return order[: order.index(file)]


def test_leaving_before_the_start(spelled_bundle):
    """A request that is cancelled while it waits never runs."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body1.onnx")
            busy = submit(engine, served, rows(EASY))
            await hold.reached()
            gone = submit(engine, served, rows(HARD, HARD), deadline_ms=LONG_MS)
            engine.cancel(gone)
            assert engine.rows == 1
            hold.release()
            await answers_of(engine, busy)
            assert await said_by(engine, gone) == []
        assert {count for _, count in runner_of(served).ran} == {1}
        assert len(runner_of(served).ran) == 4

    run(main())


def test_leaving_between_two_graphs(spelled_bundle):
    """A row that waits for its second piece, because others are more urgent, leaves the queue."""

    async def main():
        served = serve(spelled_bundle, row_ms=100.0)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("head1.onnx")
            gone = submit(engine, served, rows(HARD), confidence=0.9)
            await hold.reached()
            urgent_hold = runner_of(served).hold("body1.onnx")
            urgent = submit(engine, served, rows(EASY), confidence=0.9, priority=1)
            hold.release()
            await urgent_hold.reached()
            engine.cancel(gone)
            assert engine.rows == 1
            urgent_hold.release()
            assert [told(a)[0] for a in await answers_of(engine, urgent)] == [1]
        assert "body2.onnx" not in [file for file, _ in runner_of(served).ran]

    run(main())


def test_others_in_the_same_run_stay(spelled_bundle):
    """One of two requests that share a run leaves: the other is answered as ever."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            first = runner_of(served).hold("body1.onnx")
            busy = submit(engine, served, rows(EASY))
            await first.reached()
            gone = submit(engine, served, rows(HARD), confidence=0.9)
            stays = submit(engine, served, rows(HARD), confidence=0.9)
            second = runner_of(served).hold("head1.onnx")
            first.release()
            await second.reached()
            engine.cancel(gone)
            second.release()
            assert [told(a) for a in await answers_of(engine, stays)] == [(3, 2, "full_depth")]
            await answers_of(engine, busy)
        assert ("head1.onnx", 2) in runner_of(served).ran
        assert ("body2.onnx", 1) in runner_of(served).ran

    run(main())


def test_cancel_after_the_end_changes_nothing(spelled_bundle):
    """The connection's end is often seen after the last byte: rows that ended stay answered."""

    async def main():
        metrics = Metrics()
        served = serve(spelled_bundle)
        async with engine_of(metrics=metrics) as engine:
            ticket = submit(engine, served, rows(EASY))
            await answers_of(engine, ticket)
            engine.cancel(ticket)
            engine.cancel(ticket)
        assert 'end="cancelled"' not in metrics.exposition().decode()

    run(main())


def test_whoever_waits_for_events_is_woken(spelled_bundle):
    """The handler that waits for a cancelled request's events goes on, with nothing to say."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body1.onnx")
            ticket = submit(engine, served, rows(HARD))
            waiting = asyncio.create_task(ticket.events())
            await hold.reached()
            engine.cancel(ticket)
            assert await waiting == []
            hold.release()

    run(main())


def test_finish_cancels_what_has_not_ended(spelled_bundle):
    """A handler that breaks off, for whatever reason, leaves nothing running behind it."""

    async def main():
        served = serve(spelled_bundle)
        async with engine_of(workers=1) as engine:
            hold = runner_of(served).hold("body1.onnx")
            ticket = submit(engine, served, rows(HARD, EASY))
            await hold.reached()
            engine.finish(ticket)
            assert_empty(engine)
            hold.release()

    run(main())
