import re

import numpy as np
import pytest

from anytime.training.attach import Cut, choose_cuts, find_cuts
from anytime.training.errors import BadOption, NetworkUncuttable, NotACut
from tests.training.attach.networks import Graph, dense, mlp, towers


def tensors(cuts):
    return [cut.tensor for cut in cuts]


def writers(network, cuts):
    producer = {name: node.op_type for node in network.model.graph.node for name in node.output}
    return [producer[cut.tensor] for cut in cuts]


def test_a_residual_net_is_cut_behind_its_blocks(networks):
    """Maps behind each Relu that follows an addition, and behind the stem: nowhere within a block."""
    network = networks["cnn"]
    cuts = find_cuts(network)
    assert writers(network, cuts) == ["Relu"] * 4
    assert [cut.shape for cut in cuts] == [("batch", 8, 32, 32)] * 2 + [("batch", 16, 16, 16)] * 2
    assert {cut.kind for cut in cuts} == {"map"}
    stem, block = 3 * 8 * 9 * 1024, 2 * 8 * 8 * 9 * 1024
    assert [cut.macs for cut in cuts[:2]] == [stem, stem + block]
    assert cuts[1].share == (stem + block) / network.macs


def test_a_vision_transformer_is_cut_at_its_residual_stream(networks):
    """Tokens behind the patches, each attention and each feed-forward part."""
    network = networks["vit"]
    cuts = find_cuts(network)
    assert len(cuts) == 7
    assert {(cut.kind, cut.shape) for cut in cuts} == {("tokens", ("batch", 17, 32))}
    assert writers(network, cuts) == ["Add"] * 6 + ["LayerNormalization"]


def test_a_language_model_is_cut_beside_its_mask(networks):
    """The mask passes freely; an embedding does not, so no cut lies in the middle of the first attention."""
    network = networks["bert"]
    cuts = find_cuts(network)
    assert writers(network, cuts) == ["LayerNormalization"] * 6 + ["Tanh"]
    assert {cut.shape for cut in cuts[:-1]} == {("batch", "sequence", 32)}
    assert tensors(choose_cuts(network, cuts)) == tensors(cuts[:5])


def test_the_graph_tells_what_an_axis_is(networks):
    """Signals of any length have their channels before it, maps of a network of matrices behind their sides."""
    cuts = find_cuts(networks["signal"])
    assert {(cut.kind, cut.channels, cut.told) for cut in cuts} == {("signal", 1, 1)}
    assert [cut.shape for cut in cuts] == [("batch", 16, "length")] * 2 + [("batch", 24, "length")]
    cuts = find_cuts(networks["channels_last"])
    assert [(cut.kind, cut.channels) for cut in cuts] == [("map", 1)] + [("map", 3)] * (len(cuts) - 1)
    assert {cut.shape for cut in cuts[1:]} == {("batch", 8, 8, 12), ("batch", 8, 8, 20)}
    assert all(cut.told == cut.channels for name in ("cnn", "vit", "bert") for cut in find_cuts(networks[name]))


def test_a_network_as_tensorflow_has_it_is_told(tmp_path):
    """Pictures (rows, height, width, colours), convolutions between transposes, biases and additions outside them."""
    graph = Graph(shape=["batch", 8, 8, 3])
    read, width = "x", 3
    for number in range(3):
        kernel = graph.constant(f"k{number}", np.ones((6, width, 3, 3), np.float32))
        turned = graph.add("Transpose", [read], f"turned{number}", perm=[0, 3, 1, 2])
        made = graph.add("Conv", [turned, kernel], f"conv{number}", pads=[1, 1, 1, 1])
        back = graph.add("Transpose", [made], f"back{number}", perm=[0, 2, 3, 1])
        bias = graph.constant(f"bias{number}", np.ones(6, np.float32))
        read, width = graph.add("Relu", [graph.add("Add", [back, bias], f"sum{number}")], f"relu{number}"), 6
    graph.linear(graph.add("ReduceMean", [read], "mean", axes=[1, 2], keepdims=0), "y", 3, rows=6)
    cuts = find_cuts(graph.read(tmp_path, "y"))
    assert [(cut.tensor, cut.kind, cut.told) for cut in cuts] == [(f"relu{number}", "map", 3) for number in range(3)]


@pytest.mark.parametrize(("shape", "told", "channels", "kind"), [
    ((7, 16), None, 2, "tokens"), ((7, 16), 1, 1, "signal"), ((16, "length"), None, 1, "signal"), ((16,), None, 1, "vector"),
    ((8, 4, 4), None, 1, "map"), ((4, 4, 8), 3, 3, "map"), (("side", "side", 8), None, 3, "map"),
    (("length", 16), 1, None, "other"), (("a", "b", 4, 4), None, None, "other"), ((2, 2, 2, 2), 1, None, "other"),
    ((), None, None, "other"), (("width",), None, None, "other"),
])  # fmt: skip
def test_where_nothing_tells_tokens_have_channels_last_and_maps_first(shape, told, channels, kind):
    """Unless only another axis is of a known size; what the graph tells always holds, and no axis of unknown size does."""
    cut = Cut("t", "float32", ("batch", *shape), 1, 0.5, told)
    assert (cut.channels, cut.kind) == (channels, kind)


def test_an_mlp_is_cut_behind_its_activations(networks):
    """Vectors, once a layer."""
    cuts = find_cuts(networks["mlp"])
    assert [cut.shape for cut in cuts] == [("batch", 32), ("batch", 16)]
    assert writers(networks["mlp"], cuts) == ["Relu", "Relu"]


