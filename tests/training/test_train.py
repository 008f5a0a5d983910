"""A run from a recipe: on the digits that ship with scikit-learn, small and quick."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from anytime.model_store import open_bundle
from anytime.policy import load_trace
from anytime.training import train as module
from anytime.training.data.read import read_data
from anytime.training.errors import BadOption, ParityBroken, RunFailed
from anytime.training.finished import find_again, read_finished
from anytime.training.loop import choose_device
from anytime.training.loop.checkpoint import load
from anytime.training.models.registry import make_backbone
from anytime.training.recipe import parse_recipe
from anytime.training.serve_chosen import serve_chosen
from anytime.training.train import NETWORK, read_fresh, train_recipe

CPU = choose_device("cpu", "float32")
TABLE = {
    "name": "small",
    "data": {"name": "digits", "augmentation": "crop"},
    "backbone": {
        "network": "resnet-8", "options": {"width": 8},
        "schedule": {"epochs": 5, "batch": 32, "learning_rate": 1e-2, "optimizer": "adam", "momentum": 0.0,
                     "milestones": []},
    },
    "exits": {"at": [1, 2], "views": 2, "heads": {"epochs": 3, "milestones": []}, "ensembles": {"epochs": 3}},
}  # fmt: skip


def recipe(**more):
    return parse_recipe({**TABLE, **more}, "small.toml")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    train_recipe(recipe(), folder, device=CPU)
    return folder


def test_a_run_becomes_a_bundle(run):
    """Backbone, heads and ensembles are trained, in this order; the bundle's last exit is the trained backbone."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys(line["phase"] for line in lines)) == ["backbone", "heads", "ensembles"]
    bundle = open_bundle(run / "bundle")
    data = read_data("digits", seed=0)
    backbone = make_backbone("resnet-8", labels=10, input_shape=data.input_shape, width=8)
    load(run / "checkpoints" / "backbone.npz", backbone, None)
    with torch.no_grad():
        wanted = backbone.eval()(torch.from_numpy(data.test.inputs(np.arange(len(data.test))))).numpy()
    trace = load_trace(run / "traces" / "test.npz", bundle.manifest)
    np.testing.assert_allclose(trace.outputs["logits"][:, -1], wanted, atol=1e-4 * np.abs(wanted).max())
    right = float((wanted.argmax(axis=1) == data.test.labels).mean())
    assert right > 0.4 and bundle.manifest.provenance.metrics["test.accuracy.exit-3"] == pytest.approx(right, abs=0.01)
    assert json.loads(bundle.manifest.provenance.recipe)["backbone"]["network"] == "resnet-8"
    assert bundle.manifest.provenance.data.sha256 == data.sha256
    assert bundle.manifest.inputs[0].preprocess == data.preprocess


def test_broken_off_it_goes_on(run, tmp_path):
    """Broken off in each phase in turn, the run ends with the very bundle of one that was left alone."""
    folder = tmp_path / "again"
    for phase in ("backbone", "heads", "ensembles"):

        def stop(position, share, phase=phase):
            if position.phase == phase and position.epoch == 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train_recipe(recipe(), folder, device=CPU, progress=stop)
    train_recipe(recipe(), folder, device=CPU)
    for path in sorted((run / "bundle" / "stages").iterdir()):
        assert path.read_bytes() == (folder / "bundle" / "stages" / path.name).read_bytes(), path.name


def test_features_need_not_be_stored(run, tmp_path):
    """Fresh features, broken off and gone on, give the exits of a run left alone; of training rows nothing is stored."""
    base = shutil.copytree(run, tmp_path / "base", ignore=shutil.ignore_patterns("features"))
    fresh = {"at": [1, 2], "features": "fresh", "heads": {"epochs": 3}, "ensembles": {"epochs": 3}}

    def stop(position, share):
        if position.phase == "heads" and position.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_recipe(recipe(exits=fresh), tmp_path / "a", device=CPU, backbone_of=base, progress=stop)
    assert len(list((tmp_path / "a" / "features").iterdir())) == 1, (
        "held rows alone; stored ones of training would be two"
    )
    made, other = (
        train_recipe(recipe(exits=fresh), tmp_path / name, device=CPU, backbone_of=base) for name in ("a", "b")
    )
    for path in sorted((tmp_path / "a" / "bundle" / "stages").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / "bundle" / "stages" / path.name).read_bytes(), path.name
    assert made.bundle.manifest.provenance.metrics == other.bundle.manifest.provenance.metrics
    lines = [json.loads(line) for line in (tmp_path / "b" / "log.jsonl").read_text().splitlines()]
    loss = [line["loss"] for line in lines if line["phase"] == "heads"]
    assert loss[2] < loss[1] < loss[0]


