"""One run of one piece: rows together answer as they do alone, and a row's fault stays its own."""

from __future__ import annotations

import numpy as np
import pytest

from anytime.policy import Outcome
from anytime.service.engine.run import Run, execute
from anytime.service.engine.scheduler import Scheduler
from anytime.service.errors import ModelFailed
from tests.bundles import BUNDLES
from tests.bundles.cases import CASES, ROWS
from tests.bundles.spelled import NAN, row, rows, sure, unsure
from tests.service.engine.engines import answers_of, engine_of, jobs_of, run, runner_of, serve, submit

HARD = row(unsure(0), unsure(1), unsure(2))


@pytest.fixture
def served(spelled_bundle):
    return serve(spelled_bundle)


def executed(jobs) -> Run:
    one = Run(jobs, 0.0)
    execute(one)
    return one


@pytest.mark.parametrize("module", BUNDLES, ids=lambda module: module.NAME)
def test_a_batch_answers_as_each_row_alone(module, stress):
    """On every stress bundle, under every policy of the table: outcomes, depth, cost and reason are the same."""

    async def main():
        together, alone = serve(stress(module)), serve(stress(module), row_ms=100.0)
        inputs = module.inputs(ROWS)
        async with engine_of(workers=1) as engine:
            for case in (case for case in CASES if case.module is module):
                policy = {name: list(v) if isinstance(v, tuple) else v for name, v in case.policy.items()}
                batch = await answers_of(engine, submit(engine, together, inputs, **policy))
                single = await answers_of(engine, submit(engine, alone, inputs, **policy))
                for a, b in zip(batch, single, strict=True):
                    assert (a.depth, a.cost, a.reason, a.answer.level) == (b.depth, b.cost, b.reason, b.answer.level)
                    assert a.answer.outcome.exit == b.answer.outcome.exit
                    for name, values in b.answer.outcome.outputs.items():
                        np.testing.assert_allclose(
                            a.answer.outcome.outputs[name], values, rtol=0, atol=module.TOLERANCE, err_msg=case.name
                        )
        assert max(count for _, count in runner_of(together).ran) == ROWS
        assert max(count for _, count in runner_of(alone).ran) == 1

    run(main())


@pytest.mark.parametrize(("stream", "told"), [(True, [1, 2]), (False, [])], ids=["stream", "plain"])
def test_a_stream_is_told_of_the_exits_on_the_way(stream, told, served):
    """A row that runs on has every exit heard; a stream is told of each as it comes, and the last is left to hear."""
    (job,) = jobs_of(served, rows(HARD), stream=stream, confidence=0.9)
    heard: list[int] = []
    one = Run([job], 0.0)
    execute(one, Scheduler(), lambda job, outcome: heard.append(outcome.exit))
    assert heard == told
    assert [outcome.exit for outcome in job.walk.outcomes] == [1, 2]
    assert [result.exit for result in one.results if isinstance(result, Outcome)] == [3]


def test_a_clock_is_asked_at_every_exit(served):
    """A row that the time may stop goes no further than its next exit by itself."""
    (job,) = jobs_of(served, rows(HARD), max_ms=1000.0)
    one = Run([job], 0.0)
    execute(one, Scheduler())
    assert [result.exit for result in one.results if isinstance(result, Outcome)] == [1]


def test_an_exit_says_one_outcome_per_row(served):
    """The outcomes of a batch come in the order of its jobs."""
    jobs = jobs_of(served, rows(row(sure(0), sure(0), sure(0)), row(sure(2), sure(0), sure(0))), confidence=0.9)
    results = executed(jobs).results
    assert [result.index for result in results if isinstance(result, Outcome)] == [0, 2]


def test_no_outcome_where_no_exit_is_due(served):
    """A piece without a consulted head leaves the row in the middle of its leg, with what it wrote."""
    (job,) = jobs_of(served, rows(HARD))
    assert executed([job]).results == [None]
    assert len(job.slots) == 1


def test_what_nobody_reads_any_more_is_dropped(served):
    """After each piece a row holds no more than what its later graphs read; what it keeps is its own, not the batch's."""
    jobs = jobs_of(served, rows(HARD, HARD), confidence=0.9)
    executed(jobs)
    for job in jobs:
        ((slot, value),) = job.slots.items()
        assert served.flow.slots[slot].name == "features_1"
        assert value.base is None
        assert value.shape == (1, 10)


def test_a_failing_graph_is_the_rows_own_fault(served):
    """The row that makes a body fail gets the error, its mates their outcome; each graph counts once for each row."""
    jobs = jobs_of(served, rows(HARD, row(sure(0), sure(0), sure(0), trip=1), HARD), confidence=0.9)
    results = executed(jobs).results
    assert [type(result) for result in results] == [Outcome, ModelFailed, Outcome]
    assert [job.walk.macs for job in jobs] == [109, 100, 109]


def test_a_failing_head_does_not_repeat_its_body(served):
    """Where the head fails in a batch, rows go on from there: the body is neither run nor counted again."""
    jobs = jobs_of(served, rows(HARD, row(sure(0), sure(0), sure(0), trip=1.5)), confidence=0.9)
    results = executed(jobs).results
    assert [type(result) for result in results] == [Outcome, ModelFailed]
    assert [job.walk.macs for job in jobs] == [109, 109]
    assert [file for file, _ in runner_of(served).ran] == ["body1.onnx", "head1.onnx", "head1.onnx", "head1.onnx"]
    assert jobs[0].walk.at_boundary


def test_nan_is_the_rows_own_fault(served):
    """A head that says NaN for one row fails that row alone, and says which exit it was."""
    jobs = jobs_of(served, rows(HARD, row(NAN, sure(0), sure(0))), confidence=0.9)
    good, bad = executed(jobs).results
    assert isinstance(good, Outcome)
    assert isinstance(bad, ModelFailed)
    assert "exit 1" in str(bad)


@pytest.mark.parametrize("count", [1, 2])
def test_nothing_runs_for_rows_that_ended(served, count):
    """A run whose rows all ended before it began runs no graph and costs nothing."""
    jobs = jobs_of(served, rows(*[HARD] * count), confidence=0.9)
    one = Run(jobs, 0.0)
    for job in jobs:
        job.release()
    execute(one)
    assert one.results == [None] * count
    assert one.ran == []
    assert runner_of(served).ran == []


def test_compute_is_shared(served):
    """A row's compute is the run's time over its rows."""
    jobs = jobs_of(served, rows(HARD, HARD, HARD, HARD), confidence=0.9)
    executed(jobs)
    assert [job.walk.compute_ms for job in jobs] == [pytest.approx(0.5)] * 4
