"""Zero Time Waste (Wołczyk et al. 2021): heads that read what earlier heads wrote, on a frozen backbone.

Stresses: state written by heads (``scores``, rewritten by each; ``log_p_1`` .. ``log_p_4``, one each); a head that
needs another head; a last exit that needs none of them, so that without a rule no other head runs; a conv body per
stage. Outputs agree with the reference within 1e-6 (they hold exponentials), the last exit's exactly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anytime.model_store import Bundle, write_bundle
from tests.bundles.arithmetic import conv, integers, log_softmax, pooled, relu, weights
from tests.bundles.graphs import Sketch, Spec

NAME = "ztw"
TOLERANCE = 1e-6
LABELS = 4
HEADS = 4
"""Heads that take part in the cascade; exit 5 is the base network's own."""
MAPS = ((1, 8), (2, 8), (3, 4), (4, 4), (4, 2), (4, 2))
"""Channels and size of the input and after each body."""
STRIDES = (1, 2, 1, 2, 1)
KERNELS = [weights(10 + k, MAPS[k + 1][0], MAPS[k][0], 3, 3) for k in range(5)]
LINEAR = [
    weights(20 + k, MAPS[k + 1][0] + (LABELS if 0 < k < HEADS else 0), LABELS, scale=0.25 / (1, 1, 4, 8, 16)[k])
    for k in range(5)
]
BIAS = np.float32([
    (-0.1875, -0.0625, -0.375, 0.0625),
    (0.625, -0.5625, 1.75, -0.4375),
    (0.3125, -0.25, 0.9375, -1.375),
    (-0.25, -0.3125, -1.4375, 0.9375),
    (0.9375, -0.5625, 1.1875, 0.375),
])  # fmt: skip
"""Chosen so that labels take turns."""
MIX = ((1.0,), (0.5, 0.75), (0.25, 0.25, 0.75), (0.25, 0.25, 0.5, 0.5))
"""w_m of the geometric ensemble: head m's log-probabilities are b_m + sum_j w_mj log p_j, normalised."""
OFFSET = [weights(40 + m, LABELS, scale=0.0625) for m in range(HEADS)]
TEMPERATURE = (1.0, 2.0, 1.0, 0.5, 1.0)
MACS = {
    (1, "body"): 2 * 8 * 8 * 1 * 9, (1, "head"): 2 * 4,
    (2, "body"): 3 * 4 * 4 * 2 * 9, (2, "head"): (3 + 4) * 4,
    (3, "body"): 4 * 4 * 4 * 3 * 9, (3, "head"): (4 + 4) * 4,
    (4, "body"): 4 * 2 * 2 * 4 * 9, (4, "head"): (4 + 4) * 4,
    (5, "body"): 4 * 2 * 2 * 4 * 9, (5, "head"): 4 * 4,
}  # fmt: skip


def inputs(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Pictures from dark to bright, so that rows differ."""
    brightness = integers(seed + 701, (rows, 1, 1, 1), -2, 2)
    return {"x": (integers(seed + 1, (rows, 1, 8, 8), -1, 1) + brightness).astype(np.float32)}


def reference(inputs: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Every exit's raw head outputs, (rows, labels)."""
    features = inputs["x"].astype(np.float64)
    log_p: list[np.ndarray] = []
    outputs = []
    scores = np.zeros((len(features), 0))
    for k in range(5):
        features = relu(conv(features, KERNELS[k], stride=STRIDES[k], pad=1))
        before = scores if 0 < k < HEADS else scores[:, :0]
        scores = np.concatenate([pooled(features), before], axis=1) @ LINEAR[k] + BIAS[k]
        log_p.append(log_softmax(scores))
        if k == HEADS:
            outputs.append({"logits": scores})
        else:
            mixed = sum(w * p for w, p in zip(MIX[k], log_p, strict=True)) + OFFSET[k]
            outputs.append({"logits": log_softmax(mixed)})
    return outputs


def build(folder: Path) -> Bundle:
    features = [f"features_{k}" for k in range(1, 6)]
    files = {}
    stages = []
    for k, name in enumerate(features):
        files[f"body{k + 1}.onnx"] = _body(k)
        files[f"head{k + 1}.onnx"] = _head(k) if k < HEADS else _base_head()
        body = {"x": features[k - 1] if k else "x"}
        head, writes = {"features": name}, {"logits": "logits"}
        if k < HEADS:
            head |= {f"log_p_{j}": f"log_p_{j}" for j in range(1, k + 1)} | ({"before": "scores"} if k else {})
            writes |= {"scores": "scores", "log_p": f"log_p_{k + 1}"}
        stages.append({
            "body": {"file": f"body{k + 1}.onnx", "reads": body, "writes": {"y": name}},
            "head": {"file": f"head{k + 1}.onnx", "reads": head, "writes": writes},
        })  # fmt: skip
    shapes = [*zip(features, MAPS[1:], strict=True)]
    draft = {
        "name": NAME, "version": 1, "method": "ztw", "created": "2026-01-01T00:00:00Z", "task": "classification",
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 1, 8, 8]}],
        "labels": ["north", "east", "south", "west"],
        "state": [
            *({"name": n, "dtype": "float32", "shape": ["batch", c, s, s]} for n, (c, s) in shapes),
            *({"name": n, "dtype": "float32", "shape": ["batch", LABELS]}
              for n in ("scores", *(f"log_p_{m}" for m in range(1, HEADS + 1)))),
        ],
        "stages": stages,
        "calibration": {"temperature": [[t] for t in TEMPERATURE]},
    }  # fmt: skip
    return write_bundle(folder, draft, files)


def _map(k: int) -> Spec:
    channels, size = MAPS[k]
    return "float32", ("batch", channels, size, size)


def _body(k: int):
    sketch = Sketch(x=_map(k))
    sketch.op("Relu", sketch.op("Conv", "x", KERNELS[k], pads=[1] * 4, strides=[STRIDES[k]] * 2), to="y")
    return sketch.model(y=_map(k + 1))


def _head(k: int):
    row = ("float32", ("batch", LABELS))
    earlier = [f"log_p_{j}" for j in range(1, k + 1)]
    given = dict.fromkeys((*earlier, *(["before"] if k else [])), row)
    sketch = Sketch(features=_map(k + 1), **given)
    features = sketch.pooled("features")
    if k:
        features = sketch.op("Concat", features, "before", axis=1)
    scores = sketch.gemm(features, LINEAR[k], BIAS[k], to="scores")
    log_p = [*earlier, sketch.op("LogSoftmax", scores, axis=-1, to="log_p")]
    parts = [sketch.op("Mul", name, np.float32([w])) for name, w in zip(log_p, MIX[k], strict=True)]
    sketch.op("LogSoftmax", sketch.op("Sum", *parts, OFFSET[k]), axis=-1, to="logits")
    return sketch.model(logits=row, scores=row, log_p=row)


def _base_head():
    sketch = Sketch(features=_map(5))
    sketch.gemm(sketch.pooled("features"), LINEAR[HEADS], BIAS[HEADS], to="logits")
    return sketch.model(logits=("float32", ("batch", LABELS)))
