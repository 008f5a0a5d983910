"""The demo's bundle: two small classifiers of scikit-learn's handwritten digits, in a cascade, calibrated and measured.

A tiny network answers most digits; one of eighty times its multiply-adds is asked about the rest.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anytime.model_store import Bundle, Manifest, Store
from anytime.policy import Trace
from anytime.policy.columns import top_probabilities
from anytime.training.calibration import calibrate, hold, with_calibration
from anytime.training.cascade import make_cascade
from anytime.training.classifier import read_classifier
from anytime.training.digit_models import HIDDEN, INPUT, check_extra, train_digits
from anytime.training.digit_pictures import PREPROCESS, Digits, read_digits
from anytime.training.record import record

NAME = "digits"
SEED = 0
HARD = "digit-hard"
SAMPLES = (*(f"digit-{digit}" for digit in range(10)), HARD)
"""The pictures to send; the last is one that exit 1 gets wrong."""
_PACKAGES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")


@dataclass(frozen=True)
class Traces:
    """The uncalibrated bundle's own, of the splits that it was not trained on."""

    calibration: Trace
    test: Trace


def make_digits(folder: Path, store: Store) -> Bundle:
    """Train, export, calibrate and publish; ``folder`` gets the two ONNX models and, as PNG files, the samples.

    Takes some seconds. The same package versions make the same data, splits and seeds, and models alike up to rounding.
    Raises ``ExtraMissing`` without scikit-learn and skl2onnx.
    """
    check_extra()
    digits = read_digits(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    cascade = make_cascade(
        NAME, [read_classifier(path) for path in _train(digits, folder)],
        labels=[str(digit) for digit in range(10)], preprocess=PREPROCESS,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="anytime-") as temp:
        raw = cascade.write(Path(temp, "raw"))
        traces = Traces(_record(raw, digits, "calibration"), _record(raw, digits, "test"))
        calibration = calibrate(raw.manifest, raw.flow, traces.calibration)
        manifest = with_calibration(raw.manifest, calibration)
        metrics = _metrics(manifest, raw, traces.test)
        provenance = _provenance(digits, metrics)
        bundle = cascade.write(Path(temp, "bundle"), calibration=calibration, provenance=provenance)
        for name, index in pick_samples(manifest, traces.test, digits.splits["test"]).items():
            (folder / f"{name}.png").write_bytes(digits.picture(index))
        return store.publish(bundle.folder)


def pick_samples(manifest: Manifest, trace: Trace, indices: np.ndarray) -> dict[str, int]:
    """Which rows of the data set to send, by ``SAMPLES``; ``indices`` are the trace's rows in it.

    Of each digit the one that exit 1 is surest of and right; and one that only full depth gets right, and surely.
    """
    logits = trace.outputs["logits"]
    first, *_, last = top_probabilities(manifest, trace).T
    right = logits.argmax(axis=2) == trace.label[:, np.newaxis]
    easy = [np.where((trace.label == digit) & right[:, 0], first, -1.0).argmax() for digit in range(10)]
    hard = np.where(~right[:, 0] & right[:, -1], last, -first).argmax()
    return {name: int(indices[row]) for name, row in zip(SAMPLES, [*easy, hard], strict=True)}


def _train(digits: Digits, folder: Path) -> list[Path]:
    train = digits.splits["train"]
    paths = []
    for name, hidden in HIDDEN.items():
        model = train_digits(digits.rows[train], digits.label[train], hidden, SEED)
        paths.append(folder / f"{name}.onnx")
        paths[-1].write_bytes(model.SerializeToString(deterministic=True))
    return paths


def _record(bundle: Bundle, digits: Digits, split: str) -> Trace:
    rows = digits.splits[split]
    return record(bundle, {INPUT: digits.rows[rows]}, digits.label[rows])


def _metrics(manifest: Manifest, bundle: Bundle, test: Trace) -> dict[str, float]:
    """On the test split: each exit's accuracy, and accuracy and cost under the default policy and each operating point."""
    assert manifest.calibration is not None, "just made"
    right = test.outputs["logits"].argmax(axis=2) == test.label[:, np.newaxis]
    metrics = {f"test.accuracy.exit-{exit}": float(share) for exit, share in enumerate(right.mean(axis=0), start=1)}
    policies = {point.name: point.policy for point in manifest.calibration.operating_points}
    for name, policy in {"default": manifest.calibration.default_policy or {}, **policies}.items():
        held = hold(policy, manifest, bundle.flow, test)
        assert held.accuracy is not None, "digits have labels"
        metrics |= {f"test.accuracy.{name}": held.accuracy, f"test.cost.{name}": held.cost}
    return metrics


def _provenance(digits: Digits, metrics: dict[str, float]) -> dict[str, Any]:
    sizes = ", ".join(f"{name} {len(rows)}" for name, rows in digits.splits.items())
    return {
        "seed": SEED,
        "data": {
            "name": "scikit-learn load_digits, enlarged to pictures and preprocessed as a request's",
            "sha256": digits.sha256,
            "split": f"stratified, rows: {sizes}",
        },
        "versions": {package: importlib.metadata.version(package) for package in _PACKAGES},
        "metrics": metrics,
    }
