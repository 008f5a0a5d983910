"""A cascaded network (Iuzzolino et al. 2021): one step graph file that serves six stages, one head file too.

Stresses: one file under several stages; ``step``, an int64 state of one number per row that the graph increments, clamps
and gathers its batch-norm row by, so that rows at different steps may share a run; start values on file; names that each
stage rewrites under other ONNX names; ``repeat``. A residual arrives one step late (the paper's OSD kernel). The null
step, whose residuals F_i(0) do not depend on the input, is stored as the start. Outputs agree exactly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anytime.model_store import Bundle, write_bundle
from tests.bundles.arithmetic import conv, integers, pooled, relu, weights
from tests.bundles.graphs import Sketch, Spec

NAME = "cascade"
TOLERANCE = 0.0
STEPS = 6
BLOCKS = 4
CHANNELS = 3
LABELS = 3
ROWS = 5
"""Batch-norm rows; the null step takes row 0, later steps clamp to row 4."""
STEM = weights(50, CHANNELS, 1, 3, 3)
KERNELS = [weights(51 + i, CHANNELS, CHANNELS, 3, 3, keep=60) for i in range(BLOCKS)]
SCALE = [2.0 ** -integers(60 + i, (ROWS, CHANNELS), 1, 2).astype(np.float32) for i in range(BLOCKS)]
SHIFT = [integers(70 + i, (ROWS, CHANNELS), -1, 1).astype(np.float32) for i in range(BLOCKS)]
LINEAR = weights(80, CHANNELS, LABELS, scale=0.5)
BIAS = np.float32([2.6875, -1.0, 1.625])
"""Chosen so that labels take turns."""
MACS = {(k, "body"): 3 * 16 * 1 * 9 + 4 * (3 * 16 * 3 * 9) for k in range(1, STEPS + 1)} | {
    (k, "head"): 3 * 3 for k in range(1, STEPS + 1)
}


def inputs(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Frames from dark to bright, so that rows differ."""
    brightness = integers(seed + 702, (rows, 1, 1, 1), -2, 2)
    return {"frame": (integers(seed + 2, (rows, 1, 4, 4), -1, 1) + brightness).astype(np.float32)}


def reference(inputs: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Every exit's raw head outputs; simulated from the null step on, with every queue empty, as the paper has it."""
    frame = inputs["frame"].astype(np.float64)
    stem = conv(frame, STEM, pad=1)
    stem_queue = np.zeros_like(stem)
    queues = [np.zeros_like(stem) for _ in range(BLOCKS)]
    outputs = []
    for t in range(STEPS + 1):
        z, stem_queue = stem_queue, stem
        for i in range(BLOCKS):
            arrived, queues[i] = queues[i], _residual(i, z, min(t, ROWS - 1))
            z = relu(z + arrived)
        outputs.append({"logits": pooled(z) @ LINEAR + BIAS})
    return outputs[1:]


def _residual(i: int, z: np.ndarray, row: int) -> np.ndarray:
    """F_i(z) with one row of batch-norm statistics."""
    return conv(z, KERNELS[i], pad=1) * SCALE[i][row][:, None, None] + SHIFT[i][row][:, None, None]


def build(folder: Path) -> Bundle:
    null = np.zeros((1, CHANNELS, 4, 4))
    starts = {f"start_{i}.npy": _residual(i, null, 0)[0].astype(np.float32) for i in range(BLOCKS)}
    queues = [f"residual_{i}" for i in range(BLOCKS)]
    body = {
        "file": "step.onnx",
        "reads": {"frame": "frame", "step_in": "step", **{f"q{i}_in": name for i, name in enumerate(queues)}},
        "writes": {"step_out": "step", "z": "z", **{f"q{i}_out": name for i, name in enumerate(queues)}},
    }
    head = {"file": "head.onnx", "reads": {"z": "z"}, "writes": {"y": "logits"}}
    state = [
        {"name": name, "dtype": "float32", "shape": ["batch", CHANNELS, 4, 4], "start": {"file": f"start_{i}.npy"}}
        for i, name in enumerate(queues)
    ]
    draft = {
        "name": NAME, "version": 1, "method": "cascade", "created": "2026-01-01T00:00:00Z", "task": "classification",
        "inputs": [{"name": "frame", "dtype": "float32", "shape": ["batch", 1, 4, 4]}],
        "labels": ["left", "still", "right"],
        "state": [
            *state,
            {"name": "step", "dtype": "int64", "shape": ["batch"], "start": {"file": "step.npy"}},
            {"name": "z", "dtype": "float32", "shape": ["batch", CHANNELS, 4, 4]},
        ],
        "stages": [{"body": body, "head": head}] * STEPS,
        "repeat": STEPS,
    }  # fmt: skip
    files = {"step.onnx": _step(), "head.onnx": _head(), "step.npy": np.array(1, dtype=np.int64), **starts}
    return write_bundle(folder, draft, files)


def _step():
    maps: Spec = ("float32", ("batch", CHANNELS, 4, 4))
    step: Spec = ("int64", ("batch",))
    queues = {f"q{i}_in": maps for i in range(BLOCKS)}
    sketch = Sketch(frame=("float32", ("batch", 1, 4, 4)), step_in=step, **queues)
    z = sketch.op("Conv", "frame", STEM, pads=[1] * 4)
    for i in range(BLOCKS):
        scale, shift = (_row(sketch, table[i]) for table in (SCALE, SHIFT))
        residual = sketch.op("Conv", z, KERNELS[i], pads=[1] * 4)
        sketch.op("Add", sketch.op("Mul", residual, scale), shift, to=f"q{i}_out")
        last = {"to": "z"} if i == BLOCKS - 1 else {}
        z = sketch.op("Relu", sketch.op("Add", z, f"q{i}_in"), **last)
    sketch.op("Min", sketch.op("Add", "step_in", np.int64([1])), np.int64([ROWS - 1]), to="step_out")
    return sketch.model(step_out=step, z=maps, **{f"q{i}_out": maps for i in range(BLOCKS)})


def _row(sketch: Sketch, table: np.ndarray) -> str:
    """A table's row for each row's own step: (rows, channels) -> (batch, channels, 1, 1)."""
    return sketch.op("Unsqueeze", sketch.op("Gather", table, "step_in", axis=0), np.int64([2, 3]))


def _head():
    sketch = Sketch(z=("float32", ("batch", CHANNELS, 4, 4)))
    sketch.gemm(sketch.pooled("z"), LINEAR, BIAS, to="y")
    return sketch.model(y=("float32", ("batch", LABELS)))
