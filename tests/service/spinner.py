"""A bundle whose graphs take as long as the request says: what is under way can be looked at, and left, at leisure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from anytime.model_store import Bundle
from anytime.model_store.build import write_bundle
from tests.bundles.graphs import Sketch

NAME = "spinner"
EXITS = 4
LONG = 400_000
"""Turns that take some tenths of a second."""


def row(first: int = 0, later: int = 0, yes: float = 1.0, no: float = 0.5) -> list[float]:
    """One row: how many turns the first body takes, and each later one; half the logits of every exit."""
    return [float(first), float(later), yes, no]


def build(folder: Path, version: int = 1, **fields: object) -> Bundle:
    """``fields``: further ones of the manifest, such as a calibration."""
    stage = {
        "body": {"file": "body.onnx", "reads": {"x": "h"}, "writes": {"y": "h"}},
        "head": {"file": "head.onnx", "reads": {"x": "h"}, "writes": {"y": "logits"}},
    }
    first = {**stage, "body": {"file": "first.onnx", "reads": {"x": "x"}, "writes": {"y": "h"}}}
    draft = {
        "name": NAME, "version": version, "method": "spinning", "created": "2026-01-01T00:00:00Z",
        "task": "classification",
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 4]}],
        "labels": ["yes", "no"],
        "state": [{"name": "h", "dtype": "float32", "shape": ["batch", 4]}],
        "stages": [first, *[stage] * (EXITS - 1)],
        **fields,
    }  # fmt: skip
    return write_bundle(folder, draft, {"first.onnx": _body(0), "body.onnx": _body(1), "head.onnx": _head()})


def _body(column: int):
    """x (N, 4) -> the same, after as many turns as a column's largest entry says."""
    sketch = Sketch(x=("float32", ("batch", 4)))
    turns = sketch.op("ReduceMax", sketch.op("Gather", "x", np.int64(column), axis=1), keepdims=0)
    nought = sketch.op("Loop", sketch.cast(turns, "int64"), np.bool_(True), np.float32(0), body=_turn())
    sketch.op("Add", "x", nought, to="y")
    return sketch.model(y=("float32", ("batch", 4)))


def _turn():
    """What a Loop runs: nothing, and again."""
    values = {"turn": TensorProto.INT64, "on": TensorProto.BOOL, "v": TensorProto.FLOAT}
    inputs = [helper.make_tensor_value_info(name, kind, []) for name, kind in values.items()]
    outputs = [
        helper.make_tensor_value_info("still_on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, []),
    ]
    nodes = [helper.make_node("Identity", ["on"], ["still_on"]), helper.make_node("Add", ["v", "v"], ["w"])]
    return helper.make_graph(nodes, "turn", inputs, outputs)


def _head():
    """x (N, 4) -> its last two columns, twice: so that a finite input can make a logit that is not."""
    sketch = Sketch(x=("float32", ("batch", 4)))
    sketch.op("MatMul", "x", np.float32([[0, 0], [0, 0], [2, 0], [0, 2]]), to="y")
    return sketch.model(y=("float32", ("batch", 2)))
