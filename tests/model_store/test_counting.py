"""Tests of the counts that a draft leaves out; the usual ones stand in the tests of ``build``."""

import pytest

from anytime.model_store.counting import count_graphs
from anytime.model_store.errors import Uncountable
from tests.model_store import tiny


def test_where():
    """A graph that cannot be counted is named by its place, with the way out."""
    raw = tiny.draft()
    raw["inputs"][0]["shape"] = ["batch", "seq", 4]
    head = tiny.model(
        [tiny.helper.make_node("MatMul", ["y", "w"], ["scores"])],
        {"y": ("float32", ["n", "tokens", 4])},
        {"scores": ("float32", None)},
        {"w": tiny.WEIGHT},
    )
    with pytest.raises(Uncountable, match=r"stage 1's head: .*; or give its macs in the draft"):
        count_graphs(raw, {"head.onnx": head})


def test_given():
    """What is given is not looked at."""
    raw = tiny.manifest()
    count_graphs(raw, {})
    assert raw == tiny.manifest()


@pytest.mark.parametrize(
    "raw", [{}, {"stages": 1}, {"stages": [1, {"head": "x", "body": None}]}, {"axes": [], "inputs": {}}]
)
def test_malformed(raw):
    """What is malformed is left for the parser to name."""
    before = repr(raw)
    count_graphs(raw, {})
    assert repr(raw) == before
