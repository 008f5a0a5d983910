from anytime.model_store.manifest import Size
from anytime.training.attach import NetworkInput
from anytime.training.attach.inputs import sized
from anytime.training.attach.tensors import Described, describe
from tests.training.attach.networks import Graph


def inputs(*shape, one_row=False):
    axes = {axis: Size(min=2, max=9, typical=4) for axis in shape[1:] if isinstance(axis, str)}
    return sized((NetworkInput("x", "float32", shape),), axes, one_row, "m")


def test_axes_are_told_by_how_they_move():
    """Rows wherever they are, open axes by name, all else fixed; a length that is none of them is not said."""
    graph = Graph(shape=["batch", "length", 4])
    graph.add("Transpose", ["x"], "turned", perm=[1, 0, 2])
    graph.add("Concat", ["x", "x"], "doubled", axis=1)
    graph.add("Shape", ["x"], "shape")
    graph.add("Greater", ["x", "x"], "mask")
    found = describe(graph.model("turned", [None] * 3), inputs("batch", "length", 4),
                     ["turned", "doubled", "shape", "mask"], "m")  # fmt: skip
    assert found == {
        "turned": Described("float32", ("length", "batch", 4)),
        "shape": Described("int64", (3,)),
        "mask": Described("bool", ("batch", "length", 4)),
    }
    assert [name for name, one in found.items() if one.has_rows_first] == ["mask"]


def test_rows_fixed_at_one_are_rows():
    """As the first axis."""
    graph = Graph(rows=1)
    graph.linear("x", "y")
    assert describe(graph.model("y"), inputs("batch", 4, one_row=True), ["y"], "m")["y"].shape == ("batch", 4)


def test_nothing_asked_is_nothing_run():
    """As for a network without a place to cut."""
    assert describe(Graph().model("nothing"), inputs("batch", 4), [], "m") == {}
