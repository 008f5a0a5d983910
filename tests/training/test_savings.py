import dataclasses

import numpy as np
import pytest

from anytime.policy import Trace
from anytime.training.calibration import Held
from anytime.training.errors import TracesUnfit
from anytime.training.savings import (
    INT8,
    SMALLER,
    ExitCost,
    Rival,
    Savings,
    halves,
    judge,
    measure_savings,
)
from tests.cli.traced import traced
from tests.policy.conftest import make_flow, make_manifest


def timed(trace, ms):
    """The trace with these milliseconds per graph, and one slow moment."""
    times = np.tile(np.asarray(ms, float), (trace.rows, 1))
    times[0] *= 1000
    return Trace(trace.outputs, times, trace.label)


def savings(ms, accuracy=0.9, base_ms=10.0, base_accuracy=0.905, head_share=0.02, policy=0.8, last=0.2,
            macs_share=0.2, rows=10_000, exits=3):  # fmt: skip
    """Of three exits or more, told at once."""
    best = Held({"confidence": policy}, accuracy, 0.5, ms, (0.5, 0.5 - last, last))
    exits = tuple(ExitCost(3.0, base_ms * head_share, head_share) for _ in range(exits))
    return Savings(base_ms, base_accuracy, base_ms * (1 + 2 * head_share), exits, best, macs_share, rows)


def test_the_base_network_is_the_bodies_and_the_last_head():
    """Medians, so that a slow moment decides nothing; the early heads are what exits cost."""
    manifest, flow = make_manifest(3), make_flow(3)
    ms = [2.0, 0.5, 3.0, 0.5, 4.0, 1.0]
    found = measure_savings(manifest, flow, timed(traced(200, 3), ms), timed(traced(200, 3, seed=1), ms))
    assert (found.base_ms, found.all_heads_ms) == (10.0, 11.0)
    assert found.exits == (ExitCost(2.0, 0.5, 0.05), ExitCost(3.0, 0.5, 0.05), ExitCost(4.0, 1.0, 0.1))
    assert found.heads_share == pytest.approx(0.1)


def test_the_policy_is_chosen_on_one_trace_and_told_on_the_other():
    """The fastest that loses a point at most there; here it loses what it loses."""
    manifest, flow = make_manifest(3), make_flow(3)
    ms = [2.0, 0.1, 3.0, 0.1, 4.0, 1.0]
    chosen, told = timed(traced(3000, 3), ms), timed(traced(3000, 3, seed=1), ms)
    found = measure_savings(manifest, flow, chosen, told)
    same = measure_savings(manifest, flow, chosen, chosen)
    assert same.best.policy == found.best.policy
    assert 0.0 < same.lost <= 0.01
    assert 0.1 < found.saved_share < 1.0
    assert abs(found.lost - 0.01) < 0.01
    right = (told.outputs["logits"][:, -1].argmax(axis=1) == told.label).mean()
    assert found.base_accuracy == right


def test_dear_heads_save_nothing():
    """Where every exit costs as much as it may save, the best is not to ask it; nothing is saved and it is said."""
    manifest, flow = make_manifest(2), make_flow(2)
    ms = [1.0, 9.0, 1.0, 1.0]
    found = measure_savings(manifest, flow, timed(traced(300, 2), ms), timed(traced(300, 2, seed=1), ms))
    assert found.saved_ms == 0.0
    verdict = judge(found)
    assert not verdict.is_worth_it
    assert verdict.sentence.startswith("not worth it: early exits save 0% of the base network's 3 ms")
    assert verdict.next == ("fewer exits, with anytime plan: exit 1 is asked by no row",)
    assert found.heads_macs_share == pytest.approx(10 / 210)
    dear = judge(dataclasses.replace(found, heads_macs_share=0.5))
    assert dear.next[0] == "linear heads: the early heads take 300% of the base network's time"


