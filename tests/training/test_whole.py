import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from anytime.model_store import Store, write_bundle
from anytime.training.attach import assemble, choose_cuts, cut, find_cuts
from anytime.training.attach.session import open_session
from anytime.training.errors import GraphsUnjoinable
from anytime.training.record import record
from anytime.training.whole import MODEL, WEIGHTS, model_files, runs_one_row, whole_network
from tests.bundles import BUNDLES, spelled
from tests.doubles import run_batch
from tests.training.attach.networks import linear_head


def said(model, inputs):
    """By output name."""
    session = open_session(model, "whole")
    return dict(zip([one.name for one in session.get_outputs()], session.run(None, dict(inputs)), strict=True))


def wanted(bundle, inputs):
    """What the stages say, all rows at once."""
    exits = run_batch(bundle, inputs)
    return {
        f"exit_{exit}" + ("" if name == "logits" else f".{name}"): values
        for exit, outputs in enumerate(exits, start=1)
        for name, values in outputs.items()
    }


@pytest.mark.parametrize("module", BUNDLES, ids=lambda module: module.NAME)
@pytest.mark.parametrize("rows", [1, 3, 8])
def test_the_whole_says_what_the_stages_say(stress_store, module, rows):
    """Of all six stress bundles, at several numbers of rows, every output of every exit agrees with the recorded stages."""
    bundle = Store(stress_store).open(module.NAME)
    inputs = module.inputs(rows)
    found = said(whole_network(bundle), inputs)
    trace = record(bundle, inputs)
    names = {name: name.partition(".")[2] or "logits" for name in found}
    assert sum(len(head.outputs) for head in bundle.flow.heads) == len(found)
    for name, values in found.items():
        exit = int(name.partition(".")[0].removeprefix("exit_"))
        recorded = trace.outputs[names[name]][:, exit - 1].reshape(rows, -1)
        np.testing.assert_allclose(values, recorded, rtol=0, atol=module.TOLERANCE)


def test_weights_that_several_stages_use_are_held_once(stress_store):
    """A step file that serves six stages is there six times, its kernels once."""
    bundle = Store(stress_store).open("cascade")
    model, step = whole_network(bundle), onnx.load(bundle.path("step.onnx"))
    kernels = [one for one in model.graph.initializer if list(one.dims) == [3, 3, 3, 3]]
    assert len(kernels) == len([one for one in step.graph.initializer if list(one.dims) == [3, 3, 3, 3]])
    assert len([one for one in model.graph.node if one.op_type == "Conv"]) == 6 * 5


def test_the_same_bundle_gives_the_same_file(stress_store):
    """To the byte, and without what an exporter remarked on the nodes."""
    bundle = Store(stress_store).open("ztw")
    one, other = (whole_network(bundle).SerializeToString(deterministic=True) for _ in range(2))
    assert one == other


@pytest.mark.parametrize("name", ["cnn", "bert", "external"])
def test_networks_from_outside(networks, name, tmp_path):
    """Cut by ``attach``, with heads of another opset than the pieces, with open axes and with external data."""
    network = networks[name]
    pieces = cut(network, choose_cuts(network, find_cuts(network), count=3))
    heads = [linear_head(piece, network.classes) for piece in pieces[:-1]]
    bundle = assemble("net", network, pieces, heads).write(tmp_path / "bundle")
    model = whole_network(bundle)
    for rows in (1, 3, 8):
        inputs = network.inputs.random(network.inputs.typical(rows))
        expected = wanted(bundle, inputs)
        for output, values in said(model, inputs).items():
            scale = max(1.0, float(np.abs(expected[output]).max()))
            np.testing.assert_allclose(values, expected[output], rtol=0, atol=1e-5 * scale)


def test_large_weights_lie_beside(networks, tmp_path):
    """Beyond a bound they are a file of their own, which the model finds and says the same."""
    network = networks["cnn"]
    pieces = cut(network, find_cuts(network)[:1])
    bundle = assemble("net", network, pieces, [linear_head(pieces[0], network.classes)]).write(tmp_path / "bundle")
    model = whole_network(bundle)
    assert list(model_files(model)) == [MODEL]
    files = model_files(model, inline_bytes=1000)
    for file, content in files.items():
        data = content if isinstance(content, bytes) else content.SerializeToString()
        (tmp_path / file).write_bytes(data)
    assert set(files) == {MODEL, WEIGHTS} and files[WEIGHTS]
    inputs = network.inputs.random(network.inputs.typical(3))
    session = onnxruntime.InferenceSession(tmp_path / MODEL)
    for values, expected in zip(session.run(None, inputs), said(model, inputs).values(), strict=True):
        np.testing.assert_array_equal(values, expected)


def test_a_graph_of_one_row_makes_a_whole_of_one_row(tmp_path):
    """The inputs and outputs then say so."""
    bundle = spelled.build(tmp_path / "one", head_rows=1)
    model = whole_network(bundle)
    assert runs_one_row(bundle) and not runs_one_row(spelled.build(tmp_path / "many"))
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    inputs = spelled.rows(spelled.row(spelled.sure(0), spelled.unsure(1), spelled.sure(2)))
    assert [values.argmax() for values in said(model, inputs).values()] == [0, 1, 2]


