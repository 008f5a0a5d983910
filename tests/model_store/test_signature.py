"""Tests of ONNX inputs and outputs against the manifest."""

import pytest
from onnx import helper

from anytime.model_store import errors
from anytime.model_store.bundle import open_bundle
from tests.model_store import tiny

MATMUL = [helper.make_node("MatMul", ["y", "w"], ["scores"])]
IN = {"y": ("float32", ["batch", 4])}
OUT = {"scores": ("float32", ["batch", 3])}


def head(inputs=IN, outputs=OUT, nodes=MATMUL):
    return tiny.model(nodes, inputs, outputs, {"w": tiny.WEIGHT}).SerializeToString()


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"y": ("float32", [1, 4])}, {"scores": ("float32", [1, 3])}),
        ({"y": ("float32", ["n", "features"])}, {"scores": ("float32", ["n", "m"])}),
        ({"y": ("float32", None)}, {"scores": ("float32", None)}),
        ({"y": ("float32", [None, None])}, {"scores": ("float64", ["n", 3])}),
        ({**IN, "w": ("float32", [4, 3])}, OUT),
        (IN, {**OUT, "extra": ("int64", [7])}),
    ],
)
def test_matches(folder, inputs, outputs):
    """Symbolic and unknown axes, a row axis of 1, initializers among the inputs and outputs too many all match."""
    tiny.rewrite(folder, "head.onnx", head(inputs, outputs))
    assert open_bundle(folder).manifest.exits == 2


@pytest.mark.parametrize(
    ("inputs", "outputs", "said"),
    [
        ({**IN, "z": ("float32", [1])}, OUT, "has the input 'z'"),
        ({"x": ("float32", ["n", 4])}, OUT, "input 'x'"),
        ({"y": ("float16", ["n", 4])}, OUT, "is float16; the manifest says float32"),
        ({"y": ("float32", ["n", 5])}, OUT, r"shape \['n', 5\]"),
        ({"y": ("float32", ["n", 4, 1])}, OUT, "shape"),
        ({"y": ("float32", [2, 4])}, OUT, "shape"),
        ({"y": ("float32", [])}, OUT, "shape"),
        (IN, {"score": ("float32", ["n", 3])}, "no output 'scores'.*did you mean 'score'"),
        (IN, {"scores": ("float32", ["n", 4])}, "shape"),
        (IN, {"scores": ("float32", [3])}, "shape"),
        (IN, {"scores": ("int64", ["n", 3])}, "add a Cast"),
    ],
)
def test_mismatch(folder, inputs, outputs, said):
    """Names, dtypes, ranks and fixed axes that differ are GraphMismatch, and the message says where."""
    tiny.rewrite(folder, "head.onnx", head(inputs, outputs))
    with pytest.raises(errors.GraphMismatch, match=said):
        open_bundle(folder)


@pytest.mark.parametrize(("columns", "fits"), [(1, True), ("k", True), (2, False)])
def test_scalar_output(folder, columns, fits):
    """A commitment head is one column."""
    tiny.rewrite(folder, "head.onnx", head(outputs={**OUT, "sure": ("float32", ["n", columns])}))
    tiny.edit(folder, lambda raw: raw["stages"][0]["head"]["writes"].update(sure="commitment"))
    if fits:
        open_bundle(folder)
    else:
        with pytest.raises(errors.GraphMismatch, match="sure"):
            open_bundle(folder)


def test_not_a_tensor(folder):
    """A sequence where a tensor is wanted is GraphMismatch."""
    model = tiny.head()
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None))
    model.graph.output[0].type.CopyFrom(kind)
    tiny.rewrite(folder, "head.onnx", model.SerializeToString())
    with pytest.raises(errors.GraphMismatch, match="not a tensor"):
        open_bundle(folder)


@pytest.mark.parametrize(("least", "fits"), [(4, True), (3, False)])
def test_symbol_of_one_size(folder, least, fits):
    """An ONNX axis may be fixed where the manifest's symbol has one size only."""

    def change(raw):
        raw["axes"] = {"seq": {"min": least, "typical": 4, "max": 4}}
        raw["inputs"][0]["shape"] = ["batch", "seq"]

    tiny.edit(folder, change)
    if fits:
        open_bundle(folder)
    else:
        with pytest.raises(errors.GraphMismatch):
            open_bundle(folder)
