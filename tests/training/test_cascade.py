import hashlib

import numpy as np
import onnx
import pytest

from anytime.model_store import open_bundle
from anytime.model_store.errors import WrongType
from anytime.training.cascade import make_cascade
from anytime.training.classifier import read_classifier
from anytime.training.errors import BadOption, ModelsDiffer
from tests.doubles import run_batch, run_stages
from tests.training.classifiers import SORTED_LABELS, digits, export, linear, save, scores, softmax

PREPROCESS = {"channels": "gray", "resize": [8, 8]}
MACS = {"forest": 30, "logistic": None, "mlp": None}


@pytest.fixture
def trained(tmp_path):
    """Three real models of the same digits, the dearest first."""
    paths = {name: export(tmp_path, name) for name in ("mlp", "logistic", "forest")}
    return [read_classifier(path, macs=MACS[name]) for name, path in paths.items()]


def small(path, *tail, input="x", **options):
    return read_classifier(save(path, linear(*tail, input=input, **options)))


def test_each_exit_is_a_model(tmp_path, trained):
    """Staged and run in ONNX Runtime, every exit gives its model's probabilities, cheapest first."""
    bundle = make_cascade("digits", trained).write(tmp_path / "bundle")
    assert [stage.head.macs for stage in bundle.manifest.stages] == [30, 640, 64 * 16 + 160]
    assert all(stage.body is None for stage in bundle.manifest.stages)
    rows = digits()[0][:20]
    exits = run_batch(bundle, {"X": rows})
    for said, name in zip(exits, ("forest", "logistic", "mlp"), strict=True):
        np.testing.assert_allclose(softmax(said["logits"]), scores(tmp_path / f"{name}.onnx", rows), atol=1e-6)


def test_float32_logits_are_the_models_own_to_the_bit(tmp_path):
    """A stage of a model that gives logits is that model."""
    one, two = small(tmp_path / "a.onnx"), small(tmp_path / "b.onnx", "Tanh", input="image")
    bundle = make_cascade("pair", [one, two]).write(tmp_path / "bundle")
    rows = np.random.default_rng(3).standard_normal((6, 4)).astype(np.float32)
    exits = run_stages(bundle, {"input": rows})
    for said, name in zip(exits, "ab", strict=True):
        np.testing.assert_array_equal(said["logits"], scores(tmp_path / f"{name}.onnx", rows))


def test_a_committee_averages_the_models_so_far(tmp_path, trained):
    """Exit k is the mean of the first k models' probabilities, as numpy has it."""
    bundle = make_cascade("digits", trained, committee=True).write(tmp_path / "bundle")
    rows = digits()[0][:20]
    own = [scores(tmp_path / f"{name}.onnx", rows) for name in ("forest", "logistic", "mlp")]
    for run in (run_batch, run_stages):
        for exit, said in enumerate(run(bundle, {"X": rows}), start=1):
            np.testing.assert_allclose(softmax(said["logits"]), np.mean(own[:exit], axis=0), atol=1e-6)
    assert bundle.manifest.method == "committee"
    assert bundle.flow.macs_full == 30 + 640 + 64 * 16 + 160
    assert "committee" not in bundle.manifest.stages[-1].head.writes.values()


def test_the_order_given_can_be_kept(tmp_path, trained):
    """And equal costs keep it in any case."""
    kept = make_cascade("digits", trained, keep_order=True).draft["stages"]
    assert [stage["head"]["macs"] for stage in kept] == [64 * 16 + 160, 640, 30]


def test_the_input_keeps_its_name_where_all_agree(tmp_path):
    """Else it is called 'input'; so it is where the name is a head output's or the committee's."""
    for names, wanted in ((("x", "x"), "x"), (("x", "y"), "input"), (("logits", "logits"), "input")):
        models = [small(tmp_path / f"{k}.onnx", input=name) for k, name in enumerate(names)]
        bundle = make_cascade("pair", models).write(tmp_path / "-".join(names))
        assert [entry.name for entry in bundle.manifest.inputs] == [wanted]


