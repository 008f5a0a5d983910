import numpy as np
import onnx
import onnxruntime

from anytime.training.attach.restate import restate_shapes
from tests.training.attach.networks import Graph


def asking(**attributes):
    graph = Graph(shape=["batch", "length", 4])
    graph.add("Shape", [graph.linear("x", "a")], "y", **attributes)
    model = graph.model("y", [None])
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    return model


def said(model):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": np.zeros((2, 3, 4), np.float32)})[0].tolist()


def test_a_shape_is_asked_of_a_tensor_that_is_as_long():
    """The numbers stay, what was computed for them goes."""
    model = asking()
    sources = {"x": ("batch", "length", 4)}
    restated = restate_shapes(model, {"a": ("batch", "length", 8)}, sources, one_row=False)
    onnx.checker.check_model(restated, full_check=True)
    assert {node.op_type for node in restated.graph.node} == {"Shape", "Gather", "Concat", "Constant"}
    assert not restated.graph.initializer
    assert said(restated) == [2, 3, 8]
    assert said(model) == [2, 3, 4]


def test_parts_of_a_shape_stay_parts():
    """From and to, counted from either end."""
    known, sources = {"a": ("batch", "length", 4)}, {"x": ("batch", "length", 4)}
    assert said(restate_shapes(asking(start=1, end=2), known, sources, one_row=False)) == [3]
    assert said(restate_shapes(asking(start=-2), known, sources, one_row=False)) == [3, 4]


def test_a_shape_that_is_fixed_needs_no_input():
    """Nor do rows that are fixed at 1."""
    fixed = restate_shapes(asking(start=2), {"a": ("batch", "length", 4)}, {}, one_row=False)
    assert [node.op_type for node in fixed.graph.node] == ["Constant"]
    assert not fixed.graph.input
    row = restate_shapes(asking(end=1), {"a": ("batch", "length", 4)}, {}, one_row=True)
    assert [node.op_type for node in row.graph.node] == ["Constant"]


def test_an_axis_that_no_source_has_is_asked_as_before():
    """Nothing changes."""
    model = asking()
    assert said(restate_shapes(model, {"a": ("batch", "length", 4)}, {"h": ("batch", 7)}, one_row=False)) == [2, 3, 4]
