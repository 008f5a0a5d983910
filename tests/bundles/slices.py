"""IS-ResNeXt (Lee and Shin 2018): stage k adds the k-th slice of every layer and reads all slices before it.

Stresses: many states of two sizes (two scales), each written once and read by every later stage; bodies that read the
input as well; nothing computed twice. The reference is the full network in one pass, with prefix-masked dense kernels,
whose heads read prefixes. Outputs agree exactly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anytime.model_store import Bundle, write_bundle
from tests.bundles.arithmetic import conv, integers, pooled, relu, weights
from tests.bundles.graphs import Sketch, Spec

NAME = "slices"
TOLERANCE = 0.0
K = 3
"""Sub-networks, so exits."""
C = 6
"""Branches; group k has C / K of them, and each reads the slices 1..k."""
WIDTH = (6, 6, 12, 12)
"""Channels of each block: two blocks at 8 x 8, two at 4 x 4."""
B = (1, 1, 2, 2)
"""Channels of a branch."""
SIZE = (8, 8, 4, 4)
BLOCKS = range(4)
LABELS = 5
MACS = {(k, "body"): 1152 + 4 * (256 * k + 1152 + 256) for k in (1, 2, 3)} | {(k, "head"): 4 * k * 5 for k in (1, 2, 3)}
"""Body: stem 2 x 64 x 9; per block 1x1 from 2k (4k) channels, 3x3 grouped, 1x1: the same at both scales."""


def _mask(block: int) -> np.ndarray:
    """Which channels each branch may read: (C x B, W); branch i (from 1) reads the slices 1..ceil(i K / C)."""
    branch = np.arange(C * B[block]) // B[block] + 1
    readable = np.ceil(branch * K / C) * (WIDTH[block] // K)
    return np.arange(WIDTH[block]) < readable[:, None]


def _norm(seed: int, channels: int) -> tuple[np.ndarray, ...]:
    """Scale, shift, mean, variance; scale / deviation is 1/2 or 1."""
    deviation = integers(seed, (channels,), 1, 2)
    values = (np.ones(channels), integers(seed + 1, (channels,), 0, 2), integers(seed + 2, (channels,), -1, 1))
    return tuple(value.astype(np.float32) for value in (*values, deviation**2))


STEM = weights(100, WIDTH[0], 1, 3, 3)
REDUCE = [weights(110 + b, C * B[b], WIDTH[b], keep=80) * _mask(b) for b in BLOCKS]
SPREAD = [weights(120 + b, C * B[b], B[b], 3, 3, keep=80) for b in BLOCKS]
EXPAND = [weights(130 + b, WIDTH[b], C // K * B[b], keep=80) for b in BLOCKS]
NORMS = [[_norm(140 + 10 * b, WIDTH[b]), *(_norm(143 + 10 * b + 3 * i, C * B[b]) for i in (0, 1))] for b in BLOCKS]
HEAD_NORM = [_norm(190 + 3 * k, WIDTH[3] // K * (k + 1)) for k in range(K)]
LINEAR = [weights(200 + k, WIDTH[3] // K * (k + 1), LABELS, scale=0.5) for k in range(K)]
BIAS = np.float32([(0, 0, -1.25, 0, 1), (-4.1875, -0.1875, 0.9375, 1.25, -2.1875), (0.8125, 5.0625, -9, -8.25, 3.625)])
"""Chosen so that labels take turns."""


def inputs(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Pictures from dark to bright, so that rows differ."""
    brightness = integers(seed + 703, (rows, 1, 1, 1), -2, 2)
    return {"image": (integers(seed + 3, (rows, 1, 8, 8), -1, 1) + brightness).astype(np.float32)}


