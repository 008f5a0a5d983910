import numpy as np

from anytime.training.attach.passages import Narrows, Passages
from tests.training.attach.networks import Graph, dense, mlp, towers


def passages(tmp_path, graph, **options):
    network = graph.read(tmp_path, "y")
    return Passages(network.model.graph, network.work, **options)


def names(found):
    return [place.tensor for place in found.places()]


def test_each_tensor_of_a_chain_passes_alone(tmp_path):
    """With the multiply-adds before it; the output is no place."""
    found = passages(tmp_path, mlp()).places()
    assert [(place.tensor, place.macs) for place in found] == [("a", 16), ("ra", 16), ("b", 32), ("rb", 32)]
    assert not any(place.starts_again for place in found)


def test_a_skip_connection_passes_beside(tmp_path):
    """Until it is added."""
    graph = Graph()
    graph.linear("x", "a")
    graph.add("Add", [graph.linear(graph.linear("a", "b"), "c"), "a"], "d")
    graph.linear("d", "y", 3)
    found = passages(tmp_path, graph)
    assert names(found) == ["a", "d"]
    assert found.beside("c") == ["a"]
    assert found.beside("d") == []


def test_what_follows_without_multiply_adds_passes_freely(tmp_path):
    """A mask of the input, and a product over one number, as a rotation's angles are made by."""
    graph = Graph()
    graph.add("Sigmoid", ["x"], "mask")
    graph.constant("axis", np.array([1], np.int64))
    graph.add("ReduceMean", ["x"], "m", axes=[1], keepdims=1)
    graph.linear("m", "angles", rows=1)
    graph.add("Mul", [graph.linear("x", "a"), "mask"], "am")
    graph.add("Add", [graph.linear("am", "b"), "angles"], "ab")
    graph.add("Mul", ["ab", "mask"], "bm")
    graph.linear("bm", "y", 3)
    found = passages(tmp_path, graph)
    assert names(found) == ["a", "am", "b", "ab", "bm"]
    assert not found.is_heavy("angles")
    assert found.is_heavy("a")


def test_what_follows_from_constants_alone_is_a_constant(tmp_path):
    """Whatever it costs: the runtime folds it."""
    graph = Graph()
    graph.constant("table", np.ones((4, 4), np.float32))
    graph.linear("table", "made")
    graph.linear("x", "a")
    graph.add("MatMul", ["a", "made"], "b")
    graph.add("MatMul", ["b", "made"], "c")
    graph.linear("c", "y", 3)
    assert names(passages(tmp_path, graph)) == ["a", "b", "c"]


def test_an_embedding_is_heavy_where_tables_weigh(tmp_path):
    """It is an input's values looked up in weights, and no mask."""
    graph = Graph(width=4)
    graph.constant("table", np.random.default_rng(0).standard_normal((3, 500)).astype(np.float32))
    graph.add("Cast", ["x"], "ids", to=7)
    graph.add("Clip", ["ids", graph.constant("lo", np.array(0)), graph.constant("hi", np.array(2))], "c")
    graph.add("Gather", ["table", "c"], "e")
    graph.add("ReduceMean", ["e"], "em", axes=[1], keepdims=0)
    graph.add("Add", [graph.linear("em", "a", 500, rows=500), "em"], "s")
    graph.linear("s", "y", 3, rows=500)
    assert names(passages(tmp_path, graph)) == ["a", "s"]
    assert names(passages(tmp_path, graph, tables_weigh=True)) == ["e", "em", "s"]


def test_drawn_numbers_are_not_drawn_again(tmp_path):
    """They pass as they fell."""
    graph = Graph()
    graph.add("RandomNormalLike", ["x"], "noise", seed=1.0)
    graph.linear("x", "a")
    graph.add("Add", [graph.linear("a", "b"), "noise"], "c")
    graph.linear("c", "y", 3)
    found = passages(tmp_path, graph)
    assert found.is_heavy("noise")
    assert [place.tensor for place in found.places() if not place.starts_again] == ["c"]


def test_towers_start_again(tmp_path):
    """Each place of the first is left by layers that read the input."""
    found = passages(tmp_path, towers())
    assert [(place.tensor, place.starts_again) for place in found.places()] == [
        ("a1", True), ("a2", True), ("a3", True),
    ]  # fmt: skip
    assert found.place("b2").starts_again
    assert not found.leads_to("a1", "b2")
    assert found.leads_to("a1", "a3")


def test_the_narrowest_place_is_told(tmp_path):
    """By its tensors and where it lies."""
    assert passages(tmp_path, dense(5)).narrowest(17, 200) == Narrows(("from_1_2", "h1"), 32)
    assert passages(tmp_path, mlp()).narrowest(17, 31) is None
