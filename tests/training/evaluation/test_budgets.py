import numpy as np
import pytest

from anytime.model_store import build_flow
from anytime.training.calibration import Held
from anytime.training.evaluation.budgets import (
    Base,
    Choice,
    best_within,
    confidences,
    measure_base,
    measure_family,
    patiences,
)
from tests.policy.conftest import make_manifest
from tests.training.evaluation.traces import MS, four, manifest, trace

VALUES = [0.0, 0.55, 0.75, 1.0]


def measured(rule, values, calibration, test):
    bundle = manifest()
    return measure_family(bundle, build_flow(bundle), rule, values, calibration, test)


def test_the_base_network_is_the_last_exit_without_the_others():
    """Three bodies and the last head, with the last exit's accuracy; ``base_macs`` is the manifest's where it has one."""
    bundle = manifest()
    assert measure_base(bundle, build_flow(bundle), four()) == Base(330, 9.0, 0.75)
    told = bundle.model_copy(update={"base_macs": 300})
    assert measure_base(told, build_flow(told), four()).macs == 300


def test_an_exit_that_reads_other_heads_is_not_the_base_network():
    """Its multiply-adds and milliseconds are still those of the bodies and its own head; its accuracy nobody knows."""
    bundle = make_manifest(3, body_macs=100, head_macs=[10, 20, 30], reads_heads={3: [1, 2]})
    assert measure_base(bundle, build_flow(bundle), four()) == Base(330, 9.0, None)


def test_thresholds_are_chosen_on_calibration_and_told_by_test():
    """Within a budget the most accurate on the one split; on the other it may spend and be what it likes."""
    sure = trace([[(0, 0.6), (0, 0.9), (0, 0.9)]] * 2, [0, 0])
    family = measured("confidence", VALUES, sure, four())
    quarter, half, three, whole = (choice.point for choice in family.by_macs)
    assert quarter is None  # exit 1 alone takes a third of 330
    assert half.value == three.value == whole.value == family.best.point.value == 0.0
    assert (half.accuracy, half.macs, half.ms) == (0.75, 110, 3)


def test_without_a_budget_the_most_accurate_is_best():
    """However dear: 0.55 stops three rows at exits 1, 1 and 2, right, and row 3 at exit 2."""
    family = measured("confidence", VALUES, four(), four())
    best = family.best.point
    assert (best.value, best.accuracy) == (0.55, 1.0)
    assert best.macs == (110 + 110 + 230 + 230) / 4
    assert best.ms == (3 + 3 + 6 + 6) / 4
    assert [choice.point and choice.point.value for choice in family.by_macs] == [None, 0.0, 0.55, 0.55]
    assert [point.value for point in family.curve] == VALUES


def test_milliseconds_are_a_budget_of_their_own():
    """Of each trace's own base network: a test machine of half the speed changes no choice."""
    family = measured("confidence", VALUES, four(), four(2 * MS))
    assert [choice.point and choice.point.value for choice in family.by_ms] == [None, 0.55, 0.55, 0.55]
    assert family.by_ms[1].point.ms == 2 * 4.5


def test_full_depth_fits_the_whole_base_network():
    """Threshold 1 runs no head on the way, and costs to the last digit what the base network does."""
    family = measured("confidence", [1.0], four(), four())
    assert family.by_macs[-1].point == family.by_ms[-1].point == family.best.point
    assert (family.best.point.macs, family.best.point.ms) == (330, 9)


def test_patience_reads_the_same_heads():
    """One agreement stops rows 0, 1 and 3 at exit 2; row 2 goes on."""
    family = measured("patience", patiences(3), four(), four())
    one, two, three = family.curve
    assert (one.accuracy, one.macs) == (1.0, (3 * 230 + 360) / 4)
    assert (two.macs, three.macs) == (360, 330)
    assert family.best == Choice(None, one)


def test_of_equals_the_cheapest_is_taken():
    """Then the first; nothing where nothing fits."""
    cost = np.array([0.1, 0.5, 0.4, 0.4])
    tried = [
        Held({}, accuracy, spent, spent, (1.0,)) for accuracy, spent in zip((0.8, 0.9, 0.9, 0.9), cost, strict=True)
    ]
    assert best_within(tried, cost, np.inf) == 2
    assert best_within(tried, cost, 0.1) == 0
    assert best_within(tried, cost, 0.05) is None


def test_thresholds_come_from_what_early_exits_said():
    """From always stopping at exit 1 to never; the last exit's confidence decides nothing."""
    values = confidences(np.array([[0.4, 0.6, 0.123]]))
    assert values[0] == 0 and values[-1] == 1
    assert (min(values[1:]), max(values[:-1])) == pytest.approx((0.4, 0.6))
    assert confidences(np.array([[0.4]])) == [0.0, 1.0]
