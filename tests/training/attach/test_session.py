import numpy as np
import pytest

from anytime.training.attach.session import open_session, run_session, weight_bytes, with_outputs
from anytime.training.errors import BadClassifier, UnsupportedOperator
from tests.training.attach.networks import Graph, mlp


def test_any_tensor_can_be_asked_for():
    """The model itself stays as it is."""
    model = mlp().model("y")
    session = open_session(with_outputs(model, ["a", "y"]), "m")
    a, y = run_session(session, ["a", "y"], {"x": np.ones((2, 4), np.float32), "more": np.ones(1)}, "m")
    assert (a.shape, y.shape) == ((2, 4), (2, 3))
    assert [value.name for value in model.graph.output] == ["y"]


def test_weights_are_weighed():
    """In bytes, roughly: what a protobuf would hold."""
    assert 4 * (16 + 16 + 12) <= weight_bytes(mlp().model("y")) <= 4 * (16 + 16 + 12) + 100


def test_large_weights_go_by_a_file():
    """The answers are the same, and the model keeps its weights."""
    model = Graph(width=32)
    model.linear("x", "y", 32)
    proto = model.model("y")
    rows = {"x": np.ones((2, 32), np.float32)}
    inline = run_session(open_session(proto, "m"), ["y"], rows, "m")
    apart = run_session(open_session(proto, "m", inline_bytes=0), ["y"], rows, "m")
    np.testing.assert_array_equal(inline, apart)
    assert proto.graph.initializer[0].HasField("raw_data")


def test_faults_are_named():
    """An operator that is not there; rows of another shape."""
    graph = Graph()
    graph.add("Nonsense", ["x"], "y")
    with pytest.raises(UnsupportedOperator, match=r"m: ONNX Runtime cannot load it.*Nonsense"):
        open_session(graph.model("y"), "m")
    with pytest.raises(BadClassifier, match=r"m: ONNX Runtime cannot run it on x \[2, 5\]"):
        run_session(open_session(mlp().model("y"), "m"), ["y"], {"x": np.ones((2, 5), np.float32)}, "m")
