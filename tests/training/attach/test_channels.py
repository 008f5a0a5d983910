"""Where the channels of a tensor are, on graphs written down node by node."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from anytime.model_store.shapes import graph_shapes, skeleton
from anytime.training.attach.channels import channel_axes


class Net:
    """Nodes in order, each writing ``t1``, ``t2`` .. or what it is told to; weights are ones."""

    def __init__(self, *shape, dtype=TensorProto.FLOAT):
        self.inputs = [helper.make_tensor_value_info("x", dtype, ["batch", *shape])]
        self.nodes, self.weights, self.last = [], [], "x"

    def weight(self, *shape):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
        return name

    def numbers(self, *values):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def add(self, op, *more, read=None, **attributes):
        output = f"t{len(self.nodes) + 1}"
        reads = [self.last if read is None else read, *more]
        self.nodes.append(helper.make_node(op, reads, [output], **attributes))
        self.last = output
        return self

    def conv(self, into, out, kernel=3, axes=1):
        same = [kernel // 2] * (2 * axes)
        return self.add("Conv", self.weight(out, into, *[kernel] * axes), pads=same)

    def linear(self, into, out):
        return self.add("MatMul", self.weight(into, out))

    def norm(self, width):
        return self.add("LayerNormalization", self.weight(width), axis=-1)

    def transpose(self, *order):
        return self.add("Transpose", perm=order)

    def reshape(self, *shape):
        return self.add("Reshape", self.numbers(*shape))

    def axes(self):
        """The axis of each tensor, ``x`` first, ``None`` where the graph does not tell."""
        out = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "net", self.inputs, [out], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        found = channel_axes(model.graph, graph_shapes(skeleton(model, {}, {}).graph, {}))
        return [found.get(name) for name in ("x", *(node.output[0] for node in self.nodes))]


def batch_norm(net, width):
    return net.add("BatchNormalization", *(net.weight(width) for _ in range(4)))


def test_what_follows_a_convolution_has_them_on_axis_1():
    """Of a signal and of a map, through normalisation, activation, addition and pooling; the input too is read so."""
    net = batch_norm(Net(4, 24).conv(4, 8), 8).add("Relu")
    net.conv(8, 8).add("Add", "t3").add("MaxPool", kernel_shape=[2])
    assert net.axes() == [1] * 7
    net = batch_norm(Net(3, 8, 8).conv(3, 6, axes=2), 6).add("Clip").add("AveragePool", kernel_shape=[2, 2])
    assert net.axes() == [1] * 5


def test_what_follows_a_matrix_or_a_normalisation_has_them_last():
    """Of tokens, and of maps (rows, H, W, C); what is multiplied from the left has them on the last axis but one."""
    net = Net(7, 12).linear(12, 16).add("Relu").linear(16, 12).add("Add", "x").norm(12)
    assert net.axes() == [2] * 6
    assert Net(4, 4, 12).norm(12).linear(12, 16).add("Erf").axes() == [3] * 4
    net = Net(12, 7)
    net.add("MatMul", "x", read=net.weight(16, 12)).add("Relu")
    assert net.axes() == [1] * 3


def test_transposing_moves_them():
    """As in networks that came from TensorFlow, whose maps are channels-last between convolutions."""
    net = Net(8, 8, 3).transpose(0, 3, 1, 2).conv(3, 6, axes=2).transpose(0, 2, 3, 1)
    net.add("Add", net.weight(6)).add("Relu").transpose(0, 3, 1, 2).conv(6, 6, axes=2)
    assert net.axes() == [3, 1, 1, 3, 3, 3, 1, 1]


def test_a_block_between_transposes():
    """ConvNeXt: a convolution, then a normalisation and matrices over channels that are last, and back."""
    net = Net(3, 8, 8).conv(3, 6, axes=2).transpose(0, 2, 3, 1).norm(6).linear(6, 24).linear(24, 6)
    net.transpose(0, 3, 1, 2).add("Add", "t1")
    assert net.axes() == [1, 1, 3, 3, 3, 3, 1, 1]


def test_patches_become_tokens_and_windows_tokens_again():
    """A map laid out as tokens, and cut into windows and put together again as Swin does, is followed by its sizes."""
    net = Net(3, 8, 8).conv(3, 6, axes=2).reshape(0, 6, 64).transpose(0, 2, 1).linear(6, 6)
    assert net.axes() == [1, 1, 1, 2, 2]
    net = Net(8, 8, 6).norm(6).reshape(-1, 2, 4, 2, 4, 6).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 16, 6)
    assert net.axes() == [3, 3, 5, 5, 2]
    net.reshape(-1, 2, 2, 4, 4, 6).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 8, 8, 6).add("Add", "t1")
    assert net.axes()[5:] == [5, 5, 3, 3]


@pytest.mark.parametrize("is_convolved", [False, True])
def test_mixing_tokens_leaves_channels_where_they_are(is_convolved):
    """A matrix over transposed tokens, or a convolution over single channels, makes tokens of tokens, not channels."""
    net = Net(7, 12).norm(12)
    if is_convolved:
        net.conv(7, 7, kernel=1)
    else:
        net.transpose(0, 2, 1).linear(7, 7).transpose(0, 2, 1)
    assert net.add("Add", "x").axes() == ([2, 2, 2, 2] if is_convolved else [2, 2, 1, 1, 2, 2])


def test_a_convolution_over_embeddings_makes_channels():
    """Words as a picture of one channel: the kernel spans what was the width, and axis 1 holds what it made."""
    net = Net(7, dtype=TensorProto.INT64)
    net.add("Gather", "x", read=net.weight(50, 12)).add("Unsqueeze", net.numbers(1))
    net.add("Conv", net.weight(9, 1, 3, 12)).add("Relu")
    assert net.axes() == [None, 2, 3, 1, 1]


def test_attention_gives_what_its_values_have():
    """Weights of attention times values: whatever is known of the values."""
    net = Net(7, 12).linear(12, 12).linear(12, 12).transpose(0, 2, 1).add("MatMul", "t3", read="t1").add("Softmax")
    net.add("MatMul", "t2")
    assert net.axes()[-1] == 2


@pytest.mark.parametrize(("shape", "reduced", "keepdims", "axis"), [
    ((8, 24), [2], 0, 1), ((24, 8), [1], 0, 2), ((8, 6, 6), [2, 3], 1, 1), ((6, 6, 8), [-3, -2], 0, 3),
    ((24, 8), [2], 1, None), ((8, 6, 6), [1], 1, None),
])  # fmt: skip
def test_a_mean_over_all_places_tells_where_they_were(shape, reduced, keepdims, axis):
    """Of what nothing else is known; a mean that a normalisation may be made of does not tell."""
    net = Net(*shape).add("Relu")
    net.add("ReduceMean", net.numbers(*reduced), keepdims=keepdims)
    assert net.axes()[:2] == [axis, axis]


def test_where_nothing_tells_nothing_is_said():
    """No reader and no writer; or readers that disagree, as two towers of different kinds on one input."""
    assert Net(7, 12).add("Relu").add("Tanh").axes() == [None] * 3
    net = Net(12, 12).add("Relu").conv(12, 8)
    net.last = "t1"
    assert net.linear(12, 8).axes() == [None, None, 1, 2]


def test_a_sum_of_tensors_that_disagree_is_told_by_its_reader():
    """The first of two branches is no better than the second."""
    net = Net(12, 12).conv(12, 12)
    net.last = "x"
    net.linear(12, 12).add("Add", "t1").norm(12)
    assert net.axes()[3:] == [2, 2]
