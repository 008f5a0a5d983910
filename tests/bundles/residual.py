"""Two stages of one residual block on 32 channels, a graph each: maps that ONNX Runtime lays out in blocks.

Not one of the stress bundles.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anytime.model_store import Bundle, write_bundle
from tests.bundles.graphs import Sketch

NAME = "residual"
CHANNELS, SIDE, LABELS = 32, 6, ("red", "green", "blue")
MAP = ("batch", CHANNELS, SIDE, SIDE)


def build(folder: Path) -> Bundle:
    files = {f"stage{k}.onnx": _stage(k) for k in (1, 2)}
    stages = [
        {"head": {"file": f"stage{k}.onnx", "reads": {"x": reads}, "writes": {"y": "h", "logits": "logits"}}}
        for k, reads in ((1, "image"), (2, "h"))
    ]
    draft = {
        "name": NAME, "created": "2026-01-01T00:00:00Z", "task": "classification",
        "inputs": [{"name": "image", "dtype": "float32", "shape": list(MAP)}], "labels": list(LABELS),
        "state": [{"name": "h", "dtype": "float32", "shape": list(MAP)}], "stages": stages,
    }  # fmt: skip
    return write_bundle(folder, draft, files)


def image(seed: int = 0) -> np.ndarray:
    """One row."""
    return np.random.default_rng(seed).normal(size=(1, *MAP[1:])).astype(np.float32)


def _stage(seed: int):
    """y = relu(x + conv(relu(conv(x)))), logits = mean(y) W"""
    draw = np.random.default_rng(seed)
    sketch = Sketch(x=("float32", MAP))
    weights = [draw.normal(0.0, 0.1, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32) for _ in range(2)]
    inner = sketch.op("Relu", sketch.op("Conv", "x", weights[0], pads=[1, 1, 1, 1]))
    outer = sketch.op("Conv", inner, weights[1], pads=[1, 1, 1, 1])
    y = sketch.op("Relu", sketch.op("Add", "x", outer), to="y")
    weight = draw.normal(size=(CHANNELS, len(LABELS))).astype(np.float32)
    sketch.op("MatMul", sketch.pooled(y), weight, to="logits")
    return sketch.model(y=("float32", MAP), logits=("float32", ("batch", len(LABELS))))
