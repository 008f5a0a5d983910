import json

import numpy as np
import pytest

from anytime.cli.main import main
from anytime.model_store import Store
from anytime.training.cascade import make_cascade
from anytime.training.classifier import read_classifier
from tests.training.classifiers import linear, save

RANDOM = np.random.default_rng(5)
WEIGHT = RANDOM.standard_normal((4, 3)).astype(np.float32)
ROWS = RANDOM.standard_normal((60, 4)).astype(np.float32)
LABEL = (ROWS @ WEIGHT).argmax(axis=1)
"""What the second model says: it is always right."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a store of one bundle of two linear models, a copy of it, and rows it knows how to read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANYTIME_STORE", raising=False)
    weak = WEIGHT + RANDOM.standard_normal((4, 3)).astype(np.float32) * 2
    paths = [save(tmp_path / f"{name}.onnx", linear(weight=w)) for name, w in (("weak", weak), ("strong", WEIGHT))]
    models = [read_classifier(path, macs=macs) for path, macs in zip(paths, (3, 12), strict=True)]
    bundle = make_cascade("pair", models).write(tmp_path / "bundle")
    Store(tmp_path / "models").publish(bundle.folder)
    np.savez(tmp_path / "rows.npz", x=ROWS, label=LABEL, split=["calibration"] * 30 + ["test"] * 30)
    return tmp_path


def refused(capsys, *arguments):
    """The message of a command that could not do what it was asked; nothing was written."""
    assert main(["evaluate", *arguments, "--out", "out"]) == 2
    return capsys.readouterr().err


def test_a_bundle_is_recorded_and_reported(folder, capsys):
    """From a folder or by its name in the store; the report is a file and, if asked, what is printed."""
    assert main(["evaluate", "pair", "--data", "rows.npz", "--out", "out", "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.out == (folder / "out" / "report.json").read_text()
    (report,) = json.loads(printed.out)["reports"]
    assert (report["calibration_rows"], report["test_rows"], report["base"]["macs"]) == (30, 30, 12)
    assert report["exits"][1]["accuracy"] == 1.0 > report["exits"][0]["accuracy"]
    assert report["families"][0]["by_macs"][-1]["point"]["accuracy"] > report["exits"][0]["accuracy"]
    assert (folder / "out" / "accuracy-macs.png").exists()


def test_what_was_recorded_is_evaluated_again(folder, capsys):
    """The same report, without the data and what is said of them; also for several bundles, which are told apart."""
    assert main(["evaluate", "bundle", "pair/1", "--data", "rows.npz", "--rows", "9", "--out", "first"]) == 0
    assert "pair-1_2, 9 test rows" in capsys.readouterr().out
    assert main(["evaluate", "bundle", "pair", "--traces", "first/traces", "--out", "second"]) == 0
    reports = [json.loads((folder / name / "report.json").read_text())["reports"] for name in ("first", "second")]
    notes = [[one.pop("notes") for one in each] for each in reports]
    assert reports[0] == reports[1]
    doubt = "the bundle does not say on which rows it was trained; some of these may be among them"
    assert notes == [[[doubt], [doubt]], [[], []]]
    (folder / "traces").symlink_to("first/traces/pair-1")
    assert main(["evaluate", "bundle", "--out", "third"]) == 0
    assert "report, plots and traces are in third" in capsys.readouterr().out


def test_the_demos_bundle_is_judged_as_when_it_was_made(demo_folder, tmp_path, capsys):
    """Its test rows, from the data set by name through its own preprocessing, give its own figures."""
    store = demo_folder / "models"
    assert main(["evaluate", "digits", "--store", str(store), "--data", "digits", "--out", str(tmp_path / "out")]) == 0
    metrics = Store(store).open("digits").manifest.provenance.metrics
    (report,) = json.loads((tmp_path / "out" / "report.json").read_text())["reports"]
    for exit in report["exits"]:
        assert exit["accuracy"] == metrics[f"test.accuracy.exit-{exit['exit']}"]
    assert "note: the bundle was made from" in capsys.readouterr().out


FAULTS = [
    (["pair"], "no traces of pair"),
    (["pears", "--data", "rows.npz"], "did you mean 'pair'"),
    (["pair/7", "--data", "rows.npz"], "no version '7'"),
    (["./nowhere", "--data", "rows.npz"], "has no manifest.json"),
    (["pair", "--data", "cifar10"], "does not say how pictures become inputs"),
    (["pair", "--data", "absent.npz"], "absent.npz is not there"),
    (["pair", "--data", "rows.npz", "--rows", "0"], "0 rows; wanted at least 1"),
    (["pair", "--traces", "t", "--rows", "5"], "--rows goes with --data"),
    (["pair", "--data-dir", "d"], "--data-dir goes with --data"),
    (["pair", "--labels", "l.csv"], "--labels goes with --data"),
    (["pair", "--data", "rows.npz", "--labels", "none.csv"], "none.csv cannot be read"),
    (["pair", "--data", "rows.npz", "--data-dir", "d"], "means nothing for rows.npz"),
    (["pair", "--traces", "t"], "looked for calibration.npz and test.npz in t/pair and t"),
]


@pytest.mark.parametrize(("arguments", "said"), FAULTS)
def test_what_cannot_be_done_is_told(folder, capsys, arguments, said):
    """In one line, and nothing is left behind."""
    before = sorted(folder.iterdir())
    assert said in refused(capsys, *arguments)
    assert sorted(folder.iterdir()) == before


def test_a_report_is_never_overwritten(folder, capsys):
    """It is said before anything is recorded."""
    (folder / "out").mkdir()
    (folder / "out" / "report.md").write_text("mine")
    assert "out exists already and is not empty" in refused(capsys, "pair", "--data", "rows.npz")
    assert (folder / "out" / "report.md").read_text() == "mine"
