"""A quantised network with a hierarchy of labels and every optional head output (QuickNets, Patel and Siegelmann).

Stresses: a uint8 input that takes pictures; uint8 state between ``QLinearConv`` stages and int32 state out of
``MatMulInteger``; ``logits.coarse``, ``commitment``, ``ood``, and ``stop`` at two of three exits; a temperature per exit
and level; operating points, a default policy, ``answer: most_confident``. Scales are powers of 2: outputs agree exactly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anytime.model_store import Bundle, write_bundle
from tests.bundles.arithmetic import conv, integers, pooled, weights
from tests.bundles.graphs import Sketch, Spec

NAME = "quantised"
TOLERANCE = 0.0
SIZE, CHANNELS, SUMS = 6, 4, 8
X_SCALE, X_ZERO = 2.0**-7, 128
Q_SCALE, Q_ZERO = 2.0**-5, 64
FINE = ("cat", "dog", "oak", "fern", "van", "tram")
COARSE = ("animal", "plant", "vehicle")
PARENT = (0, 0, 1, 1, 2, 2)
OUTPUTS = {"logits": 6, "logits.coarse": 3, "commitment": 1, "ood": 1, "stop": 1}
LAST_OUTPUTS = ("logits", "logits.coarse", "commitment", "ood")
KERNELS = [integers(600, (CHANNELS, 1, 3, 3), -7, 7), integers(601, (CHANNELS, CHANNELS, 3, 3), -7, 7)]
KERNEL_SCALE = [np.float32([0.25, 0.125, 0.25, 0.125]), np.float32([0.125, 0.0625, 0.125, 0.0625])]
"""Per output channel."""
SUM_WEIGHT = integers(602, (CHANNELS * 16, SUMS), -7, 7)
SUM_SCALE = 2.0**-10
TEMPERATURE = ((2.0, 1.0), (1.0, 0.5), (1.0, 1.0))
"""Per exit: fine, coarse."""
OPERATING_POINTS = {
    "accuracy-1": {"confidence": [0.5, 0.75, None]},
    "cost-50": {"entropy": 0.25, "commitment": 0.5, "combine": "any"},
}
DEFAULT_POLICY = {"confidence": 0.875, "min_exit": 2}
MACS = {
    (1, "body"): 4 * 16 * 9, (1, "head"): 4 * (6 + 3 + 1 + 1 + 1),
    (2, "body"): 4 * 16 * 4 * 9, (2, "head"): 4 * (6 + 3 + 1 + 1 + 1),
    (3, "body"): 64 * 8, (3, "head"): 8 * (6 + 3 + 1 + 1),
}  # fmt: skip


def _linear(exit: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Weight (features, columns) and bias (columns,) of one output of one head."""
    place = 10 * exit + list(OUTPUTS).index(name)
    features = SUMS if exit == 3 else CHANNELS
    scale = (4.0, 2.0, 1.0)[exit - 1]
    return weights(610 + place, features, OUTPUTS[name], scale=scale), weights(660 + place, OUTPUTS[name], scale=0.25)


