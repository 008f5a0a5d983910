import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from anytime.model_store import open_bundle
from anytime.training.attach import (
    BASE_LOGITS,
    Chain,
    ExitHead,
    ExtraState,
    assemble,
    choose_cuts,
    cut,
    find_cuts,
)
from anytime.training.errors import BadOption
from anytime.training.record import record
from tests.training.attach.networks import linear_head, mlp


def attached(network, name="net", count=8, **options):
    pieces = cut(network, choose_cuts(network, find_cuts(network), count=count))
    heads = [linear_head(piece, network.classes) for piece in pieces[:-1]]
    return pieces, assemble(name, network, pieces, heads, **options)


@pytest.mark.parametrize("name", ["cnn", "vit", "bert", "mlp", "external", "signal", "channels_last"])
def test_a_cut_network_becomes_a_bundle(networks, tmp_path, name):
    """It is verified, its full depth says what the network says, and costs no more than that."""
    network = networks[name]
    pieces, made = attached(network, name)
    bundle = made.write(tmp_path / name)
    assert open_bundle(tmp_path / name).manifest.exits == len(pieces)
    batch = network.inputs.random({"batch": 3, "sequence": 6, "length": 20})
    trace = record(bundle, batch)
    np.testing.assert_allclose(trace.outputs["logits"][:, -1], Chain(network, pieces).run(batch)[-1], atol=1e-5)
    assert np.isfinite(trace.outputs["logits"]).all()
    assert bundle.manifest.base_macs == bundle.flow.macs_full == network.macs
    heads = sum(stage.head.macs for stage in bundle.manifest.stages[:-1])
    assert heads / network.macs < (0.2 if name == "mlp" else 0.02)


def test_large_weights_lie_beside_the_graphs_where_they_did(networks, tmp_path):
    """Graphs stay small, as a protobuf must; a network in one file stays in one file a piece."""
    bundle = attached(networks["external"])[1].write(tmp_path / "external")
    weights = [file for file in bundle.weight_files if file.endswith(".weights")]
    assert "stages/2-body.weights" in weights
    whole = attached(networks["cnn"])[1].write(tmp_path / "cnn")
    assert not any(file.endswith(".weights") for file in whole.weight_files)


def test_open_axes_are_bounded_as_the_network_is(networks, tmp_path):
    """And states are as long as the inputs."""
    manifest = attached(networks["bert"])[1].write(tmp_path / "bert").manifest
    assert manifest.axes["sequence"] == networks["bert"].inputs.axes["sequence"]
    assert [(state.name, state.shape) for state in manifest.state] == [("h", ("batch", "sequence", 32))]
    assert [entry.name for entry in manifest.inputs] == ["input_ids", "attention_mask"]


def test_labels_are_the_callers_or_the_files_or_numbers(networks, tmp_path):
    """As many as there are classes."""
    assert attached(networks["mlp"])[1].draft["labels"] == list("0123456789")
    assert attached(networks["cnn"])[1].draft["labels"] == list("01234")
    assert attached(networks["cnn"], labels=list("abcde"))[1].draft["labels"] == list("abcde")
    with pytest.raises(BadOption, match="2 labels are given and model.onnx tells 5 classes"):
        attached(networks["cnn"], labels=["a", "b"])


def test_pictures_can_be_sent_as_they_are(networks, tmp_path):
    """Preprocessing goes to the input it is given for."""
    spec = {"channels": "rgb", "resize": [32, 32], "mean": [0.5], "std": [0.5]}
    manifest = attached(networks["cnn"], preprocess={"pixel_values": spec})[1].write(tmp_path / "cnn").manifest
    assert manifest.inputs[0].preprocess.resize == (32, 32)
    with pytest.raises(BadOption, match="'pixels', which is no input; did you mean 'pixel_values'"):
        attached(networks["cnn"], preprocess={"pixels": spec})


def chained(columns, reads, writes):
    """A head whose logits are the sum of all it reads, each made ``columns`` wide by a mean."""
    names = list(reads)
    nodes = [helper.make_node("Identity", [names[0]], ["s0"])]
    nodes += [helper.make_node("Add", [f"s{k}", name], [f"s{k + 1}"]) for k, name in enumerate(names[1:])]
    nodes += [helper.make_node("Identity", [f"s{len(names) - 1}"], [name]) for name in writes]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", columns]) for name in (*reads, *writes)]
    graph = helper.make_graph(nodes, "head", values[: len(names)], values[len(names) :])
    return onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_heads_may_hand_on_states_of_their_own(tmp_path):
    """As a cascade does, up to a head at the end that reads the network's own logits."""
    graph = mlp()
    graph.weights[1] = onnx.numpy_helper.from_array(np.ones((4, 3), np.float32), graph.weights[1].name)
    graph.weights[2] = onnx.numpy_helper.from_array(np.eye(3, dtype=np.float32), graph.weights[2].name)
    network = graph.read(tmp_path, "y")
    pieces = cut(network, choose_cuts(network, find_cuts(network), at=["b"]))
    first = ExitHead(chained(3, ["h"], ["logits", "said"]), {"h": "h"}, {"logits": "logits", "said": "said"}, macs=7)
    last = ExitHead(chained(3, ["l", "p"], ["logits"]), {"l": BASE_LOGITS, "p": "said"}, {"logits": "logits"})
    states = [ExtraState("said", ("batch", 3))]
    bundle = assemble("net", network, pieces, [first], states=states, last=last).write(tmp_path / "net")
    assert [stage.head.macs for stage in bundle.manifest.stages] == [7, 0]
    rows = {"x": np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)}
    hidden, base = Chain(network, pieces).run(rows)
    logits = record(bundle, rows).outputs["logits"]
    np.testing.assert_allclose(logits[:, 0], hidden, rtol=1e-6)
    np.testing.assert_allclose(logits[:, 1], base + hidden, rtol=1e-6)


def test_a_head_for_each_cut_is_wanted(networks):
    """No more and no less."""
    network = networks["cnn"]
    with pytest.raises(BadOption, match="0 heads for 4 cuts"):
        assemble("net", network, cut(network, find_cuts(network)), [])