def test_labels_come_from_the_models_or_the_caller(tmp_path):
    """Given ones win; without any they are numbers."""
    known = [read_classifier(export(tmp_path, name, named=True)) for name in ("logistic", "mlp")]
    assert tuple(make_cascade("digits", known).draft["labels"]) == SORTED_LABELS
    assert make_cascade("digits", known, labels=list("abcdefghij")).draft["labels"] == list("abcdefghij")
    assert make_cascade("pair", [small(tmp_path / "a.onnx")]).draft["labels"] == ["0", "1", "2"]
    half = [known[0], read_classifier(export(tmp_path, "mlp"))]
    with pytest.raises(
        ModelsDiffer, match=r"logistic\.onnx names the classes \['eight', .*mlp\.onnx \['0', .*and 5 more"
    ):
        make_cascade("digits", half)
    assert len(make_cascade("digits", half, labels=SORTED_LABELS).draft["labels"]) == 10
    with pytest.raises(BadOption, match="2 labels are given and the models tell 10 classes"):
        make_cascade("digits", known, labels=["a", "b"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float64"}, r"a\.onnx takes the dtype float32 and b\.onnx float64"),
        ({"shape": ("batch", 5), "weight": np.ones((5, 3), np.float32)}, r"rows of the shape \[4\] and b\.onnx \[5\]"),
        ({"weight": np.ones((4, 2), np.float32)}, r"gives the classes 3 and b\.onnx 2"),
    ],
)
def test_models_that_do_not_go_together_are_refused(tmp_path, options, message):
    """The message names both and what differs."""
    one = small(tmp_path / "a.onnx")
    other = small(tmp_path / "b.onnx", **options)
    with pytest.raises(ModelsDiffer, match=message):
        make_cascade("pair", [one, other])


def test_a_cascade_of_nothing_is_refused():
    """There is no exit without a model."""
    with pytest.raises(BadOption, match="at least one ONNX file"):
        make_cascade("none", [])


def test_weights_in_other_files_travel_and_are_hashed(tmp_path):
    """A model with external data becomes a stage with external data, listed in the manifest."""
    weight = np.random.default_rng(4).standard_normal((500, 3)).astype(np.float32)
    model = linear("Softmax", shape=("batch", 500), weight=weight)
    onnx.save(model, tmp_path / "big.onnx", save_as_external_data=True, location="big.data", size_threshold=0)
    bundle = make_cascade("big", [read_classifier(tmp_path / "big.onnx")]).write(tmp_path / "bundle")
    (held,) = [file for file in bundle.weight_files if file.endswith(".weights")]
    assert bundle.manifest.files[held].sha256 == hashlib.sha256(bundle.path(held).read_bytes()).hexdigest()
    assert bundle.manifest.files[held].bytes == weight.nbytes
    assert bundle.manifest.stages[0].head.params == weight.size
    rows = np.random.default_rng(5).standard_normal((3, 500)).astype(np.float32)
    (said,) = run_stages(open_bundle(bundle.folder), {"x": rows})
    np.testing.assert_allclose(softmax(said["logits"]), scores(tmp_path / "big.onnx", rows), atol=1e-6)


def test_a_model_of_one_row_is_a_stage(tmp_path):
    """Beside one whose row axis is free, in a committee too."""
    models = [small(tmp_path / "a.onnx", "Softmax", shape=(1, 4)), small(tmp_path / "b.onnx")]
    bundle = make_cascade("pair", models, committee=True).write(tmp_path / "bundle")
    rows = np.random.default_rng(6).standard_normal((3, 4)).astype(np.float32)
    wanted = (scores(tmp_path / "a.onnx", rows) + softmax(scores(tmp_path / "b.onnx", rows))) / 2
    np.testing.assert_allclose(softmax(run_stages(bundle, {"x": rows})[1]["logits"]), wanted, atol=1e-6)


def test_the_same_model_twice_is_one_more_exit(tmp_path):
    """Nothing collides, external data least of all."""
    weight = np.random.default_rng(7).standard_normal((500, 3)).astype(np.float32)
    model = linear(shape=("batch", 500), weight=weight)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    one = read_classifier(tmp_path / "m.onnx")
    assert make_cascade("twice", [one, one]).write(tmp_path / "bundle").manifest.exits == 2


def test_the_manifest_and_the_card_say_what_was_put_together(tmp_path, trained):
    """Preprocessing, answer, base cost; and in the card each file with its hash and cost."""
    model = small(tmp_path / "image.onnx", shape=("batch", 64), weight=np.ones((64, 3), np.float32))
    cascade = make_cascade("image", [model], preprocess=PREPROCESS, answer="most_confident")
    manifest = cascade.write(tmp_path / "bundle").manifest
    assert manifest.inputs[0].preprocess is not None
    assert (manifest.answer, manifest.base_macs) == ("most_confident", 192)
    card = make_cascade("digits", trained).files["card.md"].decode()
    for one in trained:
        assert f"| {one.name} | probabilities (float32) | {one.macs:,} | {one.sha256} |" in card


def test_more_of_the_manifest_can_be_given(tmp_path, trained):
    """A calibration, for one; and what is wrong is named by the bundle's own checks."""
    cascade = make_cascade("digits", trained)
    assert cascade.write(tmp_path / "a", calibration={"cost": [0.1, 0.5, 1.0]}).manifest.calibration is not None
    with pytest.raises(WrongType, match="calibration"):
        cascade.write(tmp_path / "b", calibration={"cost": "dear"})
    with pytest.raises(WrongType, match="name"):
        make_cascade("No Name", trained).write(tmp_path / "c")
