"""Tests of the counter of multiply-adds against numbers worked out by hand."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from anytime.model_store.errors import Uncountable
from anytime.model_store.macs import Work, count_macs, count_nodes, count_params, uninferred
from tests.model_store import tiny

F = "float32"


def node(op, inputs, output="o", **attributes):
    return helper.make_node(op, inputs, [output], **attributes)


def weights(**shapes):
    return {name: np.ones(shape, np.float32) for name, shape in shapes.items()}


def count(nodes, inputs, held=None, sizes=None, outputs=None, **graph):
    nodes = nodes if isinstance(nodes, list) else [nodes]
    model = tiny.model(nodes, inputs, outputs or {"o": (F, None)}, held or {}, **graph)
    return count_macs(model, sizes or {})


IMAGE = {"x": (F, ["n", 4, 8, 8])}


@pytest.mark.parametrize(
    ("attributes", "weight", "macs"),
    [
        ({"pads": [1, 1, 1, 1]}, (6, 4, 3, 3), 6 * 64 * 4 * 9),
        ({}, (6, 4, 3, 3), 6 * 36 * 4 * 9),
        ({"strides": [2, 2], "pads": [1, 1, 1, 1]}, (6, 4, 3, 3), 6 * 16 * 4 * 9),
        ({"group": 2}, (6, 2, 1, 1), 6 * 64 * 2),
        ({"group": 4, "pads": [1, 1, 1, 1]}, (4, 1, 3, 3), 4 * 64 * 9),
        ({"dilations": [2, 2]}, (6, 4, 3, 3), 6 * 16 * 4 * 9),
    ],
)
def test_conv(attributes, weight, macs):
    """A convolution counts output elements times channels of a group times the kernel."""
    assert count(node("Conv", ["x", "w"], **attributes), IMAGE, weights(w=weight)) == macs


def test_conv_transpose():
    """A transposed convolution counts input elements times output channels of a group times the kernel."""
    assert count(node("ConvTranspose", ["x", "w"], strides=[2, 2]), IMAGE, weights(w=(4, 5, 3, 3))) == 4 * 64 * 5 * 9


@pytest.mark.parametrize(("flags", "shape"), [({}, (7, 5)), ({"transB": 1}, (5, 7))])
def test_gemm(flags, shape):
    """Gemm counts rows times columns times the inner axis."""
    assert count(node("Gemm", ["x", "w"], **flags), {"x": (F, ["n", 7])}, weights(w=shape)) == 35


def test_gemm_transposed():
    """A transposed first matrix of Gemm has its inner axis first."""
    nodes = [node("Transpose", ["x"], "t"), node("Gemm", ["t", "w"], transA=1)]
    assert count(nodes, {"x": (F, ["n", 7])}, weights(w=(7, 5))) == 35


@pytest.mark.parametrize(
    ("a", "b", "macs"),
    [
        (["n", 7], (7, 5), 35),
        (["n", 6, 7], (7, 5), 6 * 35),
        (["n", 3, 6, 7], (3, 7, 5), 3 * 6 * 35),
        (["n", 1, 6, 7], (3, 7, 5), 3 * 6 * 35),
        (["n", 7], (7,), 7),
    ],
)
def test_matmul(a, b, macs):
    """MatMul is batched and broadcasts."""
    assert count(node("MatMul", ["x", "w"]), {"x": (F, a)}, weights(w=b)) == macs


def test_symbols():
    """Symbols count the sizes they are bound to, the row axis counts 1."""
    product = node("MatMul", ["x", "x2"])
    inputs = {"x": (F, ["n", "s", 8]), "x2": (F, ["n", 8, "s"])}
    assert count(product, inputs, sizes={"s": 5, "n": 100}) == 25 * 8


def test_inputs_by_name():
    """Whole shapes given by input name win over symbols."""
    model = tiny.model([node("MatMul", ["x", "w"])], {"x": (F, ["n", "s", 4])}, {"o": (F, None)}, {"w": tiny.WEIGHT})
    assert count_macs(model, {"s": 2}, {"x": (1, 7, 4)}) == 7 * 12
    with pytest.raises(Uncountable, match="has 3 axes and the manifest says 2"):
        count_macs(model, {}, {"x": (1, 4)})


U8 = {"x": ("uint8", ["n", 4, 8, 8])}
SCALE = {"s": np.float32(1), "z": np.uint8(0)}


@pytest.mark.parametrize(
    ("quantised", "inputs", "w", "macs"),
    [
        (node("ConvInteger", ["x", "w"]), U8, (6, 4, 1, 1), 6 * 64 * 4),
        (node("QLinearConv", ["x", "s", "z", "w", "s", "z", "s", "z"]), U8, (6, 4, 1, 1), 6 * 64 * 4),
        (node("MatMulInteger", ["x", "w"]), {"x": ("uint8", ["n", 7])}, (7, 5), 35),
        (node("QLinearMatMul", ["x", "s", "z", "w", "s", "z", "s", "z"]), {"x": ("uint8", ["n", 7])}, (7, 5), 35),
        (node("QGemm", ["x", "s", "z", "w", "s", "z"], domain="com.microsoft"), {"x": ("uint8", ["n", 7])}, (7, 5), 35),
    ],
)  # fmt: skip
def test_quantised(quantised, inputs, w, macs):
    """Quantised twins count what the float operators count."""
    outputs = {"o": ("int32" if quantised.op_type.endswith("Integer") else "uint8", None)}
    assert count(quantised, inputs, {"w": np.ones(w, np.uint8), **SCALE}, outputs=outputs) == macs


def test_contributed_chain():
    """Shapes pass through ONNX Runtime's own operators: a second product behind a FusedMatMul is counted too."""
    nodes = [
        node("FusedMatMul", ["x", "w"], "a", domain="com.microsoft", transB=1),
        node("FastGelu", ["a"], "b", domain="com.microsoft"),
        node("Relu", ["b"], "c"),
        node("MatMul", ["c", "v"]),
    ]
    assert count(nodes, {"x": (F, ["n", 7])}, weights(w=(5, 7), v=(5, 3))) == 35 + 15


