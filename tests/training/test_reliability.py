import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from anytime.training.calibration import fit_temperature
from anytime.training.reliability import auroc, calibration_error, reliability_bins
from tests.training.classifiers import softmax
from tests.training.vectors import load_vector

VECTOR = load_vector("r_temperature_ece")
LOGITS = np.array(VECTOR["inputs"]["logits"])
LABEL = np.array(VECTOR["inputs"]["labels"])
WANTED = VECTOR["outputs"]


def said(temperature):
    p = softmax(LOGITS / temperature)
    return p.max(axis=1), p.argmax(axis=1) == LABEL


@pytest.mark.parametrize(("temperature", "wanted"), [(1.0, "ece_T1"), (WANTED["T_star"], "ece_Tstar")])
def test_the_calibration_error_is_the_published_one(temperature, wanted):
    """With 15 bins, before and after scaling."""
    assert calibration_error(*said(temperature)) == pytest.approx(WANTED[wanted], abs=VECTOR["tolerance_abs"])


def test_the_temperature_is_the_published_one():
    """The optimum of the same vector, by the fit that calibration uses."""
    assert fit_temperature(LOGITS, LABEL) == pytest.approx(WANTED["T_star"], abs=VECTOR["tolerance_abs"])


def test_a_bin_holds_its_upper_edge():
    """0.5 of two bins belongs to the lower one, and so does 0."""
    assert calibration_error(np.array([0.0, 0.5]), np.array([False, True]), bins=2) == pytest.approx(0.25)
    assert calibration_error(np.array([0.5, 0.6]), np.array([False, True]), bins=2) == pytest.approx(0.45)


def test_the_area_is_scikit_learns():
    """Ties included: confidences of one digit."""
    draw = np.random.default_rng(4)
    confidence, correct = draw.random(200).round(1), draw.random(200) < 0.7
    assert auroc(confidence, correct) == pytest.approx(roc_auc_score(correct, confidence), abs=1e-12)


def test_the_area_of_a_perfect_and_of_a_constant_confidence():
    """1 where every right answer is above every wrong one, 0.5 where nothing is told apart."""
    correct = np.array([True, False, True])
    assert auroc(np.array([0.8, 0.3, 0.9]), correct) == 1
    assert auroc(np.full(3, 0.7), correct) == 0.5


def test_what_cannot_be_measured_is_no_number():
    """Without wrong answers, right ones or rows."""
    assert math.isnan(auroc(np.array([0.5, 0.9]), np.array([True, True])))
    assert math.isnan(auroc(np.array([0.5, 0.9]), np.array([False, False])))
    assert math.isnan(calibration_error(np.array([]), np.array([])))


def test_the_bins_make_the_calibration_error():
    """Their gaps, weighed by their rows; a bin without rows has no means."""
    confidence, correct = np.array([0.1, 0.4, 0.5, 1.0]), np.array([False, True, True, True])
    rows, said, right = reliability_bins(confidence, correct, bins=4)
    assert rows.tolist() == [1, 2, 0, 1]
    np.testing.assert_allclose(said, [0.1, 0.45, np.nan, 1.0])
    np.testing.assert_allclose(right, [0, 1, np.nan, 1])
    assert np.nansum(rows * abs(said - right)) / 4 == pytest.approx(calibration_error(confidence, correct, bins=4))
