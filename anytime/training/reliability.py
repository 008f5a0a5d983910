"""Whether confidence can be trusted: does it rank right answers above wrong ones, and is it as high as they are frequent.

Everything takes ``confidence``, (rows,) of top probabilities, and ``correct``, (rows,) of booleans.
"""

from __future__ import annotations

import numpy as np


def auroc(confidence: np.ndarray, correct: np.ndarray) -> float:
    """The chance that a right answer's confidence is above a wrong one's, ties counting half; NaN if either is missing."""
    correct = np.asarray(correct, dtype=bool)
    right = int(correct.sum())
    wrong = len(correct) - right
    if right == 0 or wrong == 0:
        return float("nan")
    _, where, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[where]
    return float((rank[correct].sum() - right * (right + 1) / 2) / (right * wrong))


def calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """The expected calibration error: |accuracy - mean confidence| per bin, weighed by its rows (Guo et al. 2017, eq. 3).

    Bin i of ``bins`` equal ones reaches from above i / bins up to (i + 1) / bins; 0 falls into the first. No rows: NaN.
    """
    confidence, correct = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if len(confidence) == 0:
        return float("nan")
    where = _bins(confidence, bins)
    gaps = np.bincount(where, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def reliability_bins(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> tuple[np.ndarray, ...]:
    """Of each of ``calibration_error``'s bins the rows, their mean confidence and their accuracy, (bins,); NaN if empty."""
    where = _bins(confidence, bins)
    rows = np.bincount(where, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = (np.bincount(where, weights=values, minlength=bins) / rows for values in (confidence, correct))
        return (rows, *means)


def _bins(confidence: np.ndarray, bins: int) -> np.ndarray:
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
