import numpy as np
import pytest

from anytime.model_store import Store, parse_manifest
from anytime.policy import PolicyUnsupported, Trace, check_default
from anytime.training.calibration import calibrate, cheapest_policy, hold, with_calibration
from anytime.training.calibration.calibrate import measure_exits
from anytime.training.errors import TracesUnfit
from anytime.training.record import record
from tests.bundles import quantised


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


def test_without_times_there_are_no_milliseconds(pair):
    """A graph that was not timed makes them unknown, not wrong."""
    bundle, trace = pair
    ms = trace.ms.copy()
    ms[1, 1] = np.nan
    assert measure_exits(bundle.manifest, bundle.flow, Trace(trace.outputs, ms, trace.label))["ms"] is None


def test_a_calibration_is_one_that_a_bundle_takes(pair):
    """Every operating point does on the trace what it says, and the default loses nothing there."""
    bundle, trace = pair
    made = calibrate(bundle.manifest, bundle.flow, trace)
    manifest = with_calibration(bundle.manifest, made)
    assert parse_manifest(manifest.to_json().encode()) == manifest
    assert check_default(manifest, bundle.flow) is not None
    points = {point["name"]: point for point in made["operating_points"]}
    losses = {f"accuracy-{loss}" for loss in ("0", "0.5", "1", "2", "5")}
    assert set(points) == {*losses, "cost-50", "cost-75", "cost-100"}
    for name, point in points.items():
        assert hold(point["policy"], manifest, bundle.flow, trace).as_point(name) == point
    for name in (*losses, "cost-75", "cost-100"):
        assert (points[name]["accuracy"], points[name]["cost"]) == (1.0, 0.75)
    assert (points["cost-50"]["accuracy"], points["cost-50"]["cost"]) == (0.75, 0.5)
    assert made["default_policy"] == points["accuracy-0"]["policy"]


def test_a_target_is_a_policy_of_the_calibrated_bundle(pair):
    """``target`` stands for the point's stored rules, in the code that the service resolves a request with."""
    bundle, trace = pair
    manifest = with_calibration(bundle.manifest, calibrate(bundle.manifest, bundle.flow, trace))
    asked = hold({"target": "accuracy-1"}, manifest, bundle.flow, trace)
    stored = next(point for point in manifest.calibration.operating_points if point.name == "accuracy-1")
    assert (asked.accuracy, asked.cost, asked.exit_shares) == (stored.accuracy, stored.cost, stored.exit_shares)
    with pytest.raises(PolicyUnsupported, match="it has: accuracy-0, accuracy-0.5"):
        hold({"target": "cost-25"}, manifest, bundle.flow, trace)


def test_any_loss_has_the_policy_that_would_be_stored_for_it(pair):
    """That of a stored target is the stored one; between targets it is searched for alike."""
    bundle, trace = pair
    manifest = with_calibration(bundle.manifest, calibrate(bundle.manifest, bundle.flow, trace))
    for point in manifest.calibration.operating_points:
        if point.name.startswith("accuracy-"):
            loss = float(point.name.removeprefix("accuracy-"))
            assert cheapest_policy(manifest, bundle.flow, trace, loss) == dict(point.policy)
    policies = [cheapest_policy(manifest, bundle.flow, trace, loss) for loss in (24.9, 25.0, 100.0)]
    held = [hold(policy, manifest, bundle.flow, trace) for policy in policies]
    assert [(one.accuracy, one.cost) for one in held] == [(1.0, 0.75), (0.75, 0.5), (0.75, 0.5)]


def test_calibration_needs_labels(pair):
    """Of every row, and at least one row."""
    bundle, trace = pair
    for wrong in (Trace(trace.outputs, trace.ms), Trace({"logits": np.empty((0, 2, 3))}, np.empty((0, 2)))):
        with pytest.raises(TracesUnfit, match="needs rows with labels"):
            calibrate(bundle.manifest, bundle.flow, wrong)
