import json
import shutil

import numpy as np
import pytest

from anytime.model_store import Store, copy_bundle, open_bundle, write_bundle
from anytime.training.card import write_card
from anytime.training.curve import draw_curve
from anytime.training.errors import BadOption, ParityBroken, RunFailed
from anytime.training.export_bundle import compare, export_bundle, find_source, recalibrate
from anytime.training.parity import Difference
from tests.bundles import BUNDLES, spelled
from tests.training.exported_runs import make_run


@pytest.mark.parametrize("module", BUNDLES, ids=lambda module: module.NAME)
def test_a_bundle_alone(stress_store, module, tmp_path):
    """It keeps its stages and all its manifest says, gains a whole network and a card, and exports to the same again."""
    folder = Store(stress_store).folder(module.NAME, 1)
    compared = compare(find_source(folder))
    assert compared.rows == "random rows" and all(one.is_small for one in compared.differences)
    made, before = export_bundle(compared, tmp_path / "made"), open_bundle(folder).manifest
    kept = {"files"}
    assert made.manifest.model_dump(exclude=kept) == before.model_dump(exclude=kept)
    assert made.manifest.files.items() >= {k: v for k, v in before.files.items() if k != "card.md"}.items()
    assert {"model.onnx", "card.md"} <= made.manifest.files.keys()
    assert export_bundle(compare(find_source(made.folder)), tmp_path / "again").digest == made.digest


def test_a_run(tmp_path):
    """Torch, stages and whole agree on the run's own rows, which are the first test rows; a curve lies beside."""
    run = make_run(tmp_path)
    source = find_source(run)
    compared = compare(source)
    assert compared.rows == "test rows of the run"
    assert {one.between.partition(" ")[0] for one in compared.differences} == {"torch", "stages", "whole"}
    made = export_bundle(compared, tmp_path / "made")
    assert (
        "![Accuracy over cost](curve.svg)" in (made.folder / "card.md").read_text() and made.path("curve.svg").is_file()
    )
    assert "graph.onnx" in (made.folder / "card.md").read_text()
    with np.load(run / "rows.npz") as rows, np.load(tmp_path / "data.npz") as data:
        assert rows["x"].shape == (8, 4) and all((data["x"] == row).all(axis=1).any() for row in rows["x"])
    (run / "rows.npz").write_bytes(b"junk")
    with pytest.raises(RunFailed, match=r"rows.npz cannot be read"):
        compare(source)
    shutil.rmtree(run / "bundle")
    with pytest.raises(RunFailed, match="has made no bundle yet"):
        find_source(run)


def test_another_calibration(stress_store, tmp_path):
    """What a bundle says of its policies is of the new one: figures of the former go, an export's card and curve are new."""
    bundle = open_bundle(Store(stress_store).folder("slices", 1))
    accuracy = [0.5 + exit / 100 for exit in range(bundle.manifest.exits)]
    metrics = {f"test.accuracy.exit-{exit}": one for exit, one in enumerate(accuracy, start=1)}
    provenance = {**bundle.manifest.provenance.model_dump(), "metrics": {**metrics, "test.cost.default": 0.4}}
    told = copy_bundle(bundle, tmp_path / "told", provenance=provenance)
    exported = export_bundle(compare(find_source(told.folder)), tmp_path / "exported")
    shares = [0.0] * (bundle.manifest.exits - 1) + [1.0]
    point = {"name": "accuracy-7", "policy": {"confidence": 0.7}, "accuracy": 0.42, "cost": 0.9, "ms": None,
             "exit_shares": shares}  # fmt: skip
    calibration = {"accuracy": accuracy, "operating_points": [point], "default_policy": {"confidence": 0.7}}
    made = recalibrate(exported, calibration, tmp_path / "made")
    assert made.manifest.provenance.metrics == metrics and made.manifest.calibration.accuracy == tuple(accuracy)
    card, curve = ((one / name).read_bytes() for one, name in ((made.folder, "card.md"), (made.folder, "curve.svg")))
    assert b"`accuracy-7`" in card and b"accuracy-7" not in exported.path("card.md").read_bytes()
    assert (card, curve) == (write_card(made.manifest).encode(), draw_curve(made.manifest))
    assert export_bundle(compare(find_source(made.folder)), tmp_path / "again").digest == made.digest
    bare = recalibrate(told, calibration, tmp_path / "bare")
    assert bare.path("card.md").read_bytes() == told.path("card.md").read_bytes()
    assert bare.manifest.provenance.metrics == metrics


def test_what_differs_is_not_written(tmp_path):
    """Nothing appears, not even a folder on the way."""
    compared = compare(find_source(spelled.build(tmp_path / "bundle").folder))
    broken = type(compared)(compared.bundle, compared.whole, "rows", (Difference("a and b", 1, 2, "logits", 2e-4),))
    with pytest.raises(ParityBroken, match="a and b are 2.0e-04 apart at exit 2, 1 rows together"):
        export_bundle(broken, tmp_path / "made")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["bundle"]


def test_large_weights(stress_store, tmp_path):
    """They lie in a file of their own, which the bundle lists and verifies."""
    compared = compare(find_source(Store(stress_store).folder("slices", 1)))
    made = export_bundle(compared, tmp_path / "made", inline_bytes=100)
    assert "model.weights" in made.manifest.files and "model.weights" not in made.weight_files


def test_what_cannot_be_exported(tmp_path):
    """A folder that is neither; and a bundle whose own stage lies where the whole network would."""
    with pytest.raises(BadOption, match=r"holds neither manifest.json nor run.json"):
        find_source(tmp_path)
    bundle = spelled.build(tmp_path / "bundle", 1)
    said = json.loads((bundle.folder / "manifest.json").read_text().replace("head1.onnx", "model.onnx"))
    draft = {name: value for name, value in said.items() if name not in ("format", "files")}
    files = {"body1.onnx": bundle.path("body1.onnx").read_bytes(), "model.onnx": bundle.path("head1.onnx").read_bytes()}
    other = write_bundle(tmp_path / "other", draft, files)
    with pytest.raises(BadOption, match="uses 'model.onnx', where an export writes"):
        export_bundle(compare(find_source(other.folder)), tmp_path / "made")