def build(folder, body, head, reads="x", writes="y"):
    """A bundle of one stage: x (batch, 4) -> h (batch, 4) -> logits (batch, 4)."""
    draft = {
        "name": "small", "task": "classification", "labels": ["a", "b", "c", "d"],
        "inputs": [{"name": reads, "dtype": "float32", "shape": ["batch", 4]}],
        "state": [{"name": "h", "dtype": "float32", "shape": ["batch", 4]}],
        "stages": [{"body": {"file": "body.onnx", "reads": {"x": reads}, "writes": {"y": "h"}, "macs": 1},
                    "head": {"file": "head.onnx", "reads": {"x": "h"}, "writes": {writes: "logits"}, "macs": 1}}],
    }  # fmt: skip
    return write_bundle(folder, draft, {"body.onnx": body, "head.onnx": head})


def graph(*nodes, opset=18, domains=(), weights=()):
    """x (batch, 4) -> y (batch, 4)"""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in "xy")
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(*one) for one in domains)]
    made = helper.make_graph(list(nodes), "graph", [x], [y], list(weights))
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


ROWS = {"x": np.arange(12, dtype=np.float32).reshape(3, 4) - 5}


def test_older_operators_are_converted(tmp_path):
    """Squeeze and ReduceSum changed their attributes to inputs between the opsets: the whole is of the newer, and right."""
    old = graph(
        helper.make_node("Unsqueeze", ["x"], ["u"], axes=[1]), helper.make_node("Softmax", ["u"], ["s"], axis=2),
        helper.make_node("Squeeze", ["s"], ["y"], axes=[1]), opset=11,
    )  # fmt: skip
    bundle = build(tmp_path / "bundle", old, graph(helper.make_node("Relu", ["x"], ["y"])))
    model = whole_network(bundle)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    np.testing.assert_allclose(said(model, ROWS)["exit_1"], wanted(bundle, ROWS)["exit_1"], rtol=1e-6)


def test_operators_that_mean_something_else_are_refused(tmp_path):
    """Of a domain that nothing converts, and of one where the converter gives up; the message names file and operator."""
    scaler = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml")
    relu = graph(helper.make_node("Relu", ["x"], ["y"]))
    head = graph(helper.make_node("Relu", ["x"], ["y"]), domains=[("ai.onnx.ml", 3)])
    bundle = build(tmp_path / "ml", graph(scaler, domains=[("ai.onnx.ml", 1)]), head)
    with pytest.raises(
        GraphsUnjoinable, match=r"'body.onnx' has the operator ai.onnx.ml.TreeEnsembleRegressor of version 1"
    ):
        whole_network(bundle)
    old = graph(helper.make_node("ScaledTanh", ["x"], ["y"]), opset=9)
    with pytest.raises(
        GraphsUnjoinable, match=r"'body.onnx' has ScaledTanh of opset 9 .* opset 18; it cannot be converted"
    ):
        whole_network(build(tmp_path / "old", old, relu))


def test_operators_of_other_domains(tmp_path):
    """They come along where their domain's version is one."""
    gelu = graph(
        helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft"), domains=[("com.microsoft", 1)], opset=11
    )
    bundle = build(tmp_path / "bundle", gelu, graph(helper.make_node("Softmax", ["x"], ["y"])))
    np.testing.assert_allclose(said(whole_network(bundle), ROWS)["exit_1"], wanted(bundle, ROWS)["exit_1"], rtol=1e-6)


def test_what_a_graph_hands_through(tmp_path):
    """An output that is an input, as it stands; and an input called like an exit is refused."""
    through = graph(helper.make_node("Relu", ["x"], ["y"]))
    del through.graph.node[:]
    through.graph.output[0].name = "x"
    relu = graph(helper.make_node("Relu", ["x"], ["y"]))
    bundle = build(tmp_path / "bundle", relu, through, writes="x")
    np.testing.assert_array_equal(said(whole_network(bundle), ROWS)["exit_1"], np.maximum(ROWS["x"], 0))
    with pytest.raises(GraphsUnjoinable, match="the input 'exit_1' is called like an output"):
        whole_network(build(tmp_path / "named", relu, relu, reads="exit_1"))


def test_names_inside_branches_do_not_meet(tmp_path):
    """A branch reads a tensor of the graph around it; two copies of such a graph stay apart."""
    value = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    branches = {
        name: helper.make_graph([helper.make_node(kind, ["x"], ["z"])], name, [], [value])
        for name, kind in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["y"], **branches),
    ]
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0])
    one = graph(*nodes, weights=[zero])
    bundle = build(tmp_path / "bundle", one, one)
    for rows in (ROWS, {"x": -ROWS["x"]}):
        np.testing.assert_array_equal(said(whole_network(bundle), rows)["exit_1"], wanted(bundle, rows)["exit_1"])