def test_pooling_counts_to_the_block_and_laying_out_does_not(tmp_path):
    """A head sees the pooled map, not the row of numbers that the classifier wants."""
    graph = Graph(shape=["batch", 2, 8, 8])
    graph.constant("k", np.ones((3, 2, 3, 3), np.float32))
    graph.add("MaxPool", [graph.add("Relu", [graph.add("Conv", ["x", "k"], "c")], "r")], "p", kernel_shape=[2, 2])
    graph.linear(graph.add("Flatten", ["p"], "f"), "y", 3, rows=75)
    assert tensors(find_cuts(graph.read(tmp_path, "y"))) == ["p"]


def test_lengths_of_inner_tensors_pass_freely(tmp_path):
    """A later layer that asks an earlier tensor for its number of rows does not need that tensor."""
    graph = mlp()
    graph.constant("two", np.array([4], np.int64))
    graph.constant("zero", np.array([0], np.int64))
    graph.add("Gather", [graph.add("Shape", ["a"], "sa"), "zero"], "rows")
    graph.add("Reshape", ["rb", graph.add("Concat", ["rows", "two"], "to", axis=0)], "rs")
    graph.linear("rs", "z", 3)
    network = graph.read(tmp_path, "z")
    assert tensors(find_cuts(network)) == ["ra", "rb"]


def test_layers_that_begin_from_the_input_again_are_cut_before_by_name_only(tmp_path):
    """An exit behind one of two towers knows half; who insists gets it."""
    network = towers().read(tmp_path, "y")
    with pytest.raises(NetworkUncuttable, match=r"'a1', 'a2', 'a3' pass alone.*begin from the inputs again.*--at"):
        find_cuts(network)
    assert tensors(choose_cuts(network, [], at=["a2"])) == ["a2"]


def test_exits_are_spread_by_multiply_adds(networks):
    """As many as asked for, each as near as can be to an even share; never where an exit is not worth having."""
    cuts = find_cuts(networks["vit"])
    assert tensors(choose_cuts(networks["vit"], cuts)) == tensors(cuts[:-1])
    assert [round(cut.share, 2) for cut in choose_cuts(networks["vit"], cuts, count=3)] == [0.33, 0.72]
    assert len(choose_cuts(networks["vit"], cuts, count=2)) == 1
    with pytest.raises(BadOption, match="1 exits leave nothing to cut"):
        choose_cuts(networks["vit"], cuts, count=1)


def test_places_can_be_named(tmp_path):
    """By tensor or by node, in any order, once each."""
    network = mlp().read(tmp_path, "y")
    cuts = find_cuts(network)
    assert tensors(choose_cuts(network, cuts, at=["rb", "n_ra", "rb"])) == ["ra", "rb"]
    assert tensors(choose_cuts(network, cuts, at=["a"])) == ["a"]


@pytest.mark.parametrize(
    ("at", "error", "message"),
    [
        ("rely_2", BadOption, "no tensor 'rely_2' that it computes; did you mean 'relu_2'"),
        ("layer_norm", NotACut, "also passes there"),
        ("logits", BadOption, "which is an exit anyway"),
    ],
)
def test_a_name_that_is_no_cut_is_an_error(networks, at, error, message):
    """What else passes is said, and what is known."""
    network = networks["cnn"] if error is BadOption and at != "logits" else networks["vit"]
    cuts = find_cuts(network)
    with pytest.raises(error, match=re.escape(message)):
        choose_cuts(network, cuts, at=[at])


def test_places_that_do_not_follow_from_each_other_are_refused(networks):
    """Queries and keys of one layer are two tensors, though either passes alone."""
    producer = {node.output[0]: node for node in networks["bert"].model.graph.node}
    halves = [name for name, node in producer.items() if node.op_type == "MatMul"][:2]
    with pytest.raises(NotACut, match="does not follow from"):
        choose_cuts(networks["bert"], find_cuts(networks["bert"]), at=halves)


def test_dense_skips_cannot_be_cut(tmp_path):
    """What passes at the narrowest place is told, and what to do."""
    network = dense(8).read(tmp_path, "y")
    cuts = find_cuts(network)
    assert tensors(cuts) == ["h1"]
    message = r"not worth having \(h1 2.9%.*narrowest place between.*2 tensors pass \('from_1_2', 'h1'\).*Concat.*--at"
    with pytest.raises(NetworkUncuttable, match=message):
        choose_cuts(network, cuts)


def test_one_layer_cannot_be_cut(tmp_path):
    """Nothing lies between."""
    graph = Graph()
    graph.linear("x", "y", 3)
    with pytest.raises(NetworkUncuttable, match="nothing passes alone between its multiply-adds; wanted"):
        find_cuts(graph.read(tmp_path, "y"))


def test_cuts_not_worth_having_are_said_to_be(tmp_path):
    """An exit behind 99 % of the work is taken only by name."""
    graph = Graph()
    graph.add("Relu", [graph.linear("x", "a", 100)], "ra")
    graph.linear("ra", "b", 1000, rows=100)
    graph.linear("b", "y", 2, rows=1000)
    network = graph.read(tmp_path, "y")
    cuts = [cut for cut in find_cuts(network) if cut.tensor == "ra"]
    with pytest.raises(NetworkUncuttable, match=r"not worth having \(ra 0.4%"):
        choose_cuts(network, cuts)
    assert tensors(choose_cuts(network, cuts, at=["ra"])) == ["ra"]
