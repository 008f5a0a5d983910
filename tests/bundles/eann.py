"""An ensemble of networks run one after another (EANN, Hu et al. 2019): stages that restart from the input.

Stresses: ``answer: best_validated`` with two passive exits, 3 and the last; bodies that read ``input`` again; one state
name, ``hidden``, written five times; a head (exit 4) that needs the head of exit 1, so that under a rule at exit 2 that
head runs late, when ``hidden`` has been written again, and must still read the first write. Its answer costs more than
the last exit's own graphs: a cost above 1. Outputs agree exactly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anytime.model_store import Bundle, write_bundle
from tests.bundles.arithmetic import integers, relu, weights
from tests.bundles.graphs import Sketch, Spec

NAME = "eann"
TOLERANCE = 0.0
FEATURES, HIDDEN, LABELS = 6, 8, 3
ACCURACY = (0.60, 0.75, 0.70, 0.85, 0.85)
"""On validation data: exits 3 (worse than 2) and 5 (no better than 4) are passive."""
PASSIVE = (3, 5)
DEPTH = (1, 1, 2, 1, 3)
"""Layers of each body."""
RESTARTS = (1, 3, 5)
"""Stages whose body reads the input; the others go on from ``hidden``: networks A (exits 1, 2), B (3, 4) and C (5)."""
LAYERS = [
    [weights(300 + 10 * k + i, FEATURES if i == 0 and k + 1 in RESTARTS else HIDDEN, HIDDEN, keep=60) for i in range(n)]
    for k, n in enumerate(DEPTH)
]
SHIFT = [[weights(400 + 10 * k + i, HIDDEN) for i in range(n)] for k, n in enumerate(DEPTH)]
LINEAR = [weights(450 + k, HIDDEN, LABELS, scale=0.125) for k in range(5)]
BIAS = np.float32([
    (0, -0.125, 0), (0, -0.125, 0.25), (0.4375, -0.25, 0), (0.125, 0.875, 0.125), (-0.125, -1.625, 0.8125),
])  # fmt: skip
"""Chosen so that labels take turns."""
MACS = {
    (1, "body"): 6 * 8, (2, "body"): 8 * 8, (3, "body"): 6 * 8 + 8 * 8, (4, "body"): 8 * 8,
    (5, "body"): 6 * 8 + 8 * 8 + 8 * 8,
} | {(k, "head"): 8 * 3 for k in range(1, 6)}  # fmt: skip


def inputs(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    volume = 2.0 ** (np.arange(rows) % 3 - 1).reshape(-1, 1)
    return {"input": (integers(seed + 4, (rows, FEATURES), -4, 4) * volume).astype(np.float32)}


def reference(inputs: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Every exit's raw head outputs, (rows, labels): three separate networks, the last of B asks the first of A."""
    x = inputs["input"].astype(np.float64)
    a1 = _layers(x, 0)
    a2 = _layers(a1, 1)
    b3 = _layers(x, 2)
    b4 = _layers(b3, 3)
    c5 = _layers(x, 4)
    logits = [hidden @ LINEAR[k] + BIAS[k] for k, hidden in enumerate((a1, a2, b3, b4, c5))]
    logits[3] = logits[3] + logits[0]
    return [{"logits": each} for each in logits]


def _layers(x: np.ndarray, k: int) -> np.ndarray:
    for weight, shift in zip(LAYERS[k], SHIFT[k], strict=True):
        x = relu(x @ weight + shift)
    return x


def build(folder: Path) -> Bundle:
    files, stages = {}, []
    for k in range(5):
        number = k + 1
        files[f"body{number}.onnx"], files[f"head{number}.onnx"] = _body(k), _head(k)
        reads = {"hidden": "hidden"} | ({"vote": "vote"} if number == 4 else {})
        writes = {"logits": "logits"} | ({"vote": "vote"} if number == 1 else {})
        body_reads = {"x": "input" if number in RESTARTS else "hidden"}
        stages.append({
            "body": {"file": f"body{number}.onnx", "reads": body_reads, "writes": {"y": "hidden"}},
            "head": {"file": f"head{number}.onnx", "reads": reads, "writes": writes},
        })  # fmt: skip
    draft = {
        "name": NAME, "version": 1, "method": "eann", "created": "2026-01-01T00:00:00Z", "task": "classification",
        "inputs": [{"name": "input", "dtype": "float32", "shape": ["batch", FEATURES]}],
        "labels": ["low", "medium", "high"],
        "state": [
            {"name": "hidden", "dtype": "float32", "shape": ["batch", HIDDEN]},
            {"name": "vote", "dtype": "float32", "shape": ["batch", LABELS]},
        ],
        "stages": stages,
        "answer": "best_validated",
        "calibration": {"accuracy": list(ACCURACY)},
    }  # fmt: skip
    return write_bundle(folder, draft, files)


_HIDDEN: Spec = ("float32", ("batch", HIDDEN))
_LOGITS: Spec = ("float32", ("batch", LABELS))


def _body(k: int):
    sketch = Sketch(x=("float32", ("batch", FEATURES)) if k + 1 in RESTARTS else _HIDDEN)
    x = "x"
    for i, (weight, shift) in enumerate(zip(LAYERS[k], SHIFT[k], strict=True)):
        x = sketch.op("Relu", sketch.gemm(x, weight, shift), to="y" if i == DEPTH[k] - 1 else None)
    return sketch.model(y=_HIDDEN)


def _head(k: int):
    if k == 3:
        sketch = Sketch(hidden=_HIDDEN, vote=_LOGITS)
        sketch.op("Add", sketch.gemm("hidden", LINEAR[k], BIAS[k]), "vote", to="logits")
        return sketch.model(logits=_LOGITS)
    sketch = Sketch(hidden=_HIDDEN)
    sketch.gemm("hidden", LINEAR[k], BIAS[k], to="logits")
    if k == 0:
        sketch.op("Identity", "logits", to="vote")
        return sketch.model(logits=_LOGITS, vote=_LOGITS)
    return sketch.model(logits=_LOGITS)
