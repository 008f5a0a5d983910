"""Which inputs are masks, on networks whose scores tell it."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from anytime.model_store.manifest import Size
from anytime.training.attach import Mask, find_masks, mask_inputs, read_network
from tests.training.attach.networks import Graph, save

LENGTH = {"length": Size(min=2, max=32, typical=8)}


def summed(folder, *, keeps, name="mask", length="length", dtype=TensorProto.BOOL, read=None):
    """Tokens summed where the mask says so, then a layer. ``read``: what stands for the mask in the sum."""
    graph = Graph(shape=["batch", length, 4])
    graph.inputs.append(helper.make_tensor_value_info(name, dtype, ["batch", length]))
    graph.constant("last", np.array([2], np.int64))
    graph.constant("middle", np.array([1], np.int64))
    graph.constant("nothing", np.float32(0))
    read = graph.add("Cast", [name], "truth", to=TensorProto.BOOL) if read is None else read(graph)
    wide = graph.add("Unsqueeze", [read, "last"], "wide")
    graph.add("Where", [wide, "x", "nothing"] if keeps else [wide, "nothing", "x"], "kept")
    graph.linear(graph.linear(graph.add("ReduceSum", ["kept", "middle"], "sum", keepdims=0), "a"), "y", 3)
    return read_network(save(folder / "graph.onnx", graph.model("y")), axes=LENGTH if length == "length" else {})


def test_the_mask_of_a_language_model_is_found(networks):
    """Attention leaves out where it is 0; of a network without such an input nothing is found."""
    assert find_masks(networks["bert"]) == {"sequence": Mask("attention_mask", "sequence", keeps=True)}
    assert find_masks(networks["vit"]) == {}


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("dtype", [TensorProto.BOOL, TensorProto.INT32, TensorProto.UINT8])
def test_running_tells_what_counts(tmp_path, keeps, dtype):
    """Not the name: some masks are 1 where a token counts, some where it does not."""
    network = summed(tmp_path, keeps=keeps, dtype=dtype)
    assert find_masks(network) == {"length": Mask("mask", "length", keeps)}


def test_a_network_that_answers_by_its_last_token(tmp_path):
    """It depends on late positions whatever the mask says, and on early ones only where these count."""
    graph = Graph(shape=["batch", "length", 4])
    graph.inputs.append(helper.make_tensor_value_info("mask", TensorProto.INT64, ["batch", "length"]))
    for name, value in (("last", [2]), ("middle", [1]), ("end", -1)):
        graph.constant(name, np.array(value, np.int64))
    counts = graph.add("Unsqueeze", [graph.add("Cast", ["mask"], "counts", to=TensorProto.FLOAT), "last"], "wide")
    graph.add("ReduceSum", [graph.add("Mul", ["x", counts], "kept"), "middle"], "sum", keepdims=0)
    graph.add("Add", ["sum", graph.add("Gather", ["x", "end"], "token", axis=1)], "both")
    graph.linear(graph.linear("both", "a"), "y", 3)
    network = read_network(save(tmp_path / "graph.onnx", graph.model("y")), axes=LENGTH)
    assert find_masks(network) == {"length": Mask("mask", "length", keeps=True)}


def test_a_fixed_number_of_positions(tmp_path):
    """The axis is then its size."""
    assert find_masks(summed(tmp_path, keeps=True, length=6)) == {6: Mask("mask", 6, keeps=True)}


def test_what_hides_nothing_is_no_mask(tmp_path):
    """An input of that name which the scores depend on in another way; and one of another name, whatever it does."""

    def ones(graph):
        some = graph.add("Cast", ["mask"], "some", to=TensorProto.FLOAT)
        return graph.add("Cast", [graph.add("Exp", [some], "more")], "all", to=TensorProto.BOOL)

    network = summed(tmp_path, keeps=True, read=ones)
    assert [entry.name for entry in mask_inputs(network)] == ["mask"]
    assert find_masks(network) == {}
    network = summed(tmp_path, keeps=True, name="valid")
    assert mask_inputs(network) == [] and find_masks(network) == {}
