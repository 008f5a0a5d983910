import hashlib

import numpy as np
import onnx
import pytest

from anytime.model_store import Store
from anytime.policy import check_default
from anytime.training.calibration import hold
from anytime.training.digit_pictures import read_digits
from anytime.training.digits import HARD, INPUT, NAME, SAMPLES, SEED, pick_samples
from anytime.training.record import record


@pytest.fixture(scope="module")
def digits():
    return read_digits(SEED)


@pytest.fixture(scope="module")
def bundle(demo_folder):
    return Store(demo_folder / "models").open(NAME)


@pytest.fixture(scope="module")
def recorded(bundle, digits):
    rows = digits.splits["test"]
    return record(bundle, {INPUT: digits.rows[rows]}, digits.label[rows])


def test_the_cascade_is_worth_its_second_exit(bundle):
    """A cheap exit that is mostly right, and a dear one that is right more often, on rows that neither saw."""
    metrics = bundle.manifest.provenance.metrics
    assert 0.88 < metrics["test.accuracy.exit-1"] < metrics["test.accuracy.exit-2"] > 0.94
    assert metrics["test.accuracy.default"] > metrics["test.accuracy.exit-2"] - 0.01
    assert metrics["test.cost.default"] < 0.7
    first, second = (stage.head.macs for stage in bundle.manifest.stages)
    assert (first, second) == (64 * 8 + 8 * 10, 64 * 256 + 256 * 128 + 128 * 10)


def test_what_was_measured_is_so(bundle, digits, recorded):
    """The figures in the manifest are those of the splits it names, recorded anew from the published bundle."""
    manifest, metrics = bundle.manifest, bundle.manifest.provenance.metrics
    right = recorded.outputs["logits"].argmax(axis=2) == recorded.label[:, np.newaxis]
    assert [metrics[f"test.accuracy.exit-{exit}"] for exit in (1, 2)] == pytest.approx(right.mean(axis=0).tolist())
    rows = digits.splits["calibration"]
    trace = record(bundle, {INPUT: digits.rows[rows]}, digits.label[rows])
    for point in manifest.calibration.operating_points:
        held = hold(point.policy, manifest, bundle.flow, trace)
        assert (point.accuracy, point.cost) == pytest.approx((held.accuracy, held.cost))
        held = hold(point.policy, manifest, bundle.flow, recorded)
        assert metrics[f"test.accuracy.{point.name}"] == pytest.approx(held.accuracy)
    names = [*(f"accuracy-{loss}" for loss in ("0", "0.5", "1", "2", "5")), *(f"cost-{n}" for n in (25, 50, 75, 100))]
    assert [point.name for point in manifest.calibration.operating_points] == names
    assert check_default(manifest, bundle.flow) is not None


def test_the_provenance_names_data_split_seed_and_versions(bundle, digits):
    """Enough to make it again."""
    provenance = bundle.manifest.provenance
    assert provenance.data.sha256 == digits.sha256
    assert "train 1078, calibration 360, test 359" in provenance.data.split
    assert provenance.seed == SEED
    assert provenance.versions["onnx"] == onnx.__version__
    card = bundle.path("card.md").read_text()
    assert hashlib.sha256((bundle.folder.parents[2] / "small.onnx").read_bytes()).hexdigest() in card


def test_samples_are_test_pictures(bundle, digits, recorded, demo_folder):
    """One of each digit that exit 1 gets right, and one that only full depth does; the files are those pictures."""
    picked = pick_samples(bundle.manifest, recorded, digits.splits["test"])
    assert tuple(picked) == SAMPLES
    assert set(picked.values()) <= set(digits.splits["test"].tolist())
    assert [int(digits.label[picked[f"digit-{digit}"]]) for digit in range(10)] == list(range(10))
    for name, index in picked.items():
        assert (demo_folder / f"{name}.png").read_bytes() == digits.picture(index)
    row = int(np.flatnonzero(digits.splits["test"] == picked[HARD])[0])
    first, last = recorded.outputs["logits"][row].argmax(axis=1)
    assert first != last == recorded.label[row]