def reference(inputs: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Every exit's raw head outputs, (rows, labels): one pass of the full network, heads on prefixes."""
    x = conv(inputs["image"].astype(np.float64), STEM, pad=1)
    for b in BLOCKS:
        if b == 2:
            x = _downscaled(x)
        first, second, third = NORMS[b]
        h = conv(relu(_normalised(x, first)), REDUCE[b][:, :, None, None])
        h = conv(relu(_normalised(h, second)), SPREAD[b], pad=1, groups=C)
        x = x + conv(relu(_normalised(h, third)), EXPAND[b][:, :, None, None], groups=K)
    outputs = []
    for k in range(K):
        prefix = relu(_normalised(x[:, : 4 * (k + 1)], HEAD_NORM[k]))
        outputs.append({"logits": pooled(prefix) @ LINEAR[k] + BIAS[k]})
    return outputs


def _normalised(x: np.ndarray, norm: tuple[np.ndarray, ...]) -> np.ndarray:
    scale, shift, mean, variance = (value[:, None, None].astype(np.float64) for value in norm)
    return (x - mean) / np.sqrt(variance) * scale + shift


def _downscaled(x: np.ndarray) -> np.ndarray:
    """2 x 2 average pooling; zero channels go behind each slice, not behind all."""
    rows, channels, height, width = x.shape
    x = x.reshape(rows, K, channels // K, height // 2, 2, width // 2, 2).mean(axis=(4, 6))
    return np.concatenate([x, np.zeros_like(x)], axis=2).reshape(rows, 2 * channels, height // 2, width // 2)


def build(folder: Path) -> Bundle:
    files, stages = {}, []
    for k in range(K):
        files[f"slice{k + 1}.onnx"], files[f"head{k + 1}.onnx"] = _body(k), _head(k)
        read = [_state(b, j) for b in BLOCKS for j in range(k)]
        outs = [f"out_slice{j + 1}" for j in range(k + 1)]
        written = [*(_state(b, k) for b in BLOCKS), outs[-1]]
        stages.append({
            "body": {"file": f"slice{k + 1}.onnx", "reads": _same(["image", *read]), "writes": _same(written)},
            "head": {"file": f"head{k + 1}.onnx", "reads": _same(outs), "writes": {"logits": "logits"}},
        })  # fmt: skip
    shapes = {_state(b, k): _slice(b) for b in BLOCKS for k in range(K)}
    shapes |= {f"out_slice{k + 1}": _slice(3) for k in range(K)}
    draft = {
        "name": NAME, "version": 1, "method": "is-resnext", "created": "2026-01-01T00:00:00Z", "task": "classification",
        "inputs": [{"name": "image", "dtype": "float32", "shape": ["batch", 1, 8, 8]}],
        "labels": ["wren", "robin", "heron", "crane", "swift"],
        "state": [{"name": n, "dtype": dtype, "shape": list(shape)} for n, (dtype, shape) in shapes.items()],
        "stages": stages,
    }  # fmt: skip
    return write_bundle(folder, draft, files)


def _state(block: int, k: int) -> str:
    """What block ``block`` reads of slice k, after its first norm and ReLU."""
    return f"block{block + 1}_slice{k + 1}"


def _same(names: list[str]) -> dict[str, str]:
    return {name: name for name in names}


def _slice(block: int) -> Spec:
    return "float32", ("batch", WIDTH[block] // K, SIZE[block], SIZE[block])


def _body(k: int):
    before = {_state(b, j): _slice(b) for b in BLOCKS for j in range(k)}
    sketch = Sketch(image=("float32", ("batch", 1, 8, 8)), **before)
    x = sketch.op("Conv", "image", STEM[2 * k : 2 * k + 2], pads=[1] * 4)
    for b in BLOCKS:
        if b == 2:
            x = sketch.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            x = sketch.op("Pad", x, np.int64([0, 0, 0, 0, 0, 2, 0, 0]))
        x = _block(sketch, b, k, x)
    return sketch.model(**{_state(b, k): _slice(b) for b in BLOCKS}, **{f"out_slice{k + 1}": _slice(3)})


def _block(sketch: Sketch, b: int, k: int, x: str) -> str:
    """One slice of one block: reads the prefix, gives x + h."""
    mine = slice(k * WIDTH[b] // K, (k + 1) * WIDTH[b] // K)
    branches = slice(k * C // K * B[b], (k + 1) * C // K * B[b])
    first, second, third = NORMS[b]
    _normed(sketch, x, first, mine, to=_state(b, k))
    prefix = sketch.op("Concat", *(_state(b, j) for j in range(k + 1)), axis=1)
    h = sketch.op("Conv", prefix, REDUCE[b][branches, : mine.stop, None, None])
    h = sketch.op("Conv", _normed(sketch, h, second, branches), SPREAD[b][branches], pads=[1] * 4, group=C // K)
    h = sketch.op("Conv", _normed(sketch, h, third, branches), EXPAND[b][mine, :, None, None])
    return sketch.op("Add", x, h, to=f"out_slice{k + 1}" if b == 3 else None)


def _normed(sketch: Sketch, x: str, norm: tuple[np.ndarray, ...], channels: slice, to: str | None = None) -> str:
    values = [value[channels] for value in norm]
    return sketch.op("Relu", sketch.op("BatchNormalization", x, *values, epsilon=0.0), to=to)


def _head(k: int):
    names = [f"out_slice{j + 1}" for j in range(k + 1)]
    sketch = Sketch(**{name: _slice(3) for name in names})
    prefix = sketch.op("Concat", *names, axis=1)
    sketch.gemm(sketch.pooled(_normed(sketch, prefix, HEAD_NORM[k], slice(None))), LINEAR[k], BIAS[k], to="logits")
    return sketch.model(logits=("float32", ("batch", LABELS)))
