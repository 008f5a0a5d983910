import json

import numpy as np
import pytest

from anytime.model_store import build_flow
from anytime.policy import Trace, TraceError
from anytime.training.evaluation.report import Example, evaluate
from tests.training.evaluation.traces import four, manifest, trace


def report(calibration=None, test=None, **given):
    bundle = manifest(**given)
    return evaluate(bundle, build_flow(bundle), calibration or four(), test or four())


def test_exits_are_told():
    """Accuracy, what coming so far takes, and what hindsight knows; the last forgets what both before knew."""
    made = report()
    assert [exit.accuracy for exit in made.exits] == [0.75, 1.0, 0.75]
    assert [exit.macs for exit in made.exits] == [110, 230, 360]
    assert [exit.ms for exit in made.exits] == [3, 6, 11]
    assert [exit.hindsight_improvability for exit in made.exits] == [0, 0, 1]
    assert [exit.oracle_accuracy for exit in made.exits] == [0.75, 1, 1]
    assert made.wasteful_overthinking == 1
    assert made.destructive_overthinking == 1
    assert (made.base.macs, made.macs_full) == (330, 330)


def test_confidence_is_judged_per_exit():
    """At exit 1 one wrong row ties with a right one; exit 2 has no wrong row to rank; bins hold all rows."""
    first, second, last = report().exits
    assert first.auroc == pytest.approx((1 + 1 + 0.5) / 3)
    assert second.auroc is None
    assert last.auroc == 0
    assert second.calibration_error == pytest.approx(1 - (0.9 + 0.9 + 0.6 + 0.7) / 4)
    assert [sum(one.rows for one in exit.bins) for exit in (first, second, last)] == [4, 4, 4]


def test_the_surest_wrong_rows_are_examples():
    """Each row once, with its surest wrong exit, by the labels' names; no more than there are."""
    assert report().confident_and_wrong == (
        Example(3, 3, "label 0", "label 1", pytest.approx(0.97)),
        Example(2, 1, "label 2", "label 1", pytest.approx(0.5)),
    )


def test_temperatures_are_the_bundles():
    """They change confidence and nothing that is right or wrong."""
    warm = report(temperature=[[2.0]] * 3)
    assert [exit.temperature for exit in warm.exits] == [2.0] * 3
    assert warm.confident_and_wrong[0].confidence < 0.97
    assert [exit.accuracy for exit in warm.exits] == [0.75, 1.0, 0.75]


def test_both_rules_are_told():
    """As families, with the budgets of ``budgets``."""
    confidence, patience = report().families
    assert (confidence.rule, patience.rule) == ("confidence", "patience")
    assert confidence.best.point.accuracy == 1.0
    assert [point.value for point in patience.curve] == [1, 2, 3]


def test_test_rows_choose_nothing():
    """Other test rows, the same thresholds."""
    other = trace([[(1, 0.9), (2, 0.9), (0, 0.9)]] * 3, [0, 0, 0])
    chosen = [
        [choice.point and choice.point.value for family in made.families for choice in (*family.by_macs, family.best)]
        for made in (report(), report(test=other))
    ]
    assert chosen[0] == chosen[1]


def test_a_report_is_the_same_text_again():
    """JSON that any reader takes: no NaN, and whole."""
    text = report().to_json()
    assert report().to_json() == text
    parsed = json.loads(text)
    assert parsed["exits"][1]["auroc"] is None
    assert parsed["families"][0]["by_macs"][0] == {"share": 0.25, "point": None}
    assert parsed["calibration_rows"] == parsed["test_rows"] == 4


LOGITS = np.zeros((1, 3, 3))
UNKNOWN = np.full((1, 3, 3), np.nan)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Trace({"logits": LOGITS[:0]}, np.ones((0, 6))), "test trace has no rows"),
        (Trace({"logits": LOGITS}, np.ones((1, 6))), "1 of 1 rows of the test trace have no label"),
        (Trace({"logits": UNKNOWN}, np.ones((1, 6)), np.array([1])), "row 0 of the test trace has no probab.* exit 1"),
        (Trace({"logits": LOGITS}, np.full((1, 6), np.nan), np.array([1])), "6 graphs .* were never timed"),
    ],
)
def test_a_trace_that_cannot_be_judged_is_refused(made, said):
    """With what it lacks."""
    with pytest.raises(TraceError, match=said):
        report(test=made)
