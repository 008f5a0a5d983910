import json

import numpy as np
import pytest

from anytime.cli.main import main
from anytime.model_store import Store, open_bundle
from tests.training.classifiers import export, linear, save


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with two real models and two written down."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANYTIME_STORE", raising=False)
    export(tmp_path, "logistic")
    export(tmp_path, "forest")
    save(tmp_path / "a.onnx", linear())
    save(tmp_path / "b.onnx", linear("Sigmoid"))
    return tmp_path


def refused(capsys, *arguments):
    """The message of a command that could not do what it was asked."""
    assert main(["cascade", *arguments]) == 2
    return capsys.readouterr().err


def test_a_cascade_is_published(folder, capsys):
    """Into ./models unless told otherwise, as the next version; one line says so."""
    for version in (1, 2):
        assert main(["cascade", "digits", "logistic.onnx", "forest.onnx", "--macs", "forest.onnx=50"]) == 0
        assert f"digits version {version}: 2 exits of 50, 640 multiply-adds" in capsys.readouterr().out
    assert Store(folder / "models").versions("digits") == (1, 2)


def test_the_store_may_be_another(folder, capsys, monkeypatch):
    """By flag, or by environment variable."""
    assert main(["cascade", "one", "logistic.onnx", "--store", "elsewhere"]) == 0
    monkeypatch.setenv("ANYTIME_STORE", "third")
    assert main(["cascade", "one", "logistic.onnx"]) == 0
    assert Store(folder / "elsewhere").models() == Store(folder / "third").models() == ("one",)
    assert "1 exit of 640" in capsys.readouterr().out


def test_a_bundle_may_be_written_to_a_folder(folder, capsys):
    """And told as JSON."""
    arguments = [
        "cascade",
        "d",
        "logistic.onnx",
        "forest.onnx",
        "--macs",
        "640,50",
        "--committee",
        "--out",
        "b",
        "--json",
    ]
    assert main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    bundle = open_bundle(folder / "b")
    assert said == {"name": "d", "version": 1, "exits": 2, "macs": [50, 640], "folder": "b", "digest": bundle.digest}
    assert bundle.manifest.method == "committee"
    assert not (folder / "models").exists()
    assert "exists already" in refused(capsys, *arguments[1:])


def test_labels_answer_and_order_are_taken(folder, capsys):
    """From a file with one label a line; empty lines at its end do not count."""
    (folder / "labels.txt").write_text("cat\ndog \neel\n\n")
    (folder / "net.onnx").write_bytes((folder / "a.onnx").read_bytes())
    assert main(["cascade", "d", "a.onnx", "net.onnx", "--labels", "labels.txt", "--answer", "most_confident",
                 "--keep-order", "--macs", "a.onnx=9", "--macs", "net.onnx=5", "--out", "b"]) == 0  # fmt: skip
    manifest = open_bundle(folder / "b").manifest
    assert manifest.labels == ("cat", "dog", "eel")
    assert manifest.answer == "most_confident"
    assert [stage.head.macs for stage in manifest.stages] == [9, 5]
    assert "9, 5 multiply-adds" in capsys.readouterr().out


@pytest.mark.parametrize("as_file", [False, True])
def test_preprocessing_is_taken(folder, as_file):
    """As JSON on the command line, or as a file of it."""
    text = '{"channels": "gray", "resize": [8, 8]}'
    (folder / "pre.json").write_text(text)
    given = "pre.json" if as_file else text
    assert main(["cascade", "d", "logistic.onnx", "--preprocess", given, "--out", "b"]) == 0
    assert open_bundle(folder / "b").manifest.inputs[0].preprocess.resize == (8, 8)


def test_outputs_may_be_told_per_model(folder):
    """A sigmoid per class is what its owner says it is."""
    arguments = ["cascade", "d", "a.onnx", "b.onnx", "--outputs", "auto", "--outputs", "b.onnx=probabilities"]
    assert main([*arguments, "--out", "b"]) == 0
    assert "| b.onnx | probabilities (float32) |" in (folder / "b" / "card.md").read_text()


def test_a_folder_tells_models_of_one_name_apart(folder, capsys):
    """By the path as given; the bare name would be two."""
    (folder / "more").mkdir()
    save(folder / "more" / "a.onnx", linear(weight=np.ones((4, 3), np.float32)))
    models = ["d", "a.onnx", "more/a.onnx"]
    assert main(["cascade", *models, "--macs", "more/a.onnx=5", "--macs", "./a.onnx=6", "--out", "b"]) == 0
    assert [stage.head.macs for stage in open_bundle(folder / "b").manifest.stages] == [5, 6]
    assert "twice, or several models" in refused(capsys, "d", "more/a.onnx", "more/a.onnx", "--macs", "more/a.onnx=5")


FAULTS = [
    (["forest.onnx"], "forest.onnx has trees"),
    (["a.onnx", "b.onnx"], "b.onnx gives numbers in 0..1"),
    (["a.onnx", "--macs", "c.onnx=5"], "--macs names 'c.onnx', which is none of the models; did you mean 'a.onnx'?"),
    (["a.onnx", "--macs", "1,2"], "--macs gives 2 numbers in order for 1 models"),
    (["a.onnx", "--macs", "5", "--macs", "a.onnx=5"], "give one per model, or FILE=N"),
    (["a.onnx", "--macs", "a.onnx=0"], "--macs gives '0'; wanted a whole number"),
    (["a.onnx", "--macs", "many"], "--macs gives 'many'"),
    (["a.onnx", "--outputs", "votes"], "--outputs gives 'votes'; wanted one of auto, probabilities, logits"),
    (["a.onnx", "--preprocess", "{no"], "--preprocess is not JSON"),
    (["a.onnx", "--preprocess", "list.json"], "wanted a JSON object"),
    (["a.onnx", "--preprocess", '{"channels": "gray"}'], "preprocess leaves the size open"),
    (["a.onnx", "--preprocess", '{"chanels": "gray"}'], "did you mean 'channels'?"),
    (["a.onnx", "--preprocess", "absent.json"], "absent.json"),
    (["a.onnx", "--labels", "absent.txt"], "absent.txt"),
    (["a.onnx", "--labels", "list.json"], "1 labels are given and the models tell 3 classes"),
    (["a.onnx", "logistic.onnx"], "takes rows of the shape"),
    (["absent.onnx"], "absent.onnx cannot be read"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_what_cannot_be_done_is_said_in_a_line(folder, capsys, arguments, message):
    """No trace, nothing published."""
    (folder / "list.json").write_text("[]")
    said = refused(capsys, "d", *arguments)
    assert said.startswith("anytime: ")
    assert message in said
    assert len(said.splitlines()) == 1
    assert Store(folder / "models").models() == ()


def test_a_bad_name_is_refused(folder, capsys):
    """Before anything is published."""
    assert "manifest's name" in refused(capsys, "My Model", "a.onnx")
