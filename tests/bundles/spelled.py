"""A network whose input spells what each of its exits will say, and where it will fail: for tests of what runs it.

A row is three logits for each exit, then ``trip``: k makes body k fail on this row, k + 0.5 head k, 0 none. The features
of every stage are the row itself. Not one of the stress bundles.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anytime.model_store import Bundle, write_bundle
from tests.bundles.graphs import Sketch

NAME = "spelled"
LABELS = ("red", "green", "blue")
SURE, UNSURE = 8.0, 0.5
"""Logits of the top label: probabilities of 0.9993 and 0.45."""
NAN = (np.nan, np.nan, np.nan)


def sure(label: int) -> tuple[float, ...]:
    return tuple(SURE if index == label else 0.0 for index in range(len(LABELS)))


def unsure(label: int) -> tuple[float, ...]:
    return tuple(UNSURE if index == label else 0.0 for index in range(len(LABELS)))


def row(*exits: Sequence[float], trip: float = 0.0) -> np.ndarray:
    """One row, (3 * exits + 1,), that makes each exit say these logits."""
    return np.array([*(logit for said in exits for logit in said), trip], dtype=np.float32)


def rows(*each: np.ndarray) -> dict[str, np.ndarray]:
    """The input of several rows, by name."""
    return {"x": np.stack(each)}


def build(folder: Path, exits: int = 3, *, head_rows: int | str = "batch", **fields: Any) -> Bundle:
    """``head_rows``: the row axis that the heads' graphs declare. ``fields``: further fields of the manifest."""
    width = len(LABELS) * exits + 1
    files = {f"body{k}.onnx": _body(width, k) for k in range(1, exits + 1)}
    files |= {f"head{k}.onnx": _head(width, k, head_rows) for k in range(1, exits + 1)}
    features = ["x", *(f"features_{k}" for k in range(1, exits + 1))]
    stages = [
        {
            "body": {"file": f"body{k}.onnx", "reads": {"x": features[k - 1]}, "writes": {"y": features[k]}},
            "head": {"file": f"head{k}.onnx", "reads": {"x": features[k]}, "writes": {"y": "logits"}},
        }
        for k in range(1, exits + 1)
    ]
    draft = {
        "name": NAME, "created": "2026-01-01T00:00:00Z", "task": "classification",
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", width]}], "labels": list(LABELS),
        "state": [{"name": name, "dtype": "float32", "shape": ["batch", width]} for name in features[1:]],
        "stages": stages,
    }  # fmt: skip
    return write_bundle(folder, draft | fields, files)


def _body(width: int, k: int):
    """x (batch, width) -> x, by way of a product that is always 0: width * width multiply-adds."""
    sketch = Sketch(x=("float32", ("batch", width)))
    sketch.op("Add", "x", _nothing(sketch, "x", width, width, float(k)), to="y")
    return sketch.model(y=("float32", ("batch", width)))


def _head(width: int, k: int, batch: int | str):
    """x (batch, width) -> its three columns of exit k, (batch, 3): 9 multiply-adds."""
    sketch = Sketch(x=("float32", (batch, width)))
    said = sketch.op("Gather", "x", np.arange(3 * (k - 1), 3 * k), axis=1)
    sketch.op("Add", said, _nothing(sketch, said, len(LABELS), width, k + 0.5), to="y")
    return sketch.model(y=("float32", (batch, len(LABELS))))


def _nothing(sketch: Sketch, x: str, columns: int, width: int, trip: float) -> str:
    """Zeros, (batch, columns), whatever ``x`` holds; an index out of bounds where a row's last column is ``trip``."""
    product = sketch.op(
        "MatMul", sketch.cast(sketch.op("IsNaN", x), "float32"), np.zeros((columns, columns), np.float32)
    )
    asked = sketch.op("Gather", "x", np.array([width - 1]), axis=1)
    index = sketch.cast(sketch.op("Equal", asked, np.float32([trip])), "int64")
    return sketch.op("Add", product, sketch.op("Gather", np.zeros(1, np.float32), index, axis=0))
