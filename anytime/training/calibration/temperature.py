"""Temperatures: the one number per exit and level that makes a top probability as high as it is often right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_COLDEST, _HOTTEST = 0.05, 20.0
"""The bounds of a fitted temperature."""
_GOLDEN = (5**0.5 - 1) / 2


def fit_temperature(logits: np.ndarray, label: np.ndarray) -> float:
    """The T > 0 with the least negative log-likelihood of softmax(logits / T): Guo et al., 2017, section 4.2.

    ``logits``: (rows, labels); ``label``: (rows,). Searched by golden section over log T, within 0.05 and 20: the loss has
    one minimum.
    """
    scaled = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        z = scaled / np.exp(log_temperature)
        z -= z.max(axis=1, keepdims=True)
        return float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), label]).mean())

    return float(np.exp(_minimum(loss, np.log(_COLDEST), np.log(_HOTTEST))))


def _minimum(loss: Callable[[float], float], low: float, high: float, steps: int = 40) -> float:
    """Golden section: each step keeps 0.618 of the interval."""
    a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_a, at_b = loss(a), loss(b)
    for _ in range(steps):
        if at_a < at_b:
            high, b, at_b = b, a, at_a
            a = high - _GOLDEN * (high - low)
            at_a = loss(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + _GOLDEN * (high - low)
            at_b = loss(b)
    return (low + high) / 2
