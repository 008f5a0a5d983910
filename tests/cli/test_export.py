import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from anytime.cli.main import main
from anytime.model_store import Store, open_bundle, write_bundle
from tests.bundles import sequence, spelled


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANYTIME_STORE", raising=False)
    return tmp_path


def test_into_a_store(folder, stress_store, capsys):
    """The table of differences is shown, and the bundle is a version of the store, its whole network beside it."""
    assert main(["export", str(Store(stress_store).folder("slices", 1))]) == 0
    said = capsys.readouterr().out
    assert "Differences on random rows" in said and "slices version 1: 3 exits" in said
    assert [line.split()[-4] for line in said.splitlines() if "whole network" in line] == ["1", "3", "8"]
    assert main(["export", "models/slices/1"]) == 0
    bundle = Store(Path("models")).open("slices")
    assert bundle.manifest.version == 2 and "model.onnx" in bundle.manifest.files


def test_on_rows_of_the_users_own(folder, stress_store, capsys):
    """Arrays by input name, of a length of their own; JSON holds every difference."""
    np.savez("rows.npz", **sequence.inputs(60, length=5))
    source = str(Store(stress_store).folder("sequence", 1))
    assert main(["export", source, "--data", "rows.npz", "--out", "made", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["rows"] == "rows that were given" and open_bundle(Path("made")).digest == said["digest"]
    assert {one["rows"] for one in said["differences"]} == {1, 3, 8}
    assert max(one["apart"] for one in said["differences"]) < 1e-6


def test_a_bundle_that_says_something_else_in_a_batch_is_refused(folder, capsys):
    """The differences are shown, then one line says which is the largest, and nothing is written."""
    bundle = spelled.build(folder / "bundle", 1)
    model = onnx.load(bundle.path("head1.onnx"))
    model.graph.node[-1].output[0] = "said"
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "rows"))
    model.graph.node.append(onnx.helper.make_node("ReduceSum", ["said", "rows"], ["y"], keepdims=1))
    draft = json.loads((bundle.folder / "manifest.json").read_text())
    files = {"body1.onnx": bundle.path("body1.onnx").read_bytes(), "head1.onnx": model}
    write_bundle(folder / "mixed", {k: v for k, v in draft.items() if k not in ("format", "files")}, files)
    assert main(["export", "mixed", "--out", "made"]) == 2
    said = capsys.readouterr()
    assert "Differences on random rows" in said.out and said.err.count("\n") == 1
    assert "stages together and row by row are" in said.err and not Path("made").exists()


def test_what_is_neither_run_nor_bundle(folder, capsys):
    """One line says what was wanted."""
    assert main(["export", "."]) == 2
    assert "give the folder of a bundle or of a run" in capsys.readouterr().err
