"""A bundle whose first exit comes at once and whose later ones take their time: for tests of what arrives before what."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anytime.model_store import Bundle
from anytime.model_store.build import write_bundle
from tests.bundles.graphs import Sketch

NAME = "dawdler"
EXITS = 6
SIDE = 768
PRODUCTS = 16
"""0.45 GMAC each: a later exit takes 0.1 to 0.5 s of one core."""


def build(folder: Path) -> Bundle:
    quick = {"head": {"file": "head.onnx", "reads": {"x": "x"}, "writes": {"y": "logits"}}}
    slow = {
        "body": {"file": "body.onnx", "reads": {"x": "h"}, "writes": {"y": "h"}},
        "head": {"file": "head.onnx", "reads": {"x": "h"}, "writes": {"y": "logits"}},
    }
    first = {**slow, "body": {**slow["body"], "reads": {"x": "x"}}}
    draft = {
        "name": NAME, "version": 1, "method": "dawdling", "created": "2026-01-01T00:00:00Z", "task": "classification",
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 2]}],
        "labels": ["no", "yes"],
        "state": [{"name": "h", "dtype": "float32", "shape": ["batch", 2]}],
        "stages": [quick, first, *[slow] * (EXITS - 2)],
    }  # fmt: skip
    return write_bundle(folder, draft, {"body.onnx": _body(), "head.onnx": _head()})


def _body():
    """x (N, 2) -> the same again, by way of square matrices that hold nothing but their means."""
    sketch = Sketch(x=("float32", ("batch", 2)))
    square = sketch.op("Expand", sketch.op("ReduceMean", "x", np.int64([1]), keepdims=1), np.int64([1, SIDE]))
    square = sketch.op("Expand", sketch.op("Unsqueeze", square, np.int64([1])), np.int64([1, SIDE, SIDE]))
    ones = square
    for _ in range(PRODUCTS):
        square = sketch.op("Mul", sketch.op("MatMul", square, ones), np.float32(1 / SIDE))
    nought = sketch.op("Mul", sketch.op("ReduceMean", square, np.int64([1, 2]), keepdims=0), np.float32(0))
    sketch.op("Add", "x", sketch.op("Unsqueeze", nought, np.int64([1])), to="y")
    return sketch.model(y=("float32", ("batch", 2)))


def _head():
    sketch = Sketch(x=("float32", ("batch", 2)))
    sketch.op("Identity", "x", to="y")
    return sketch.model(y=("float32", ("batch", 2)))
