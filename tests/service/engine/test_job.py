"""One row's record: where it stands, what it says, and what goes when it is released."""

from __future__ import annotations

import pytest

from anytime.policy import limit
from anytime.service.engine.run import Run, execute
from tests.bundles.spelled import row, rows, sure, unsure
from tests.service.engine.engines import jobs_of, serve

HARD = row(unsure(0), unsure(1), unsure(2))


@pytest.fixture
def served(spelled_bundle):
    return serve(spelled_bundle)


def step(job):
    """Runs its next piece; what its exit said, None where none was due or it was heard."""
    one = Run([job], 0.0)
    execute(one)
    return one.results[0]


def test_it_stands_before_each_piece_in_turn(served):
    """Between exits it goes on within its leg, at an exit to the next leg, and at the last it stops."""
    (job,) = jobs_of(served, rows(HARD), confidence=[None, 0.9, None])
    assert job.is_new
    assert step(job) is None
    assert not job.is_new
    assert not job.heard(step(job), job.walk.next_leg.ahead).stops
    assert job.heard(step(job), job.walk.next_leg).stops
    final = job.final()
    assert (final.answer.outcome.exit, final.depth, final.reason, final.cost) == (3, 3, "full_depth", 318 / 309)


def test_a_prediction_on_the_way_has_no_reason(served):
    """What an exit just said comes with the cost so far, and leaves the row where it is."""
    (job,) = jobs_of(served, rows(HARD), confidence=0.9)
    outcome = step(job)
    job.heard(outcome, job.walk.next_leg.ahead)
    said = job.prediction(outcome)
    assert (said.reason, said.depth, said.cost, said.answer.outcome) == (None, 1, 109 / 309, outcome)


def test_release_drops_every_tensor(served):
    """The one place where a row's state goes; its answer stays."""
    (job,) = jobs_of(served, rows(row(sure(0), sure(0), sure(0))), confidence=0.9)
    job.heard(step(job), job.walk.next_leg.ahead)
    assert job.slots
    job.release()
    assert (job.slots, job.ended) == ({}, True)
    assert job.final().reason == "confidence"


def test_rows_of_a_request_have_keys_of_their_own(served):
    """Priority first, then the deadline, then the order of arrival and of rows."""
    low, high = jobs_of(served, rows(HARD, HARD), priority=2)
    assert low.key < high.key
    (plain,) = jobs_of(served, rows(HARD))
    assert high.key < plain.key


def test_stopped_from_outside(served):
    """A row with an exit that is stopped answers with it, and says what stopped it."""
    (job,) = jobs_of(served, rows(HARD), confidence=0.9)
    job.heard(step(job), job.walk.next_leg.ahead)
    job.walk.stop(limit("deadline"))
    assert job.final().reason == "deadline"
