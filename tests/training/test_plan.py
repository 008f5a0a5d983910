"""Which exits are served: checked against the service's own walk, and the search against every choice there is."""

import dataclasses
import time
from itertools import combinations

import numpy as np
import pytest

from anytime.policy import Trace
from anytime.training import plan as module
from anytime.training.calibration import hold
from anytime.training.errors import BadOption, TracesUnfit
from anytime.training.plan import choose_exits
from tests.policy.conftest import make_flow, make_manifest


def drawn(exits: int, rows: int = 200, *, seed: int = 0, head_ms: float = 0.4) -> Trace:
    """Later exits are surer and more often right; some rows are easy. All rows take the same time."""
    draw = np.random.default_rng(seed)
    label = draw.integers(0, 3, rows)
    ease = draw.uniform(0, 1, (rows, 1)) + np.linspace(0, 2, exits) + draw.normal(0, 0.3, (rows, exits))
    logits = draw.normal(0, 1, (rows, exits, 3))
    logits[np.arange(rows)[:, np.newaxis], np.arange(exits), label[:, np.newaxis]] += 2.5 * ease
    ms = np.column_stack([draw.uniform(0.5, 1.5, exits), draw.uniform(0.5, 1.5, exits) * head_ms]).reshape(-1)
    return Trace({"logits": logits}, np.tile(ms, (rows, 1)), label)


def chosen(trace: Trace, **options):
    exits = trace.outputs["logits"].shape[1]
    return choose_exits(trace, make_manifest(exits), make_flow(exits), **options)


def walked(trace: Trace, served: tuple[int, ...], threshold: float):
    """What the service does where only these exits may stop a row."""
    exits = trace.outputs["logits"].shape[1]
    policy = {"confidence": [threshold if exit in served else None for exit in range(1, exits + 1)]}
    return hold(policy, make_manifest(exits), make_flow(exits), trace)


def test_a_plan_expects_what_the_service_does():
    """Milliseconds, accuracy and shares are those of the service's own walk over the same trace, boundaries apart."""
    trace = drawn(6)
    plan = chosen(trace, boundary_ms=0.0, loss=2.0)
    held = walked(trace, plan.exits, plan.threshold)
    assert 1 < len(plan.exits) < 6 and 0 < plan.threshold < 1
    assert (plan.ms, plan.accuracy) == pytest.approx((held.ms, held.accuracy), rel=1e-12)
    assert [one.share for one in plan.costs] == pytest.approx(held.exit_shares)
    assert plan.full_accuracy == pytest.approx(walked(trace, (6,), 1.0).accuracy)
    assert plan.accuracy >= plan.full_accuracy - 0.02 - 1e-9


def test_no_other_choice_is_cheaper():
    """Of all subsets and thresholds, walked by the service, none loses as little and costs less."""
    trace = drawn(4, rows=80, head_ms=0.8)
    plan = chosen(trace, boundary_ms=0.0, loss=2.5)
    thresholds = module.candidate_thresholds(make_manifest(4), trace, module._STEPS).tolist()
    held = [walked(trace, (*early, 4), one) for size in range(4) for early in combinations((1, 2, 3), size)
            for one in thresholds]  # fmt: skip
    assert plan.ms == pytest.approx(min(one.ms for one in held if one.accuracy >= plan.full_accuracy - 0.025 - 1e-9))


def test_figures_by_hand():
    """Exit 1 stops three rows of four; exit 2 stops none that exit 3 would not, and its head and boundary are saved."""
    sure, unsure, late = [9.0, 0, 0], [0.5, 0, 0], [0, 9.0, 0]
    logits = np.array([[sure, sure, sure]] * 3 + [[unsure, unsure, late]])
    trace = Trace({"logits": logits}, np.tile([2.0, 1.0, 2.0, 1.0, 4.0, 1.0], (4, 1)), np.array([0, 0, 0, 1]))
    plan = chosen(trace, boundary_ms=0.5, loss=0.0)
    assert plan.exits == (1, 3)
    assert plan.ms == pytest.approx((3 * 3.5 + (3.5 + 2 + 4 + 1 + 0.5)) / 4)
    assert plan.all_ms == pytest.approx((3 * 3.5 + (3.5 + 3.5 + 5.5)) / 4)
    first, second, last = plan.costs
    assert (first.body_ms, first.head_ms, first.share, first.is_served) == (2.0, 1.0, 0.75, True)
    assert (second.share, second.share_of_all, second.is_served) == (0.0, 0.0, False)
    assert last.share == 0.25


def test_heads_that_cost_more_than_they_save_are_not_served():
    """With heads dearer than the network no early exit pays, and with free ones every choice is at most as dear as all."""
    plan = chosen(drawn(5, head_ms=20.0), loss=0.0)
    assert plan.exits == (5,) and not plan.is_change and plan.threshold == 1.0
    assert [one.share for one in plan.costs] == [0, 0, 0, 0, 1]
    free = chosen(drawn(5, head_ms=0.0), boundary_ms=0.0)
    assert free.ms == pytest.approx(free.all_ms)


def test_dearer_boundaries_leave_fewer_exits():
    """And ``most`` bounds them."""
    trace = drawn(8, head_ms=0.05)
    counts = [len(chosen(trace, boundary_ms=ms, loss=2.0).exits) for ms in (0.0, 0.3, 3.0)]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]
    assert len(chosen(trace, boundary_ms=0.0, loss=2.0, most=2).exits) == 2


@pytest.mark.parametrize("seed", range(6))
def test_the_search_finds_what_trying_all_finds(seed, monkeypatch):
    """On 8 exits, with and without a tight bound on their number, within a thousandth."""
    trace = drawn(8, rows=120, seed=seed, head_ms=0.1 * (seed + 1))
    for most in (3, 8):
        best = chosen(trace, most=most, loss=2.0)
        monkeypatch.setattr(module, "_FEW", 0)
        found = chosen(trace, most=most, loss=2.0)
        monkeypatch.undo()
        assert len(found.exits) <= most
        assert best.ms <= found.ms <= best.ms * 1.001


def test_many_exits_take_seconds():
    """27 exits of 2000 rows."""
    start = time.monotonic()
    plan = chosen(drawn(27, rows=2000), most=8)
    assert time.monotonic() - start < 20.0
    assert 1 < len(plan.exits) <= 8 and plan.ms < plan.all_ms


@pytest.mark.parametrize(("options", "says"), [
    ({"most": 1}, "at most 1 exits leave nothing to choose"), ({"loss": -1.0}, "a loss of -1.0 points"),
    ({"boundary_ms": float("nan")}, "a boundary of nan ms"),
])  # fmt: skip
def test_options_out_of_range_are_refused(options, says):
    """Each says what was given."""
    with pytest.raises(BadOption, match=says):
        chosen(drawn(3), **options)


def test_traces_that_cannot_say_are_refused():
    """Without labels, without times, without an exit to drop, or with more exits than a plan can choose among."""
    trace = drawn(3)
    with pytest.raises(TracesUnfit, match="1 of 200 have none"):
        chosen(dataclasses.replace(trace, label=np.where(np.arange(200) == 7, -1, trace.label)))
    with pytest.raises(TracesUnfit, match="never timed"):
        chosen(dataclasses.replace(trace, ms=np.where(np.arange(6) == 3, np.nan, trace.ms)))
    with pytest.raises(BadOption, match="one exit"):
        chosen(drawn(1))
    with pytest.raises(BadOption, match="65 exits"):
        chosen(drawn(65, rows=5))