@pytest.mark.parametrize(
    ("ms", "rivals", "is_worth_it"),
    [
        (5.0, [], True),
        (9.0, [], True),
        (9.1, [], False),
        (11.0, [], False),
        (5.0, [Rival(INT8, 4.0, 0.9)], False),
        (5.0, [Rival(INT8, 4.0, 0.89)], True),
        (5.0, [Rival(INT8, 6.0, 0.95)], True),
        (5.0, [Rival(INT8, 6.0), Rival(SMALLER, 5.0, 0.91)], False),
        (5.0, [Rival(INT8, 4.0)], False),
    ],
)
def test_the_verdict_is_by_milliseconds(ms, rivals, is_worth_it):
    """A tenth must be saved, and nothing else be as fast at the same accuracy, or at one that nobody knows."""
    verdict = judge(savings(ms), rivals)
    assert verdict.is_worth_it is is_worth_it
    assert verdict.sentence.startswith("worth it" if is_worth_it else "not worth it")


def test_the_verdict_says_what_to_try_next():
    """Each fault has its remedy; what is well has none."""
    assert judge(savings(5.0)).next == ()
    assert "linear heads" in judge(savings(5.0, head_share=0.2)).next[0]
    assert judge(savings(5.0, head_share=0.2, macs_share=0.004)).next == (
        "fewer exits, with anytime plan: the early heads take 40% of the base network's time for 0.4% of its multiply-adds",
    )
    assert judge(savings(5.0, exits=9, head_share=0.0, policy=[0.8] * 9)).next == (
        "fewer exits, with anytime plan: there are 9",
    )
    assert "exits 1, 2 are asked by no row" in judge(savings(10.0, policy=1.0)).next[0]
    assert "exit 2 is asked by no row" in judge(savings(5.0, policy=[0.5, None, 0.5])).next[0]
    assert not any("better" in one for one in judge(savings(10.0, policy=1.0, last=1.0)).next)
    assert "60% of the rows go to the last" in judge(savings(5.0, last=0.6)).next[0]
    assert "quantised" in judge(savings(5.0), [Rival(INT8, 4.0)]).next[0]
    beaten = judge(savings(5.0), [Rival(SMALLER, 4.0, 0.95)])
    assert beaten.sentence.endswith("down to 5 ms, and a smaller network takes 4 ms at 95.0%")
    assert "anytime cascade" in beaten.next[0]


@pytest.mark.parametrize(("lost", "rows", "is_worth_it"), [
    (0.225, 40, False), (0.02, 360, True), (0.02, 10_000, False), (0.012, 10_000, True), (-0.1, 40, True),
])  # fmt: skip
def test_what_is_saved_must_not_be_paid_with_accuracy(lost, rows, is_worth_it):
    """More than a point lost is worth it only where chance explains it: 20 rows of 1,000 are no chance, 2 of 100 are."""
    verdict = judge(savings(5.0, accuracy=0.9 - lost, base_accuracy=0.9, rows=rows))
    assert verdict.is_worth_it is is_worth_it
    if not is_worth_it:
        assert verdict.sentence.endswith(f"; wanted 1 at most, and chance on {rows:,} rows explains less")
        assert verdict.next[0].startswith("more calibration rows")


def test_accuracy_may_be_gained():
    """On other rows than those it was chosen on, a policy may be the more accurate one."""
    assert judge(savings(5.0, accuracy=0.915)).sentence.endswith("10 ms and gain 1.0 points of accuracy")


def test_halves_share_no_row():
    """Every other row each."""
    first, second = halves(traced(5, 2))
    assert (first.rows, second.rows) == (3, 2)
    whole = traced(5, 2)
    assert first.label.tolist() == whole.label[[0, 2, 4]].tolist()
    assert second.outputs["logits"].tolist() == whole.outputs["logits"][[1, 3]].tolist()


def test_labels_and_times_are_needed():
    """Of every row, and of every graph."""
    manifest, flow, good = make_manifest(2), make_flow(2), traced(10, 2)
    for wrong, message in (
        (traced(10, 2, labelled=False), "without a label"),
        (traced(0, 2), "no rows"),
        (Trace(good.outputs, np.where(np.arange(4) == 1, np.nan, good.ms), good.label), "do not time every graph"),
    ):
        with pytest.raises(TracesUnfit, match=message):
            measure_savings(manifest, flow, good, wrong)
        with pytest.raises(TracesUnfit, match=message):
            measure_savings(manifest, flow, wrong, good)
