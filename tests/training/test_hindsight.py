import numpy as np
import pytest

from anytime.training.hindsight import (
    correct_before,
    destructive_overthinking,
    hindsight_improvability,
    oracle_accuracy,
    wasteful_overthinking,
)
from tests.training.vectors import load_vector

VECTOR = load_vector("g_hindsight_improvability")
CORRECT = np.array(VECTOR["inputs"]["correct_NxM"], dtype=bool)
WANTED = VECTOR["outputs"]
WITHIN = {"rtol": 0, "atol": VECTOR["tolerance_abs"]}


def test_hindsight_improvability_is_the_published_one():
    """Of each exit's errors the share that any earlier exit got right: the union, not the printed intersection."""
    found = hindsight_improvability(CORRECT)
    np.testing.assert_allclose(found, WANTED["HI_union"], **WITHIN)
    assert np.abs(found - WANTED["HI_intersection_as_printed_DO_NOT_USE"]).max() > 0.5


def test_overthinking_is_the_published_one():
    """Wasteful: right already earlier; destructive: wrong in the end, right earlier; and the oracle over exits."""
    assert wasteful_overthinking(CORRECT) == pytest.approx(WANTED["wasteful_overthinking"], abs=1e-9)
    assert destructive_overthinking(CORRECT) == pytest.approx(WANTED["destructive_overthinking"], abs=1e-9)
    np.testing.assert_allclose(oracle_accuracy(CORRECT), WANTED["cumulative_oracle_accuracy"], **WITHIN)


def test_improvability_is_what_counting_row_by_row_finds():
    """Against the slow and obvious way, on other draws."""
    correct = np.random.default_rng(2).random((50, 6)) < 0.6
    for m, found in enumerate(hindsight_improvability(correct)):
        wrong = [row for row in correct if not row[m]]
        assert found == pytest.approx(sum(any(row[:m]) for row in wrong) / len(wrong))


def test_an_exit_without_errors_has_nothing_to_improve():
    """No division by zero: 0 for a perfect exit, and for a last exit that gets nothing right."""
    perfect = np.array([[0, 1, 1], [1, 1, 1]])
    np.testing.assert_array_equal(hindsight_improvability(perfect), [0, 0, 0])
    assert destructive_overthinking(perfect) == 0
    assert wasteful_overthinking(perfect[:, ::-1] * [1, 1, 0]) == 0


def test_the_first_exit_has_no_past():
    """Nothing was right before it, whatever it says itself."""
    np.testing.assert_array_equal(correct_before(np.ones((2, 3), dtype=bool)), [[False, True, True]] * 2)
    assert hindsight_improvability(CORRECT)[0] == 0
