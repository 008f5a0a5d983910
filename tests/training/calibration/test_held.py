import time

import numpy as np
import pytest

from anytime.policy import PolicyOutOfRange, Trace
from anytime.training.calibration.held import Ground, Held, hold, level_labels
from tests.cli.traced import traced
from tests.policy.conftest import make_flow, make_manifest, make_trace


def test_a_policy_is_held_to_a_trace(pair):
    """By the same walk as the service's: two rows leave at exit 1, two go on."""
    bundle, trace = pair
    held = hold({"confidence": 0.9}, bundle.manifest, bundle.flow, trace)
    assert held == Held({"confidence": 0.9}, 1.0, 1.0, 2.5, (0.5, 0.5), {"confidence": 1.0})
    assert held.as_point("x") == {
        "name": "x", "policy": {"confidence": 0.9}, "accuracy": 1.0, "cost": 1.0, "ms": 2.5, "exit_shares": [0.5, 0.5],
    }  # fmt: skip


def test_what_stopped_the_rows_is_told():
    """As shares of the rows, the commonest first; a deadline that no exit reaches is wrong and of no exit."""
    manifest, flow = make_manifest(2), make_flow(2)
    trace = make_trace([[[9, 0, 0], [9, 0, 0]], [[1, 0, 0], [1, 0, 0]], [[1, 0, 0], [0, 1, 0]]])
    trace = Trace(trace.outputs, trace.ms, np.zeros(3, np.int64))
    held = hold({"confidence": 0.9}, manifest, flow, trace)
    assert held.reasons == {"full_depth": 2 / 3, "confidence": 1 / 3}
    assert (held.accuracy, held.exit_shares) == (2 / 3, (1 / 3, 2 / 3))
    late = hold({"deadline_ms": 1.5}, manifest, flow, trace)
    assert (late.accuracy, late.exit_shares, late.reasons) == (0.0, (0.0, 0.0), {"deadline": 1.0})


def test_accuracy_is_of_the_rows_with_a_label():
    """And unknown where there is none."""
    manifest, flow = make_manifest(1), make_flow(1)
    trace = make_trace([[[9, 0, 0]], [[9, 0, 0]], [[9, 0, 0]]])
    assert hold({}, manifest, flow, trace).accuracy is None
    some = Trace(trace.outputs, trace.ms, np.array([0, -1, 1]))
    assert hold({}, manifest, flow, some).accuracy == 0.5


def test_an_answer_is_judged_at_its_level():
    """A genus is right where the species' parent is; the reply's level decides, under auto row by row."""
    levels = {"species": 3, "genus": 2}
    manifest, flow = make_manifest(1, levels=levels), make_flow(1, levels=levels)
    fine = np.array([[[9.0, 0, 0]], [[0, 1.0, 0.9]]])
    coarse = np.array([[[9.0, 0]], [[0, 9.0]]])
    label = np.array([0, 2])
    trace = Trace({"logits": fine, "logits.genus": coarse}, np.ones((2, 2)), label)
    assert [one.tolist() for one in level_labels(manifest, np.array([0, 2, -1]))] == [[0, 2, -1], [0, 1, -1]]
    assert hold({}, manifest, flow, trace).accuracy == 0.5
    assert hold({"level": "genus"}, manifest, flow, trace).accuracy == 1.0
    assert hold({"level": "auto", "confidence": 0.9}, manifest, flow, trace).accuracy == 1.0


@pytest.mark.parametrize("rule", ["confidence", "patience"])
def test_ten_thousand_rows_are_searched_in_well_under_a_second(rule):
    """16 exits, 100 values; in processor time, so that busy neighbours do not count."""
    manifest, flow, trace = make_manifest(16), make_flow(16), traced(10_000, 16)
    start = time.process_time()
    ground = Ground(manifest, flow, trace)
    values = np.linspace(0, 1, 101).tolist() if rule == "confidence" else range(1, 102)
    held = [ground.hold({rule: value}) for value in values]
    assert time.process_time() - start < 2.0
    assert held[0].exit_shares[0 if rule == "confidence" else 1] > 0.1 and held[-1].exit_shares[-1] == 1.0


def test_what_cannot_fire_runs_no_head():
    """At confidence 1 and at a patience beyond the exits rows go straight to full depth, past the other heads."""
    manifest, flow = make_manifest(3), make_flow(3)
    trace = Trace({"logits": np.zeros((2, 3, 3))}, np.ones((2, 6)), np.zeros(2, np.int64))
    cases = {"confidence": ((0.9, 330, 6.0), (1.0, 310, 4.0)), "patience": ((2, 330, 6.0), (3, 310, 4.0))}
    for rule, wanted in cases.items():
        for value, macs, ms in wanted:
            held = hold({rule: value}, manifest, flow, trace)
            assert (held.cost * flow.macs_full, held.ms) == (pytest.approx(macs), ms)
            assert held.exit_shares == (0.0, 0.0, 1.0)


def test_a_value_that_no_policy_takes_is_refused():
    """By the policy's own check."""
    with pytest.raises(PolicyOutOfRange):
        hold({"confidence": 1.5}, make_manifest(2), make_flow(2), traced(3, 2))
