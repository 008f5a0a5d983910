"""The road from a trained network to a bundle: on networks from outside the project."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from anytime.model_store import open_bundle
from anytime.policy import load_trace
from anytime.training import add_exits as module
from anytime.training.add_exits import ExitOptions, add_exits
from anytime.training.attach import choose_cuts, find_cuts
from anytime.training.attach.session import open_session, run_session
from anytime.training.errors import BadLabel, BadOption, ParityBroken, RunFailed
from anytime.training.examples import gather, read_examples
from anytime.training.loop import choose_device
from anytime.training.methods.schedules import Schedule
from anytime.training.methods.ztw import ZtwOptions
from anytime.training.models.heads import HeadOptions

CPU = choose_device("cpu", "float32")
QUICK = ExitOptions(heads=Schedule(2, 1e-3, batch=32), ensembles=Schedule(2, 5e-4, batch=32), head=HeadOptions("pool"))
ROWS = 90


def examples_of(network, folder: Path, *, labelled=True):
    inputs = network.inputs.random(network.inputs.typical(ROWS), seed=1)
    label = {"label": np.random.default_rng(0).integers(0, network.classes, ROWS)} if labelled else {}
    np.savez(folder / "data.npz", **inputs, **label)
    return read_examples(str(folder / "data.npz"), network.inputs, network.classes, labelled=labelled)


def make(network, folder, options=QUICK, *, labelled=True, run="run", **more):
    cuts = choose_cuts(network, find_cuts(network), count=4)
    examples = examples_of(network, folder, labelled=labelled)
    return add_exits("net", network, cuts, examples, options, folder / run, device=CPU, **more), examples


@pytest.mark.parametrize("name", ["cnn", "vit", "bert", "mlp", "external"])
def test_full_depth_is_the_network(networks, name, tmp_path):
    """Of every kind of network the last exit is its own output within 1e-5, and the traces say so."""
    network = networks[name]
    made, examples = make(network, tmp_path)
    bundle = open_bundle(tmp_path / "run" / "bundle")
    trace = load_trace(tmp_path / "run" / "traces" / "test.npz", bundle.manifest)
    rows, label = gather(examples.test, ROWS)
    (wanted,) = run_session(open_session(network.model, name), [network.scores], rows, name)
    np.testing.assert_allclose(trace.outputs["logits"][:, -1], wanted, atol=1e-5 * max(1, np.abs(wanted).max()))
    np.testing.assert_array_equal(trace.label, label)
    assert bundle.manifest.calibration is not None and bundle.manifest.calibration.operating_points
    assert bundle.manifest.base_macs == network.macs
    right = (trace.outputs["logits"][:, -1].argmax(axis=1) == label).mean()
    assert bundle.manifest.provenance.metrics[f"test.accuracy.exit-{bundle.manifest.exits}"] == pytest.approx(right)
    assert made.bundle.digest == bundle.digest


def test_without_labels_the_rows_are_what_the_network_says(networks, tmp_path):
    """The exits imitate it; traces, calibration and metrics tell agreement, which is 1 at full depth."""
    made, _ = make(networks["cnn"], tmp_path, dataclasses.replace(QUICK, distil=True), labelled=False)
    metrics = made.bundle.manifest.provenance.metrics
    assert (
        list(metrics) == [f"test.agreement.exit-{exit}" for exit in range(1, 5)]
        and metrics["test.agreement.exit-4"] == 1.0
    )
    with pytest.raises(BadLabel, match="no labels; give them, or let the exits imitate"):
        make(networks["cnn"], tmp_path, QUICK, labelled=False, run="other")


@pytest.mark.parametrize("options", [
    dataclasses.replace(QUICK, method="sdn", head=HeadOptions("linear")),
    dataclasses.replace(QUICK, ztw=ZtwOptions(ensemble_final=True), stored="float16"),
])  # fmt: skip
def test_other_exits(networks, options, tmp_path):
    """SDN with linear heads, whose features are stored as means; and an ensemble at the end, on half precision."""
    made, _ = make(networks["cnn"], tmp_path, options)
    assert made.bundle.manifest.method == options.method
    stored = [np.load(path, mmap_mode="r") for path in sorted((tmp_path / "run" / "features").rglob("cut-1.npy"))]
    assert all(
        one.dtype == options.stored and one.ndim == (2 if options.head.kind == "linear" else 4) for one in stored
    )


def test_a_run_goes_on_and_ends_the_same(networks, tmp_path):
    """Broken off while heads are trained, the second run's bundle is to the byte that of a run left alone."""

    def graphs(folder: Path) -> dict[str, str]:
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((folder / "bundle/stages").iterdir())
        }

    make(networks["mlp"], tmp_path, run="alone")

    def stop(position, share):
        if position.phase == "ensembles":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(networks["mlp"], tmp_path, run="broken", progress=stop)
    assert not (tmp_path / "broken" / "bundle").exists()
    make(networks["mlp"], tmp_path, run="broken")
    assert graphs(tmp_path / "alone") == graphs(tmp_path / "broken")


def test_a_folder_of_another_run_is_refused(networks, tmp_path):
    """The message says what differs; what is there stays."""
    make(networks["mlp"], tmp_path)
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(RunFailed, match="differs in seed"):
        make(networks["mlp"], tmp_path, dataclasses.replace(QUICK, seed=1))
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    assert json.loads(before)["seed"] == 0


def test_a_bundle_that_is_not_the_network_is_refused(networks, tmp_path, monkeypatch):
    """A last exit that is off names by how much, and no bundle is left."""
    monkeypatch.setattr(module, "FULL_DEPTH", -1.0)
    with pytest.raises(ParityBroken, match=r"the last exit is .* from mlp.onnx"):
        make(networks["mlp"], tmp_path)
    assert not (tmp_path / "run" / "bundle").exists()


@pytest.mark.parametrize(("fields", "says"), [
    ({"method": "zwt"}, "'zwt'.*ztw"), ({"temperature": 0.0}, "above 0"),
    ({"method": "sdn", "ztw": ZtwOptions(cascade=False)}, "sdn has no cascade"),
])  # fmt: skip
def test_options_that_contradict_are_refused(fields, says):
    """Each says what to do."""
    with pytest.raises(BadOption, match=says):
        dataclasses.replace(QUICK, **fields)