def test_fused_conv():
    """FusedConv counts as Conv, and what follows it too."""
    conv = node("FusedConv", ["x", "w"], "a", domain="com.microsoft", pads=[1, 1, 1, 1], activation="Relu")
    nodes = [conv, node("Conv", ["a", "v"])]
    assert count(nodes, IMAGE, weights(w=(6, 4, 3, 3), v=(2, 6, 1, 1))) == 6 * 64 * 4 * 9 + 2 * 64 * 6


def test_recurrent():
    """A recurrent layer counts both of its matrices at each step."""
    layer = node("GRU", ["t", "w", "r"], hidden_size=3)
    nodes = [node("Transpose", ["x"], "t", perm=[1, 0, 2]), layer]
    held = weights(w=(1, 9, 4), r=(1, 9, 3))
    assert count(nodes, {"x": (F, ["n", "s", 4])}, held, {"s": 6}) == 6 * (36 + 27)


def test_einsum():
    """An Einsum counts the product of all its axes."""
    assert count(node("Einsum", ["x", "w"], equation="bi,io->bo"), {"x": (F, ["n", 7])}, weights(w=(7, 5))) == 35
    with pytest.raises(Uncountable, match="ellipsis"):
        count(node("Einsum", ["x", "w"], equation="...i,io->...o"), {"x": (F, ["n", 7])}, weights(w=(7, 5)))


@pytest.mark.parametrize(
    ("shapes", "attributes"),
    [
        ([["n", 2, 5, 8], ["n", 2, 6, 8], ["n", 2, 6, 4]], {}),
        ([["n", 5, 16], ["n", 6, 16], ["n", 6, 8]], {"q_num_heads": 2, "kv_num_heads": 2}),
    ],
)
def test_attention(shapes, attributes):
    """Attention counts the scores and the mix of values, over all heads."""
    inputs = {name: (F, shape) for name, shape in zip("qkv", shapes, strict=True)}
    model = tiny.model([node("Attention", ["q", "k", "v"], **attributes)], inputs, {"o": (F, None)})
    model.opset_import[0].version = 23
    assert count_macs(model, {}) == 2 * 5 * 6 * (8 + 4)


