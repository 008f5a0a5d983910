import json
import subprocess
import sys

import pytest

from anytime.cli.doctor import read_rival
from anytime.cli.main import FAULT, main
from anytime.training.errors import BadOption
from anytime.training.savings import INT8, Rival
from tests.cli.traced import make_folder, make_traced, traced
from tests.policy.conftest import make_manifest
from tests.training.classifiers import linear, save


@pytest.fixture
def doctor(capsys):
    """Runs ``anytime doctor --json`` and returns what it says."""

    def call(*words):
        assert main(["doctor", *map(str, words), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


def test_the_policy_is_chosen_on_calibration_where_it_is_there(doctor, tmp_path):
    """Beside the test split's traces; else on every other row of what there is."""
    folder = make_traced(tmp_path / "bundle")
    assert "chosen on 100 rows, told on the 100 between them" in doctor(folder)["rows"]
    traced(400, 3, seed=2).save(folder / "traces" / "calibration.npz")
    for said in (doctor(folder), doctor(folder, folder / "traces" / "test.npz")):
        assert said["rows"].startswith(f"chosen on 400 rows of {folder}/traces/calibration.npz, told on 200 of ")


def test_the_verdict_is_told_with_its_figures(doctor, tmp_path):
    """Six graphs of a millisecond: the base network takes four, and two of them at exit 1."""
    folder = make_traced(tmp_path / "bundle")
    said = doctor(folder, "--int8", "1.5:0.2", "--smaller", "9")
    assert (said["base"]["ms"], said["all_heads_ms"]) == (4.0, 6.0)
    assert [(one["body_ms"], one["head_ms"], one["head_share"]) for one in said["exits"]] == [(1.0, 1.0, 0.25)] * 3
    assert said["rivals"] == [{"name": "INT8", "ms": 1.5, "accuracy": 0.2},
                              {"name": "a smaller network", "ms": 9.0, "accuracy": None}]  # fmt: skip
    assert said["best"]["saved_ms"] == pytest.approx(4.0 - said["best"]["ms"])
    assert said["verdict"]["worth_it"] is (said["best"]["saved_share"] >= 0.1)
    beaten = doctor(folder, "--int8", "0.1:1.0")["verdict"]
    assert not beaten["worth_it"]


def test_the_verdict_is_the_sentence_after_the_tables(tmp_path, capsys):
    """For people; the exit status says only that it could be told."""
    folder = make_traced(tmp_path / "bundle")
    model = save(tmp_path / "int8.onnx", linear())
    assert main(["doctor", str(folder), "--int8", f"{model}:0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "double version 1, each graph at its median time"
    assert any(line.startswith("INT8") and line.endswith("0.5000") for line in lines)
    (verdict,) = [line for line in lines if "worth it: early exits save" in line]
    assert all(line.startswith("try ") for line in lines[lines.index(verdict) + 1 :])


@pytest.mark.parametrize("what", ["fast", "0", "-1", "nan", "inf", "1:2", "1:", "1:good", ":0.5"])
def test_what_is_no_figure_is_told(what):
    """Milliseconds above 0, an accuracy in 0..1."""
    with pytest.raises(BadOption, match="wanted"):
        read_rival(INT8, what, make_manifest())
    with pytest.raises(FileNotFoundError):
        read_rival(INT8, "folder:1/none.onnx", make_manifest())
    assert read_rival(INT8, "2.5:1", make_manifest()) == Rival(INT8, 2.5, 1.0)


def test_faults_are_one_line(tmp_path, capsys):
    """A network that is not there, traces without labels."""
    folder = make_folder(tmp_path / "bundle", make_manifest())
    traced(9, 3, labelled=False).save(tmp_path / "test.npz")
    for words, message in (([], "without a label"), (["--smaller", "none.onnx"], "none.onnx")):
        assert main(["doctor", str(folder), str(tmp_path / "test.npz"), *words]) == FAULT
        assert message in capsys.readouterr().err


def test_the_runtime_is_loaded_only_to_time_a_network(tmp_path):
    """Traces are read without it."""
    folder = make_traced(tmp_path / "bundle")
    command = [sys.executable, "-X", "importtime", "-m", "anytime.cli.main", "doctor", str(folder), "--int8", "3"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert loaded & {"torch", "onnxruntime", "sklearn", "scipy"} == set()
