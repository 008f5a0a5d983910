import json

import numpy as np
import pytest

from anytime.cli.main import FAULT, main
from anytime.model_store import Store, open_bundle
from anytime.policy import Trace, load_trace
from anytime.training.calibration import hold
from anytime.training.cascade import make_cascade
from anytime.training.classifier import read_classifier
from anytime.training.record import record
from tests.training.classifiers import linear, save


@pytest.fixture
def bundle(tmp_path):
    """Two linear classifiers of the same weights, of 12 and 24 multiply-adds."""
    paths = [save(tmp_path / f"{name}.onnx", linear()) for name in "ab"]
    models = [read_classifier(path, macs=macs) for path, macs in zip(paths, (12, 24), strict=True)]
    return make_cascade("pair", models).write(tmp_path / "bundle")


@pytest.fixture
def rows(bundle, tmp_path):
    """A file of 80 rows with labels that the network mostly gets right."""
    draw = np.random.default_rng(4)
    (entry,) = bundle.manifest.inputs
    inputs = {entry.name: draw.standard_normal((80, *entry.shape[1:])).astype(np.float32)}
    said = record(bundle, inputs).outputs["logits"][:, -1]
    label = np.where(draw.random(80) < 0.8, said.argmax(axis=1), said.argmin(axis=1))
    np.savez(tmp_path / "rows.npz", **inputs, label=label)
    record(bundle, inputs, label).save(tmp_path / "calibration.npz")
    return tmp_path / "rows.npz"


def test_the_next_version_has_the_calibration_and_nothing_else_is_other(bundle, rows, tmp_path, capsys):
    """Published into the store, from where it is calibrated once more by its name."""
    store = tmp_path / "store"
    words = ["--traces", str(tmp_path / "calibration.npz"), "--store", str(store), "--json"]
    assert main(["calibrate", str(bundle.folder), *words]) == 0
    said = json.loads(capsys.readouterr().out)
    written = Store(store).open("pair", 1)
    assert (said["version"], said["digest"], said["rows"]) == (1, written.digest, 80)
    assert written.manifest.model_copy(update={"calibration": None}) == bundle.manifest
    assert all(written.path(file).read_bytes() == bundle.path(file).read_bytes() for file in bundle.manifest.files)
    calibration = written.manifest.calibration
    assert len(calibration.gain.accuracy) == len(calibration.temperature) == 2
    trace = load_trace(tmp_path / "calibration.npz", written.manifest)
    asked = hold({"target": "accuracy-1"}, written.manifest, written.flow, trace)
    full = hold({"exact": True}, written.manifest, written.flow, trace)
    assert asked.accuracy >= full.accuracy - 0.01
    assert main(["calibrate", "pair", *words]) == 0
    assert Store(store).versions("pair") == (1, 2)


def test_the_points_are_shown(bundle, rows, tmp_path, capsys):
    """A line per exit, and per target with what it holds; a folder instead of the store."""
    assert main(["calibrate", str(bundle.folder), "--traces", str(tmp_path / "calibration.npz"), "--out",
                 str(tmp_path / "out")]) == 0  # fmt: skip
    said = capsys.readouterr().out
    points = open_bundle(tmp_path / "out").manifest.calibration.operating_points
    assert "calibrated on 80 rows" in said
    assert [line.split()[0] for line in said.splitlines() if line.startswith(("accuracy-", "cost-"))] == [
        point.name for point in points
    ]
    assert len(points) >= 6


def test_rows_are_recorded_where_there_are_no_traces(bundle, rows, tmp_path, capsys):
    """Of the calibration split alone: what is told on the others stays unseen."""
    arrays = dict(np.load(rows))
    arrays["split"] = np.array(["calibration"] * 50 + ["test"] * 30)
    np.savez(tmp_path / "split.npz", **arrays)
    assert main(["calibrate", str(bundle.folder), "--data", str(tmp_path / "split.npz"), "--out", str(tmp_path / "out"),
                 "--json"]) == 0  # fmt: skip
    said = json.loads(capsys.readouterr().out)
    trace = load_trace(tmp_path / "calibration.npz", bundle.manifest)
    right = trace.outputs["logits"][:50].argmax(axis=2) == trace.label[:50, np.newaxis]
    assert said["rows"] == 50
    assert said["calibration"]["accuracy"] == pytest.approx(right.mean(axis=0).tolist())


def test_nothing_is_written_where_something_is_wrong(bundle, rows, tmp_path, capsys):
    """Traces without labels, of another bundle, or a folder that exists."""
    trace = load_trace(tmp_path / "calibration.npz", bundle.manifest)
    Trace(trace.outputs, trace.ms).save(tmp_path / "unlabelled.npz")
    out = ["--out", str(tmp_path / "out")]
    for words, message in (
        (["--traces", str(tmp_path / "unlabelled.npz"), *out], "needs rows with labels"),
        (["--traces", str(rows), *out], "wanted 1"),
        (["--traces", str(tmp_path / "calibration.npz"), "--data-dir", "x", *out], "--data-dir goes with --data"),
        (["--traces", str(tmp_path / "calibration.npz"), "--labels", "x", *out], "--labels goes with --data"),
        (["--traces", str(tmp_path / "calibration.npz"), "--out", str(bundle.folder)], "exists already"),
    ):
        assert main(["calibrate", str(bundle.folder), *words]) == FAULT
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
