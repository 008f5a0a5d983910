import numpy as np
import pytest

from anytime.training.calibration.temperature import fit_temperature
from tests.training.classifiers import softmax

NUMBERS = np.random.default_rng(8)


def drawn(rows, temperature):
    """Logits whose softmax at ``temperature`` is the truth, and labels drawn from it."""
    logits = NUMBERS.standard_normal((rows, 5)) * 3
    chances = softmax(logits / temperature).cumsum(axis=1)
    return logits, (NUMBERS.random((rows, 1)) > chances).sum(axis=1).clip(0, 4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_temperature_is_found_again(temperature):
    """Labels drawn from softmax(logits / T) give back T."""
    assert fit_temperature(*drawn(20_000, temperature)) == pytest.approx(temperature, rel=0.05)


def test_a_temperature_is_the_best_of_a_grid():
    """Golden section finds what trying out many finds."""
    logits, label = drawn(200, 1.7)

    def loss(temperature):
        return -np.log(softmax(logits / temperature)[np.arange(200), label]).mean()

    grid = np.geomspace(0.05, 20, 2000)
    assert loss(fit_temperature(logits, label)) <= min(map(loss, grid)) + 1e-9


def test_a_temperature_stays_within_bounds():
    """A head that is always right would like 0; one that knows nothing, infinity."""
    assert fit_temperature(np.eye(3) / 2, np.arange(3)) == pytest.approx(0.05)
    assert fit_temperature(np.eye(3) / 2, (np.arange(3) + 1) % 3) == pytest.approx(20)
