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
from anytime.training.record import record

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


@pytest.mark.parametrize("name", ["cnn", "vit", "bert", "mlp", "external", "signal", "channels_last"])
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


def stored(run: Path) -> list[tuple[int, ...]]:
    """The shapes of a row's features at each cut."""
    folders = list((run / "features").iterdir())
    return [np.load(path, mmap_mode="r").shape[1:] for path in sorted(folders[0].glob("cut-*.npy"))]


def test_heads_read_channels_wherever_they_are(networks, tmp_path):
    """A signal is pooled over its length, at lengths that were not trained on too; a map is turned, or pooled."""
    made, _ = make(networks["signal"], tmp_path, run="signal")
    assert stored(tmp_path / "signal") == [(16,), (16,)]
    record(made.bundle, networks["signal"].inputs.random({"batch": 2, "length": 50}))
    make(networks["channels_last"], tmp_path, run="whole")
    assert stored(tmp_path / "whole") == [(12, 8, 8), (12, 8, 8), (20, 8, 8)]
    make(networks["channels_last"], tmp_path, dataclasses.replace(QUICK, head=HeadOptions("linear")), run="pooled")
    assert stored(tmp_path / "pooled") == [(12,), (12,), (20,)]


def test_padding_changes_no_exit(networks, tmp_path):
    """Of BERT: a text alone and the same text padded, with whatever stands there, get the same answers at every exit."""
    made, _ = make(networks["bert"], tmp_path)
    assert all("attention_mask" in stage.head.reads.values() for stage in made.bundle.manifest.stages[:-1])
    draw = np.random.default_rng(0)
    text, padding = draw.integers(0, 50, (4, 6)), draw.integers(0, 50, (4, 7))
    mask = np.concatenate([np.ones_like(text), np.zeros_like(padding)], axis=1)
    alone = record(made.bundle, {"input_ids": text, "attention_mask": mask[:, :6]}).outputs["logits"]
    padded = record(made.bundle, {"input_ids": np.concatenate([text, padding], axis=1), "attention_mask": mask})
    np.testing.assert_allclose(padded.outputs["logits"], alone, atol=1e-5)
    means = [np.load(path) for path in (tmp_path / "run" / "features").rglob("cut-1.npy")]
    assert all(one.shape[1:] == (32,) for one in means)


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
