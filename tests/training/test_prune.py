import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from anytime.training.prune import prune
from tests.training.classifiers import linear


def test_only_what_a_tensor_needs_is_kept():
    """Nodes, weights and inputs behind another output go; metadata stays."""
    model = linear("Softmax")
    helper.set_model_props(model, {"author": "somebody"})
    model.graph.input.append(helper.make_tensor_value_info("unused", TensorProto.FLOAT, ["batch", 9]))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(9, np.float32), "u"))
    model.graph.node.append(helper.make_node("Add", ["unused", "u"], ["other"]))
    model.graph.output.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["batch", 9]))
    pruned = prune(model, "t0")
    assert [node.op_type for node in pruned.graph.node] == ["MatMul"]
    assert [value.name for value in (*pruned.graph.input, *pruned.graph.output)] == ["x", "t0"]
    assert [tensor.name for tensor in pruned.graph.initializer] == ["w"]
    assert pruned.metadata_props[0].value == "somebody"
    assert len(model.graph.node) == 3


def test_what_a_subgraph_takes_from_outside_is_kept():
    """The branches of an If read tensors that the If itself does not list."""
    flags = [numpy_helper.from_array(np.array(True), "flag")]
    branches = [
        helper.make_graph([helper.make_node(op, ["seen"], [f"in_{op}"])], op, [],
                          [helper.make_tensor_value_info(f"in_{op}", TensorProto.FLOAT, None)])
        for op in ("Neg", "Abs")
    ]  # fmt: skip
    nodes = [
        helper.make_node("Relu", ["x"], ["seen"]),
        helper.make_node("If", ["flag"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in "xy"]
    graph = helper.make_graph(nodes, "choice", values[:1], values[1:], flags)
    pruned = prune(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), "y")
    onnx.checker.check_model(pruned)
    session = onnxruntime.InferenceSession(pruned.SerializeToString())
    assert session.run(None, {"x": np.array([[-1, 2]], np.float32)})[0].tolist() == [[0, -2]]


def test_tensors_may_be_given_instead_of_computed():
    """What leads to them goes, and they become inputs if anything needs them."""
    model = linear("Relu", "Neg")
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("t1", "elsewhere")]
    pruned = prune(model, "t2", given)
    assert [node.op_type for node in pruned.graph.node] == ["Neg"]
    assert [value.name for value in pruned.graph.input] == ["t1"]
    assert not pruned.graph.initializer
