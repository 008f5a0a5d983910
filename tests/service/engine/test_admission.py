"""Who is let in: each refusal, what it says, and when to come back."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anytime.policy import Policy, parse_policy
from anytime.service.engine.admission import Bounds, Load, must_have_ms, refuse, refuse_deadline, retry_after, wait_ms
from anytime.service.engine.timing import AGE_S, PROBE_S, Timing, Timings
from anytime.service.errors import (
    BatchTooLarge,
    DeadlineBeforeFirstExit,
    DeadlineBeforeFullDepth,
    DeadlineUnreachable,
    ModelFailed,
    QueueFull,
    StateFull,
)
from tests.bundles.spelled import row, rows, sure
from tests.service.engine.engines import jobs_of, serve

BOUNDS = Bounds(rows=10, state_bytes=1000)
NOW = 500.0


@pytest.fixture
def served(spelled_bundle):
    """Bodies take 10 ms a row, heads 1 ms, measured just now."""
    served = serve(spelled_bundle)
    served.timings = Timings([Timing(10.0 if node.part == "body" else 1.0, NOW) for node in served.flow.nodes])
    return served


@pytest.mark.parametrize(
    ("held", "asked", "row_bytes", "refusal"),
    [
        (Load(0, 0), 10, 100, None),
        (Load(9, 900), 1, 100, None),
        (Load(9, 0), 2, 1, QueueFull),
        (Load(10, 0), 1, 0, QueueFull),
        (Load(1, 950), 1, 51, StateFull),
        (Load(1, 950), 1, 50, None),
        (Load(10, 1000), 1, 1, QueueFull),
        (Load(0, 0), 11, 0, BatchTooLarge),
        (Load(0, 0), 1, 1001, BatchTooLarge),
        (Load(10, 1000), 2, 501, BatchTooLarge),
    ],
)
def test_bounds(held, asked, row_bytes, refusal):
    """Rows and bytes up to the bounds are let in; beyond them 429, and 422 what would never fit."""
    got = refuse(BOUNDS, held, asked, row_bytes)
    assert type(got) is (refusal or type(None))
    if got is not None:
        assert got.status == (422 if refusal is BatchTooLarge else 429)


@pytest.mark.parametrize(("wait", "seconds"), [(0.0, 0.05), (20.0, 0.05), (1234.5678, 1.235)])
def test_retry_after_is_the_work_ahead(wait, seconds):
    """An overload says when to come back; any other refusal says nothing of the kind."""
    assert retry_after(QueueFull("full"), wait).retry_after_s == seconds
    assert retry_after(BatchTooLarge("large"), wait).retry_after_s is None
    assert retry_after(ModelFailed("failed"), wait).retry_after_s is None


@pytest.mark.parametrize(
    ("policy", "left_ms", "wait", "refusal"),
    [
        ({}, 11.5, 0.0, None),
        ({}, 10.5, 0.0, DeadlineBeforeFirstExit),
        ({}, -5.0, 0.0, DeadlineBeforeFirstExit),
        ({}, 20.5, 9.0, None),
        ({}, 20.5, 10.0, DeadlineUnreachable),
        ({"exact": True}, 31.5, 0.0, None),
        ({"exact": True}, 30.5, 0.0, DeadlineBeforeFullDepth),
        ({"exact": True}, 40.5, 10.0, DeadlineUnreachable),
    ],
)
def test_deadlines(served, policy, left_ms, wait, refusal):
    """504 where exit 1 (all of it for ``exact``) does not fit even an idle server; 429 where only the wait is too long."""
    plan = served.program(parse_policy({"deadline_ms": 1000.0} | policy)).plan
    got = refuse_deadline(served, plan, NOW + left_ms / 1e3, NOW, wait)
    assert type(got) is (refusal or type(None))
    assert refusal is not DeadlineUnreachable or got.retry_after_s == 0.05


def test_old_measurements_prove_nothing(served):
    """Once nothing was measured for long, one request is let in whatever its deadline: somebody must measure."""
    plan = served.program(parse_policy({"deadline_ms": 5.0})).plan
    assert must_have_ms(served, plan, NOW + AGE_S + 1.0) == 11.0
    assert must_have_ms(served, plan, NOW + PROBE_S + 1.0) == 0.0
    assert must_have_ms(served, plan, NOW + PROBE_S + 1.0) == 11.0


def test_the_wait_is_what_others_must_do_first(served):
    """The rest of each leg that waits ahead, shared by the workers."""
    jobs = jobs_of(served, rows(*[row(sure(0), sure(0), sure(0))] * 4), confidence=0.9)
    assert wait_ms(jobs, 1) == pytest.approx(44.0)
    assert wait_ms(jobs, 4) == pytest.approx(11.0)
    jobs[0].walk.finish(10.0)
    assert wait_ms(jobs[:1], 1) == pytest.approx(1.0)
    assert wait_ms([], 1) == 0.0


def test_a_long_queue_is_estimated_from_its_head(served):
    """Beyond the first few hundred the others count as their mean."""
    (job,) = jobs_of(served, rows(row(sure(0), sure(0), sure(0))), confidence=0.9)
    assert wait_ms([job] * 5000, 2) == pytest.approx(5000 * 11.0 / 2)


def test_bounds_and_load_are_values():
    """Neither can be changed under the engine's feet."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        BOUNDS.rows = math.inf


def test_without_a_deadline_full_depth_is_not_asked_for(served):
    """What must be had without ``exact`` is the first leg alone, however long the way is."""
    assert must_have_ms(served, served.program(Policy(confidence=0.9)).plan, NOW) == 11.0
    assert must_have_ms(served, served.program(Policy()).plan, NOW) == 31.0


@given(*[st.integers(0, 12)] * 2, *[st.integers(0, 1100)] * 2, st.integers(1, 12))
def test_what_the_bounds_hold_is_not_refused(held, asked, held_bytes, row_bytes, more):
    """The short look at the bounds and the refusal that says why agree."""
    rows = 1 + (asked + more) % 12
    holds = BOUNDS.hold(held + rows, held_bytes + rows * row_bytes)
    assert holds is (refuse(BOUNDS, Load(held, held_bytes), rows, row_bytes) is None)