def inputs(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Pictures from dark to bright, so that rows differ."""
    brightness = integers(seed + 706, (rows, 1, 1, 1), 0, 3) * 64
    return {"pixels": (integers(seed + 6, (rows, 1, SIZE, SIZE), 0, 63) + brightness).astype(np.uint8)}


def reference(inputs: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Every exit's raw head outputs, (rows, columns), in integers up to the heads."""
    q1 = _quantised(conv(inputs["pixels"].astype(np.int64) - X_ZERO, KERNELS[0]), X_SCALE, KERNEL_SCALE[0])
    q2 = _quantised(conv(q1 - Q_ZERO, KERNELS[1], pad=1), Q_SCALE, KERNEL_SCALE[1])
    sums = (q2 - Q_ZERO).reshape(len(q2), -1) @ SUM_WEIGHT
    features = (pooled((q1 - Q_ZERO) * Q_SCALE), pooled((q2 - Q_ZERO) * Q_SCALE), sums * SUM_SCALE)
    return [
        {name: x @ _linear(exit, name)[0] + _linear(exit, name)[1] for name in _outputs(exit)}
        for exit, x in enumerate(features, start=1)
    ]


def _quantised(total: np.ndarray, scale: float, kernel_scale: np.ndarray) -> np.ndarray:
    """Integer sums to the next state: halves to even, saturating at 0 and 255."""
    real = total * (scale * kernel_scale.astype(np.float64) / Q_SCALE)[:, None, None]
    return np.clip(np.rint(real).astype(np.int64) + Q_ZERO, 0, 255)


def _outputs(exit: int) -> tuple[str, ...]:
    return LAST_OUTPUTS if exit == 3 else tuple(OUTPUTS)


def build(folder: Path) -> Bundle:
    reads = ({"x": "pixels"}, {"x": "levels"}, {"x": "levels"})
    written = ("levels", "levels", "sums")
    stages = [
        {
            "body": {"file": f"body{exit}.onnx", "reads": reads[exit - 1], "writes": {"y": written[exit - 1]}},
            "head": {"file": f"head{exit}.onnx", "reads": {"x": written[exit - 1]},
                     "writes": {name.replace(".", "_"): name for name in _outputs(exit)}},
        }
        for exit in (1, 2, 3)
    ]  # fmt: skip
    points = [{"name": name, "policy": policy, "accuracy": 0.9, "cost": 0.5, "exit_shares": [0.25, 0.5, 0.25]}
              for name, policy in OPERATING_POINTS.items()]  # fmt: skip
    draft = {
        "name": NAME, "version": 1, "method": "quicknets", "created": "2026-01-01T00:00:00Z", "task": "classification",
        "inputs": [{"name": "pixels", "dtype": "uint8", "shape": ["batch", 1, SIZE, SIZE],
                    "preprocess": {"channels": "gray", "resize": [SIZE, SIZE]}}],
        "labels": list(FINE),
        "levels": [{"name": "fine", "labels": list(FINE), "parent": list(PARENT)},
                   {"name": "coarse", "labels": list(COARSE)}],
        "state": [{"name": "levels", "dtype": "uint8", "shape": ["batch", CHANNELS, 4, 4]},
                  {"name": "sums", "dtype": "int32", "shape": ["batch", SUMS]}],
        "stages": stages,
        "answer": "most_confident",
        "calibration": {"temperature": [list(row) for row in TEMPERATURE], "operating_points": points,
                        "default_policy": DEFAULT_POLICY},
    }  # fmt: skip
    bodies = {"body1.onnx": _convolution(0), "body2.onnx": _convolution(1), "body3.onnx": _products()}
    return write_bundle(folder, draft, bodies | {f"head{exit}.onnx": _head(exit) for exit in (1, 2, 3)})


_LEVELS: Spec = ("uint8", ("batch", CHANNELS, 4, 4))


def _convolution(k: int):
    sketch = Sketch(x=("uint8", ("batch", 1, SIZE, SIZE)) if k == 0 else _LEVELS)
    came = ((np.float32(X_SCALE), np.uint8(X_ZERO)), (np.float32(Q_SCALE), np.uint8(Q_ZERO)))[k]
    kernel = (KERNELS[k].astype(np.int8), KERNEL_SCALE[k], np.zeros(CHANNELS, dtype=np.int8))
    goes = (np.float32(Q_SCALE), np.uint8(Q_ZERO))
    sketch.op("QLinearConv", "x", *came, *kernel, *goes, pads=[k] * 4, to="y")
    return sketch.model(y=_LEVELS)


def _products():
    sketch = Sketch(x=_LEVELS)
    flat = sketch.op("Flatten", "x")
    sketch.op("MatMulInteger", flat, SUM_WEIGHT.astype(np.int8), np.uint8(Q_ZERO), to="y")
    return sketch.model(y=("int32", ("batch", SUMS)))


def _head(exit: int):
    if exit == 3:
        sketch = Sketch(x=("int32", ("batch", SUMS)))
        features = sketch.op("Mul", sketch.cast("x", "float32"), np.float32([SUM_SCALE]))
    else:
        sketch = Sketch(x=_LEVELS)
        features = sketch.pooled(sketch.op("DequantizeLinear", "x", np.float32(Q_SCALE), np.uint8(Q_ZERO)))
    for name in _outputs(exit):
        sketch.gemm(features, *_linear(exit, name), to=name.replace(".", "_"))
    shapes = {name.replace(".", "_"): ("float32", ("batch", OUTPUTS[name])) for name in _outputs(exit)}
    return sketch.model(**shapes)
