import numpy as np
import onnx
import pytest

from anytime.training.attach import Chain, choose_cuts, cut, find_cuts
from anytime.training.errors import BadOption
from tests.training.attach.networks import Graph, apart, mlp, whole

EXACT = 1e-5
"""The runtime fuses operators within a piece that it would fuse across two, which moves the last digit."""


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("name", ["cnn", "vit", "bert", "mlp", "external"])
def test_the_chained_pieces_are_the_whole_network(networks, name, rows):
    """Cut at every place, at several batch sizes and lengths."""
    network = networks[name]
    chain = Chain(network, cut(network, find_cuts(network)))
    for length in (5, 8):
        batch = network.inputs.random({"batch": rows, "sequence": length}, seed=length)
        logits = chain.run(batch)[-1]
        if name == "mlp":
            z = np.exp(logits.astype(np.float64))
            logits = z / z.sum(axis=1, keepdims=True)
        assert apart(logits, whole(network.path, batch, "probabilities" if name == "mlp" else None)) <= EXACT


@pytest.mark.parametrize("name", ["cnn", "vit", "bert", "mlp", "external"])
def test_pieces_are_models_of_their_own(networks, name):
    """Each passes ONNX's checker and shape inference, keeps the versions, and has no weight that it does not read."""
    network = networks[name]
    pieces = cut(network, find_cuts(network))
    for piece in pieces:
        onnx.checker.check_model(piece.model, full_check=True)
        graph = piece.model.graph
        read = {tensor for node in graph.node for tensor in node.input}
        assert {value.name for value in (*graph.input, *graph.initializer)} <= read
        assert piece.model.ir_version == network.model.ir_version
        assert list(piece.model.opset_import) == list(network.model.opset_import)
    assert sum(piece.macs for piece in pieces) == network.macs


def test_a_piece_reads_the_inputs_only_for_what_it_needs(networks):
    """The mask goes to each attention; the pictures, of which later pieces want only the number, to none."""
    vit = cut(networks["vit"], find_cuts(networks["vit"]))
    assert all(list(piece.reads.values()) == ["h"] for piece in vit[1:])
    bert = cut(networks["bert"], choose_cuts(networks["bert"], find_cuts(networks["bert"]), count=3))
    assert [sorted(piece.reads.values()) for piece in bert] == [
        ["attention_mask", "input_ids"], ["attention_mask", "h"], ["attention_mask", "h"],
    ]  # fmt: skip


def test_each_shape_is_a_state_of_its_own(networks):
    """And cuts of one shape share one."""
    assert [piece.state for piece in cut(networks["cnn"], find_cuts(networks["cnn"]))] == ["h1", "h1", "h2", "h2", None]
    assert [piece.state for piece in cut(networks["vit"], find_cuts(networks["vit"])[:2])] == ["h", "h", None]


def test_names_that_mean_something_in_a_bundle_are_given_another(tmp_path):
    """An input may be called logits, or h."""
    graph = mlp()
    for node in graph.nodes:
        node.input[:] = ["logits" if name == "x" else name for name in node.input]
    graph.inputs[0].name = "logits"
    network = graph.read(tmp_path, "y")
    assert [dict(piece.reads) for piece in cut(network, find_cuts(network)[:1])] == [
        {"logits": "logits_input"}, {"ra": "h"},
    ]  # fmt: skip


def test_rows_fixed_at_one_stay_so(tmp_path):
    """Rows run one by one and come out together."""
    network = mlp(rows=1).read(tmp_path, "y")
    pieces = cut(network, find_cuts(network))
    assert {piece.model.graph.input[0].type.tensor_type.shape.dim[0].dim_value for piece in pieces} == {1}
    rows = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    passed = Chain(network, pieces).run({"x": rows})
    assert [values.shape for values in passed] == [(3, 4), (3, 4), (3, 3)]
    for row in range(3):
        np.testing.assert_allclose(passed[-1][row], whole(network.path, {"x": rows[row : row + 1]})[0], rtol=1e-5)


def test_branches_within_a_piece_stay_whole(tmp_path):
    """An If is one node, whatever its branches take from outside."""
    from onnx import TensorProto, helper

    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, ["batch", 4])
    branches = [helper.make_graph([helper.make_node(op, ["ra"], ["o"])], op, [], [out]) for op in ("Neg", "Abs")]
    graph = Graph()
    graph.add("Relu", [graph.linear("x", "a")], "ra")
    graph.constant("flag", np.array(True))
    graph.add("If", ["flag"], "c", then_branch=branches[0], else_branch=branches[1])
    graph.linear(graph.linear("c", "b"), "y", 3)
    network = graph.read(tmp_path, "y")
    rows = {"x": np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)}
    chain = Chain(network, cut(network, choose_cuts(network, [], at=["ra", "b"])))
    np.testing.assert_allclose(chain.run(rows)[-1], whole(network.path, rows), rtol=1e-5)


def test_cuts_come_in_order_and_once(networks):
    """Else the caller is told."""
    cuts = find_cuts(networks["cnn"])
    with pytest.raises(BadOption, match="not in order"):
        cut(networks["cnn"], cuts[::-1])
    with pytest.raises(BadOption, match="0 cuts"):
        cut(networks["cnn"], [])
    with pytest.raises(BadOption, match="model.onnx computes no tensor"):
        cut(networks["vit"], cuts)
    with pytest.raises(BadOption, match="given twice"):
        cut(networks["cnn"], [cuts[0], cuts[0]])
