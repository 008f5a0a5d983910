"""How far two computations of the same numbers are apart: what every comparison of a graph with its model asks."""

from __future__ import annotations

import numpy as np

TOLERANCE = 1e-4
"""What an exported graph may differ from what it was made of, as ``apart`` counts."""


def apart(wanted: np.ndarray, found: np.ndarray) -> float:
    """The largest difference, in parts of the largest number where that is above 1; equal infinities do not differ.

    NaN, which is at most nothing, where the shapes differ or either holds a NaN.
    """
    if wanted.shape != found.shape:
        return float("nan")
    ours, theirs = wanted.astype(np.float64), found.astype(np.float64)
    differs = ours != theirs
    finite = np.abs(ours[np.isfinite(ours)])
    largest = np.abs(ours[differs] - theirs[differs]).max(initial=0.0)
    return float(largest / max(1.0, finite.max(initial=0.0)))
