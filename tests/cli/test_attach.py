import io
import json
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

from anytime.cli.main import main
from anytime.model_store import Store, preprocess
from anytime.model_store.manifest import Preprocess
from anytime.policy import load_trace
from anytime.training.attach.export_factory import export_factory
from anytime.training.attach.network import read_network
from anytime.training.attach.session import open_session, run_session
from tests.service.live import live
from tests.training.attach.networks import FACTORIES, LENGTH, PICTURE, SEQUENCE, SIGNAL, TOKENS

SPEC = {"channels": "rgb", "resize": [32, 32], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
QUICK = ["--epochs", "2", "--ensemble-epochs", "2", "--exits", "3"]
ANY_SHAPE = {
    "bert": (TOKENS, SEQUENCE, ["--axis", "sequence=2,8,32"]),
    "signal": (SIGNAL, LENGTH, ["--axis", "length=8,24,64"]),
    "channels_last": (PICTURE, {}, []),
}
"""Of each factory: its inputs, the sizes of their open axes, and the same as arguments."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A network of torch's with random weights as a file, its source, and pictures of five classes."""
    folder = tmp_path_factory.mktemp("attach")
    (folder / "zoo.py").write_text(FACTORIES)
    export_factory(f"{folder / 'zoo.py'}:cnn", PICTURE, folder / "exported").rename(folder / "cnn.onnx")
    draw = np.random.default_rng(0)
    for number in range(60):
        path = folder / "pictures" / f"class-{number % 5}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = io.BytesIO()
        Image.fromarray(draw.integers(0, 256, (40, 36, 3), dtype=np.uint8)).save(stream, "png")
        path.write_bytes(stream.getvalue())
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANYTIME_STORE", raising=False)
    return made


def refused(capsys, *arguments):
    assert main(["attach", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_from_a_file_to_logits_nothing_differs(folder, tmp_path, capsys):
    """Attached, published and served: a PNG that is sent gets, at full depth, the network's own answer to that file."""
    arguments = [folder / "cnn.onnx", "--data", folder / "pictures", "--preprocess", json.dumps(SPEC), *QUICK]
    assert main(["attach", *map(str, arguments)]) == 0
    said = capsys.readouterr().out
    assert (
        "early exits save" in said
        and "cnn version 1: 3 exits" in said
        and "exit 3:" in said
        and "runs/cnn/traces" in said
    )
    network = read_network(folder / "cnn.onnx")
    picture = (folder / "pictures" / "class-1" / "1.png").read_bytes()
    row = preprocess(picture, Preprocess.model_validate_json(json.dumps(SPEC)), "float32", (3, 32, 32), 10**6)
    (wanted,) = run_session(open_session(network.model, "cnn"), [network.scores], {"pixel_values": row}, "cnn")
    with live(tmp_path / "models") as service:
        query = {"trace": "true", "exact": "true"}
        url = f"{service.url}/v1/models/cnn/predict"
        reply = httpx.post(url, params=query, content=picture, headers={"Content-Type": "image/png"}).json()
    (answer,) = reply["rows"]
    assert answer["exit"] == 3 and answer["label"] == f"class-{wanted[0].argmax()}"
    last = answer["trace"]["exits"][-1]["outputs"]["logits"]
    np.testing.assert_allclose(last, wanted[0], atol=1e-5 * max(1, np.abs(wanted).max()))


def test_texts_signals_and_maps_with_channels_last_are_served(folder, tmp_path, capsys):
    """At full depth each is its network; a text gets the same answers at every exit whether it is padded or not."""
    draw = np.random.default_rng(0)
    networks = {}
    for name, (tensors, sizes, axis) in ANY_SHAPE.items():
        path = export_factory(f"{folder / 'zoo.py'}:{name}", tensors, tmp_path / name, sizes)
        networks[name] = read_network(path, axes=sizes)
        np.savez(f"{name}.npz", **networks[name].inputs.random(networks[name].inputs.typical(60), seed=1))
        arguments = [path, "--data", f"{name}.npz", "--name", name.replace("_", "-"), "--distil", *axis, *QUICK]
        assert main(["attach", *map(str, arguments)]) == 0
    assert "does not tell" not in capsys.readouterr().out
    ids, padding = draw.integers(0, 50, (1, 6)), draw.integers(0, 50, (1, 5))
    mask = np.concatenate([np.ones_like(ids), np.zeros_like(padding)], axis=1)
    rows = {
        "bert": [{"input_ids": ids, "attention_mask": mask[:, :6]},
                 {"input_ids": np.concatenate([ids, padding], axis=1), "attention_mask": mask}],
        "signal": [networks["signal"].inputs.random({"batch": 1, "length": 40})],
        "channels_last": [networks["channels_last"].inputs.random({"batch": 1})],
    }  # fmt: skip
    said = {}
    with live(tmp_path / "models") as service:
        for name, row in ((name, row) for name, each in rows.items() for row in each):
            url = f"{service.url}/v1/models/{name.replace('_', '-')}/predict"
            asked = {
                "inputs": {key: values.tolist() for key, values in row.items()},
                "policy": {"exact": True},
                "trace": True,
            }
            (answer,) = httpx.post(url, json=asked).json()["rows"]
            exits = np.array([one["outputs"]["logits"] for one in answer["trace"]["exits"]])
            network = networks[name]
            (wanted,) = run_session(open_session(network.model, name), [network.scores], row, name)
            np.testing.assert_allclose(exits[-1], wanted[0], atol=1e-5 * max(1, np.abs(wanted).max()))
            said.setdefault(name, []).append(exits)
    assert said["bert"][0].shape == (3, 4)
    np.testing.assert_allclose(said["bert"][1], said["bert"][0], atol=1e-5)


def test_without_labels_from_a_factory_to_a_folder(folder, tmp_path, capsys):
    """A torch module is exported once; the bundle goes to a folder, and JSON says how far the exits agree."""
    arguments = [f"{folder / 'zoo.py'}:cnn", "--input", "pixel_values:float32:batch,3,32,32", "--data", folder / "pictures",
                 "--distil", "--preprocess", json.dumps(SPEC), "--out", "bundle", "--method", "sdn", "--head", "linear",
                 "--json", *QUICK]  # fmt: skip
    assert main(["attach", *map(str, arguments)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["rows"].startswith("train ") and "sha256" not in said["rows"]
    assert said["name"] == "cnn" and said["exits"] == 3 and (tmp_path / "bundle" / "manifest.json").exists()
    assert not (tmp_path / "models").exists()


def test_where_it_may_be_cut_is_shown(folder, capsys):
    """Shares, shapes and names, nothing trained; also as JSON; and a name of the list may be given."""
    network = [str(folder / "cnn.onnx"), "--data", str(folder / "pictures")]
    assert main(["attach", *network, "--show-cuts"]) == 0
    shown = capsys.readouterr().out
    assert " map " in shown and "batch, [8], 32, 32" in shown
    assert main(["attach", *network, "--show-cuts", "--json"]) == 0
    cuts = json.loads(capsys.readouterr().out)
    assert [one["share"] for one in cuts] == sorted(one["share"] for one in cuts)
    assert {(one["channels"], one["told"]) for one in cuts} == {(1, True)}
    assert main(["attach", *network, "--show-cuts", "--channels", "last"]) == 0
    assert "batch, 8, 32, [32]" in capsys.readouterr().out
    spec = ["--preprocess", json.dumps(SPEC), *QUICK]
    assert main(["attach", *network, *spec, "--at", cuts[2]["tensor"], "--at", cuts[0]["tensor"], "--name", "two"]) == 0
    assert Store(Path("models")).open("two").manifest.exits == 3


def test_what_scores_are_may_be_said(folder, tmp_path, capsys):
    """Of sigmoids, which random rows do not tell: refused with an option that there is, and taken with it."""
    model = onnx.load(folder / "cnn.onnx")
    scores = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Sigmoid", [scores], ["squashed"]))
    model.graph.output[0].name = "squashed"
    onnx.save(model, tmp_path / "sigmoid.onnx")
    arguments = ["sigmoid.onnx", "--data", folder / "pictures", "--show-cuts"]
    assert "say what they are with --outputs probabilities" in refused(capsys, *arguments)
    assert main(["attach", *map(str, arguments), "--outputs", "logits"]) == 0
    assert "map " in capsys.readouterr().out


def test_evaluate_sees_no_row_that_was_trained_on(folder, tmp_path, capsys):
    """On the file that the exits were trained with, calibration and test rows are those that were held out then."""
    draw = np.random.default_rng(0)
    rows = draw.standard_normal((60, 3, 32, 32)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", pixel_values=rows, label=draw.integers(0, 5, 60))
    assert main(["attach", str(folder / "cnn.onnx"), "--data", "rows.npz", "--seed", "3", *QUICK]) == 0
    assert main(["evaluate", "cnn", "--data", "rows.npz", "--out", "report"]) == 0
    capsys.readouterr()
    manifest = Store(Path("models")).open("cnn").manifest
    for split in ("calibration", "test"):
        (path,) = Path("report", "traces").rglob(f"{split}.npz")
        then, now = (load_trace(one, manifest) for one in (Path("runs/cnn/traces", f"{split}.npz"), path))
        np.testing.assert_array_equal(then.label, now.label)
        np.testing.assert_allclose(then.outputs["logits"], now.outputs["logits"], atol=1e-5)


@pytest.mark.parametrize("how", [["--labels", "labels.csv"], ["--distil"]])
def test_loose_pictures_take_the_whole_road(folder, tmp_path, capsys, how):
    """Attached with labels or without, then evaluated and calibrated with them: on the rows that were held out then."""
    (tmp_path / "loose").mkdir()
    for path in sorted((folder / "pictures").rglob("*.png")):
        (tmp_path / "loose" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "loose" / "60.png").write_bytes((tmp_path / "loose" / "0.png").read_bytes())
    (tmp_path / "labels.csv").write_text("".join(f"{number}.png,{number % 5}\n" for number in range(61)))
    data = ["--data", "loose", "--labels", "labels.csv"]
    attach = [folder / "cnn.onnx", "--data", "loose", *how, "--preprocess", json.dumps(SPEC), "--seed", "3", *QUICK]
    assert main(["attach", *map(str, attach)]) == 0
    assert "; 1 row is a repeat, equal rows in one part" in capsys.readouterr().out
    assert main(["evaluate", "cnn", *data, "--out", "report", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["reports"]
    assert report["notes"] == ["1 row is a repeat, equal rows in one part"]
    manifest = Store(Path("models")).open("cnn").manifest
    for split in ("calibration", "test"):
        (path,) = Path("report", "traces").rglob(f"{split}.npz")
        then, now = (load_trace(one, manifest) for one in (Path("runs/cnn/traces", f"{split}.npz"), path))
        np.testing.assert_allclose(then.outputs["logits"], now.outputs["logits"], atol=1e-5)
        assert then.label.tolist() == now.label.tolist() or how == ["--distil"]
    assert main(["calibrate", "cnn", *data, "--json"]) == 0
    calibrated = capsys.readouterr()
    assert json.loads(calibrated.out)["rows"] == report["calibration_rows"]
    assert "note: 1 row is a repeat" in calibrated.err


@pytest.mark.parametrize(("more", "says"), [
    (["--at", "nowhere"], "no tensor 'nowhere'"),
    (["--exits", "1"], "1 exits leave nothing to cut"),
    (["--epochs", "0"], "--epochs is 0; wanted a whole number from 1"),
    (["--axis", "sequence=8"], "--axis gives 'sequence=8'; wanted NAME=MIN,USUAL,MAX"),
    (["--input", "x:float32:batch,3"], "an ONNX file says its own"),
    (["--preprocess", '{"channel": "rgb"}'], "channel"),
    (["--preprocess", "{"], "--preprocess is not JSON"),
    (["--device", "tpu"], "no device 'tpu' here"),
    (["--output", "scores"], "no output 'scores'"),
])  # fmt: skip
def test_what_cannot_be_done_is_one_line(folder, capsys, tmp_path, more, says):
    """The message names what was given and what is wanted, and nothing is made."""
    said = refused(capsys, folder / "cnn.onnx", "--data", folder / "pictures", "--preprocess", json.dumps(SPEC), *more)
    assert says in said and said.count("\n") == 1
    assert not (tmp_path / "models").exists()


def test_data_that_do_not_fit(folder, capsys, tmp_path):
    """Pictures without a preprocessing, a folder that is not there, a file that is no network, labels out of range."""
    assert "nothing says how the pictures" in refused(capsys, folder / "cnn.onnx", "--data", folder / "pictures")
    assert "is not there" in refused(capsys, folder / "cnn.onnx", "--data", "no/where")
    assert "zoo.py" in refused(capsys, folder / "zoo.py", "--data", folder / "pictures")
    rows = np.zeros((50, 3, 32, 32), np.float32)
    np.savez(tmp_path / "rows.npz", pixel_values=rows, label=np.arange(50) % 9)
    assert "20 of 50 are none of the 5 classes; wanted 0 to 4" in refused(
        capsys, folder / "cnn.onnx", "--data", "rows.npz"
    )
