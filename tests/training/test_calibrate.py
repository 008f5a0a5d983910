import numpy as np
import pytest

from anytime.model_store import Store, parse_manifest
from anytime.policy import Trace, check_default
from anytime.training.calibrate import (
    Held,
    calibrate,
    cheapest,
    confidence,
    confidence_policies,
    fit_temperature,
    hold,
    measure_exits,
    most_accurate,
    with_calibration,
)
from anytime.training.cascade import make_cascade
from anytime.training.classifier import read_classifier
from anytime.training.record import record
from tests.bundles import quantised
from tests.training.classifiers import linear, save, softmax

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


def test_confidence_is_the_top_probability():
    """At that temperature."""
    logits = NUMBERS.standard_normal((7, 4))
    np.testing.assert_allclose(confidence(logits, 2.0), softmax(logits / 2.0).max(axis=1))


@pytest.fixture
def pair(tmp_path):
    """Two exits, 12 and 24 multiply-adds: the first right on 3 of 4 rows, and sure of two; the second on all, and sure."""
    paths = [save(tmp_path / f"{name}.onnx", linear()) for name in "ab"]
    models = [read_classifier(path, macs=macs) for path, macs in zip(paths, (12, 24), strict=True)]
    bundle = make_cascade("pair", models).write(tmp_path / "bundle")
    first = [[9, 0, 0], [0, 9, 0], [1, 0, 0], [0, 0, 2]]
    second = [[9, 0, 0], [0, 9, 0], [0, 9, 0], [0, 0, 9]]
    logits = np.array([first, second], np.float32).swapaxes(0, 1)
    return bundle, Trace({"logits": logits}, np.array([[1.0, 3.0]] * 4), np.array([0, 1, 1, 2]))


def test_exits_are_measured(pair):
    """Accuracy of each, and cost and milliseconds of having come so far."""
    bundle, trace = pair
    measured = measure_exits(bundle.manifest, bundle.flow, trace)
    assert measured["accuracy"] == [0.75, 1.0]
    assert measured["cost"] == [0.5, 1.5]
    assert measured["ms"] == [1.0, 4.0]
    assert [len(row) for row in measured["temperature"]] == [1, 1]


def test_levels_have_temperatures_of_their_own(stress_store):
    """The coarse label is the fine one's parent."""
    bundle = Store(stress_store).open(quantised.NAME)
    trace = record(bundle, quantised.inputs(6), np.zeros(6, np.int64))
    measured = measure_exits(bundle.manifest, bundle.flow, trace)
    assert [len(row) for row in measured["temperature"]] == [len(bundle.manifest.logits_names)] * bundle.manifest.exits


def test_a_policy_is_held_to_a_trace(pair):
    """By the same walk as the service's: two rows leave at exit 1, two go on."""
    bundle, trace = pair
    held = hold({"confidence": 0.9}, bundle.manifest, bundle.flow, trace)
    assert held == Held({"confidence": 0.9}, 1.0, 1.0, 2.5, (0.5, 0.5))
    assert held.as_point("x") == {
        "name": "x", "policy": {"confidence": 0.9}, "accuracy": 1.0, "cost": 1.0, "ms": 2.5, "exit_shares": [0.5, 0.5],
    }  # fmt: skip


def test_thresholds_are_drawn_from_what_was_said(pair):
    """From never to always going on, rising, each once."""
    bundle, trace = pair
    thresholds = [policy["confidence"] for policy in confidence_policies(bundle.manifest, trace, steps=3)]
    said = confidence(trace.outputs["logits"][:, 0], 1.0)
    assert thresholds == sorted({0.0, *np.quantile(said, [0, 0.5, 1]).round(4).tolist(), 1.0})


def test_the_best_of_several_is_chosen():
    """By cost or by accuracy; equals are told apart by the other; none is none."""
    a, b, c = (Held({}, accuracy, cost, 0.0, ()) for accuracy, cost in ((0.7, 0.1), (0.9, 0.5), (0.9, 1.0)))
    assert cheapest([c, b, a], 0.9) is b
    assert cheapest([c, b, a], 0.0) is a
    assert cheapest([a], 0.9) is None
    assert most_accurate([c, b, a], 1.0) is b
    assert most_accurate([a, b, c], 0.2) is a
    assert most_accurate([c], 0.5) is None


def test_a_calibration_is_one_that_a_bundle_takes(pair):
    """Every operating point does on the trace what it says, and the default loses nothing there."""
    bundle, trace = pair
    made = calibrate(bundle.manifest, bundle.flow, trace)
    manifest = with_calibration(bundle.manifest, made)
    assert parse_manifest(manifest.to_json().encode()) == manifest
    assert check_default(manifest, bundle.flow) is not None
    points = {point["name"]: point for point in made["operating_points"]}
    assert set(points) == {"accuracy-1", "cost-50"}
    for name, point in points.items():
        assert hold(point["policy"], manifest, bundle.flow, trace).as_point(name) == point
    assert points["accuracy-1"]["accuracy"] == 1.0
    assert points["cost-50"]["cost"] == 0.5
    assert hold(made["default_policy"], manifest, bundle.flow, trace).accuracy == made["accuracy"][-1]