def test_contributed_attention():
    """ONNX Runtime's Attention counts its projection too; its MultiHeadAttention has none."""
    packed = node("Attention", ["x", "w"], domain="com.microsoft", num_heads=2)
    assert count(packed, {"x": (F, ["n", 5, 8])}, weights(w=(8, 24))) == 5 * 8 * 24 + 25 * 16
    many = node("MultiHeadAttention", ["x", "x", "x"], domain="com.microsoft", num_heads=2)
    assert count(many, {"x": (F, ["n", 5, 8])}) == 25 * 16


def branch(name, columns):
    held = helper.make_tensor(f"{name}_w", TensorProto.FLOAT, [4, columns], [1.0] * 4 * columns)
    out = helper.make_tensor_value_info(f"{name}_o", TensorProto.FLOAT, None)
    return helper.make_graph([node("MatMul", ["x", f"{name}_w"], f"{name}_o")], name, [], [out], [held])


def test_if():
    """An If counts its dearer branch, whose nodes see the tensors outside."""
    choice = node("If", ["q"], then_branch=branch("a", 3), else_branch=branch("b", 5))
    assert count(choice, {"x": (F, ["n", 4])}, {"q": np.array(True)}) == 20


def loop(op, inputs, **attributes):
    held = helper.make_tensor("w", TensorProto.FLOAT, [4, 4], [1.0] * 16)
    named = {"Loop": [("i", 7, []), ("c", 9, [])], "Scan": []}[op]
    carried = [*named, ("h", 1, [1, 4]), *([("e", 1, [1, 4])] if op == "Scan" else [])]
    outs = [*([("c2", 9, [])] if op == "Loop" else []), ("h2", 1, [1, 4])]
    nodes = [node("MatMul", ["h", "w"], "h2"), *([node("Identity", ["c"], "c2")] if op == "Loop" else [])]
    infos = [[helper.make_tensor_value_info(*one) for one in values] for values in (carried, outs)]
    return node(op, inputs, body=helper.make_graph(nodes, "body", *infos, [held]), **attributes)


def test_loop():
    """A Loop counts its body times a constant trip count, and says so where there is none."""
    x = {"x": (F, ["n", 4])}
    assert count(loop("Loop", ["m", "q", "x"]), x, {"m": np.array(3), "q": np.array(True)}) == 48
    with pytest.raises(Uncountable, match="trip count"):
        count(loop("Loop", ["k", "q", "x"]), {**x, "k": ("int64", [])}, {"q": np.array(True)})


def test_scan():
    """A Scan counts its body times the length it scans."""
    inputs = {"x": (F, ["n", 4]), "e": (F, ["n", "s", 4])}
    scan = loop("Scan", ["x", "e"], num_scan_inputs=1, scan_input_axes=[1])
    assert count(scan, inputs, sizes={"s": 6}) == 6 * 16


def test_function():
    """A model's own functions are counted where they are called."""
    opset = helper.make_opsetid("", 21)
    product = helper.make_function("own", "Product", ["a", "b"], ["c"], [node("MatMul", ["a", "b"], "c")], [opset])
    model = tiny.model(
        [node("Product", ["x", "w"], domain="own")], {"x": (F, ["n", 4])}, {"o": (F, None)}, {"w": tiny.WEIGHT}
    )
    model.functions.append(product)
    model.opset_import.append(helper.make_opsetid("own", 1))
    assert count_macs(model, {}) == 12


def test_reshape_by_constant():
    """A shape that constants give is followed, so that what is behind it is counted."""
    nodes = [node("Reshape", ["x", "to"], "r"), node("MatMul", ["r", "w"])]
    held = {**weights(w=(256, 10)), "to": np.array([0, -1])}
    assert count(nodes, IMAGE, held) == 2560


