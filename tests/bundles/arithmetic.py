"""What the references compute with: the operators of the stress bundles once more, in NumPy, in float64.

Where a network has no exponential its weights are small dyadic fractions, so that float32 rounds nothing and both agree
exactly.
"""

from __future__ import annotations

import numpy as np

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_STEP = np.uint64(0x9E3779B97F4A7C15)


def integers(seed: int, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
    """Integers in ``low``..``high`` (both included), always the same: SplitMix64 (Steele et al. 2014)."""
    count = int(np.prod(shape, dtype=np.int64))
    z = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(seed * 1_000_003)) * _STEP
    z = (z ^ (z >> np.uint64(30))) * _MIX[0]
    z = (z ^ (z >> np.uint64(27))) * _MIX[1]
    z = z ^ (z >> np.uint64(31))
    return (z % np.uint64(high - low + 1)).astype(np.int64).reshape(shape) + low


def weights(seed: int, *shape: int, scale: float = 1.0, keep: int = 100) -> np.ndarray:
    """Float32 weights of -scale, 0 or scale; ``keep`` percent of them may differ from 0."""
    kept = integers(seed + 500, shape, 1, 100) <= keep
    return (integers(seed, shape, -1, 1) * kept * scale).astype(np.float32)


def conv(
    x: np.ndarray, weight: np.ndarray, stride: int = 1, pad: int = 0, groups: int = 1, fill: int = 0
) -> np.ndarray:
    """x (N, C, H, W), weight (M, C / groups, kh, kw) -> (N, M, H', W'); ``fill`` is what the padding holds."""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    parts = zip(np.split(windows, groups, axis=1), np.split(weight, groups, axis=0), strict=True)
    return np.concatenate([np.einsum("nchwij,mcij->nmhw", part, kernel) for part, kernel in parts], axis=1)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def pooled(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (N, C)."""
    return x.mean(axis=(2, 3))


def log_softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    return np.exp(log_softmax(x.astype(np.float64)))