def test_linear_heads_on_fresh_features(run, tmp_path):
    """They read means over maps, as those that were stored are."""
    fresh = {"at": [1, 2], "features": "fresh", "method": "sdn", "head": {"kind": "linear"}, "heads": {"epochs": 1}}
    made = train_recipe(recipe(exits=fresh), tmp_path / "run", device=CPU, backbone_of=run)
    assert made.bundle.manifest.exits == 3
    assert all(stage.head.params < 250 for stage in made.bundle.manifest.stages[:-1])


def test_fewer_exits_are_planned_on_fresh_features_too(run, tmp_path):
    """At the chosen exits the heads see what the run's saw there, epoch by epoch; no training row is stored."""
    fresh = {"at": [1, 2], "features": "fresh", "heads": {"epochs": 3}, "ensembles": {"epochs": 3}}
    folder = tmp_path / "run"
    train_recipe(recipe(exits=fresh), folder, device=CPU, backbone_of=run)
    chosen, whole = (read_fresh(folder, exits, device=CPU) for exits in ((2,), (1, 2)))
    base, target, feature = chosen[2].tensors(np.arange(3))
    wanted = whole[2].tensors(np.arange(3))
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip((base, target, feature), (*wanted[:2], wanted[3]), strict=True)
    )
    finished = read_finished(folder)
    made = serve_chosen(
        finished, (2, 3), *find_again(finished), tmp_path / "planned", name="net", device=CPU, fresh=chosen
    )
    assert made.bundle.manifest.exits == 2
    stored = [json.loads(path.read_text())["rows"] for path in finished.features.glob("*/index.json")]
    assert stored and len(chosen[0]) not in stored
    for none in (run, tmp_path):
        assert read_fresh(none, (1,), device=CPU) is None
    (folder / "checkpoints" / "backbone.npz").unlink()
    with pytest.raises(RunFailed, match="is not there; start the run again"):
        read_fresh(folder, (1,), device=CPU)


def test_methods_share_a_backbone(run, tmp_path):
    """SDN on the trained backbone of another run trains heads only; other places or data are refused."""
    sdn = recipe(name="sdn", exits={"at": [1, 2], "views": 2, "method": "sdn", "heads": {"epochs": 3}})
    made = train_recipe(sdn, tmp_path / "sdn", device=CPU, backbone_of=run)
    phases = {json.loads(line)["phase"] for line in (tmp_path / "sdn" / "log.jsonl").read_text().splitlines()}
    assert phases == {"heads"} and made.bundle.manifest.method == "sdn"
    assert (tmp_path / "sdn" / NETWORK).read_bytes() == (run / NETWORK).read_bytes()
    with pytest.raises(RunFailed, match=r"differs in exits\.at"):
        train_recipe(recipe(exits={"at": [1]}), tmp_path / "other", device=CPU, backbone_of=run)
    with pytest.raises(RunFailed, match="no run with a trained backbone"):
        train_recipe(recipe(), tmp_path / "third", device=CPU, backbone_of=tmp_path)


def test_an_export_that_is_not_the_backbone_is_refused(run, tmp_path, monkeypatch):
    """What differs, at how many rows and by how much; no bundle is written."""
    monkeypatch.setattr(module, "TOLERANCE", -1.0)
    with pytest.raises(
        ParityBroken, match=r"the feature after block 1 of the exported network is .* from torch at 1 rows"
    ):
        train_recipe(recipe(), tmp_path / "off", device=CPU, backbone_of=run)
    assert not (tmp_path / "off" / "bundle").exists()


def test_another_recipe_needs_another_folder(run):
    """What differs is named."""
    with pytest.raises(RunFailed, match="differs in data_sha256, seed"):
        train_recipe(recipe(seed=1), run, device=CPU)


def test_places_that_are_not_there(tmp_path):
    """A block that the network has not."""
    with pytest.raises(BadOption, match="wanted rising numbers of blocks from 1 to 3"):
        train_recipe(recipe(exits={"at": [1, 9]}), tmp_path / "a", device=CPU)