def test_nothing_to_multiply():
    """A model without multiply-adds counts 0, though its shapes be unknown."""
    trees = node("Trees", ["x"], domain="com.microsoft")
    assert count([trees], {"x": (F, None)}) == 0
    assert count(node("Relu", ["x"]), {"x": (F, None)}) == 0


def test_uncountable():
    """A product of unknown shape is refused by the name of its node."""
    with pytest.raises(Uncountable, match="MatMul node 'o': the shape of"):
        count(node("MatMul", ["x", "w"]), {"x": (F, ["n", "s", 4])}, weights(w=(4, 3)))


def test_not_inferable():
    """A model that ONNX itself refuses is Uncountable."""
    with pytest.raises(Uncountable, match="cannot be inferred"):
        count(node("Trees", ["x"], domain="not.imported"), {"x": (F, None)})


def test_inputs_stay_as_they_are():
    """Counting changes nothing in the model."""
    model = tiny.head()
    before = model.SerializeToString()
    count_macs(model, {})
    assert model.SerializeToString() == before


def test_external_weights():
    """Weights that lie outside the file count by their shapes alone."""
    model = tiny.head()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="nowhere.bin")
    assert (count_macs(model, {}), count_params(model)) == (12, 12)


def test_params():
    """Parameters are the elements of weights, those of subgraphs included, without shapes and indices."""
    choice = node("If", ["q"], then_branch=branch("a", 3), else_branch=branch("b", 5))
    held = {"w": np.ones((2, 3), np.int8), "shape": np.array([0, -1]), "q": np.array(True)}
    model = tiny.model([choice], {"x": (F, ["n", 4])}, {"o": (F, None)}, held)
    assert count_params(model) == 6 + 12 + 20


@pytest.mark.parametrize("kind", ["LinearClassifier", "LinearRegressor", "SVMClassifier", "SVMRegressor"])
def test_linear_and_support_vector_models(kind):
    """Models that hold their numbers in attributes count each coefficient, and each number of a support vector, once."""
    held = {"coefficients": [0.5] * 21, "intercepts": [0.0] * 3}
    if kind.startswith("SVM"):
        held |= {"support_vectors": [1.0] * 14}
    outputs = ["label", "o"] if kind.endswith("Classifier") else ["o"]
    linear = helper.make_node(kind, ["x"], outputs, domain="ai.onnx.ml", **held)
    model = tiny.model([linear], {"x": (F, ["n", 7])}, {"o": (F, None)})
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    assert count_macs(model, {}) == 21 + len(held.get("support_vectors", ()))


def test_nodes_are_counted_one_by_one():
    """Each with the numbers that it writes; together they are the model's."""
    nodes = [node("MatMul", ["x", "w"], "h"), node("Relu", ["h"], "r"), node("MatMul", ["r", "v"])]
    model = tiny.model(nodes, {"x": (F, ["n", 4])}, {"o": (F, None)}, weights(w=(4, 6), v=(6, 1)))
    found = count_nodes(model, {"x": (1, 4)}, {})
    assert found == (Work(24, 6), Work(0, 6), Work(6, 1))
    assert sum(work.macs for work in found) == count_macs(model, {})


def test_shapes_that_only_a_run_tells_can_be_given():
    """As behind a length that is computed; what needs them is listed."""
    nodes = [
        node("NonZero", ["x"], "places"), node("Cast", ["places"], "p", to=TensorProto.FLOAT),
        node("MatMul", ["w", "p"]),
    ]  # fmt: skip
    model = tiny.model(nodes, {"x": (F, ["n", 4])}, {"o": (F, None)}, weights(w=(3, 2)))
    assert uninferred(model, {"x": (1, 4)}) == ("p", "o")
    with pytest.raises(Uncountable, match="shape of 'o' is unknown"):
        count_nodes(model, {"x": (1, 4)}, {})
    found = count_nodes(model, {"x": (1, 4)}, {"p": (2, 4), "o": (3, 4)})
    assert [work.macs for work in found] == [0, 0, 3 * 4 * 2]
