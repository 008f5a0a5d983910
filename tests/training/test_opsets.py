from onnx import TensorProto, helper

from anytime.training.opsets import align


def graph(kind, opset, domains=(), **attributes):
    """x (batch, 4) -> y"""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in "xy")
    made = helper.make_graph([helper.make_node(kind, ["x"], ["y"], **attributes)], "graph", [x], [y])
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", opset), *(helper.make_opsetid(*one) for one in domains)]
    )


def test_what_did_not_change_is_left_alone():
    """Relu is the same from 14 to 18: the very model comes back, and the opset is the higher one."""
    old, new = graph("Relu", 14), graph("Relu", 18)
    aligned, opsets = align({"old": old, "new": new})
    assert aligned["old"] is old and aligned["new"] is new
    assert [(one.domain, one.version) for one in opsets] == [("", 18)]


def test_what_changed_is_converted():
    """ReduceMean's axes became an input at 18."""
    aligned, _ = align({"old": graph("ReduceMean", 13, axes=[0], keepdims=0), "new": graph("Relu", 18)})
    (node,) = [one for one in aligned["old"].graph.node if one.op_type == "ReduceMean"]
    assert len(node.input) == 2 and "axes" not in [one.name for one in node.attribute]


def test_other_domains():
    """Each comes along at its own version."""
    _, opsets = align(
        {"one": graph("Relu", 17, [("com.microsoft", 1)]), "other": graph("Relu", 18, [("ai.onnx.ml", 3)])}
    )
    assert [(one.domain, one.version) for one in opsets] == [("", 18), ("ai.onnx.ml", 3), ("com.microsoft", 1)]
