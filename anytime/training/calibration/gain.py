"""The gain table: what going on to a later exit buys, given how sure an earlier one is."""

from __future__ import annotations

from typing import Any

import numpy as np

from anytime.model_store import Manifest
from anytime.policy import Trace
from anytime.policy.columns import top_probabilities

BINS = 10
FEWEST_ROWS = 20
"""With 20 the standard error of a share is at most 0.11."""


def gain_table(manifest: Manifest, trace: Trace, bins: int = BINS, fewest: int = FEWEST_ROWS) -> dict[str, Any]:
    """The manifest's ``gain``, as JSON-able data; ``manifest`` holds the temperatures already.

    ``accuracy[k][bin][j]``: of the rows whose confidence at exit k falls into the bin, the share that exit j >= k gets
    right; 0 below k. All exits share the edges: quantiles of what the exits before the last said, together, so that one
    surer than the others has few rows in the low bins. A bin with fewer than ``fewest`` rows at an exit is told by as many
    rows of that exit as lie nearest to the bin's middle one, or all that there are. Nothing is forced to rise from bin to
    bin or from exit to exit: exits do forget.
    """
    logits = trace.outputs["logits"]
    right = logits.argmax(axis=2) == trace.label[:, np.newaxis]
    said = list(top_probabilities(manifest, trace).T)
    edges = _edges(np.concatenate(said[:-1] or said), bins)
    return {
        "edges": edges.tolist(),
        "accuracy": [_of_exit(k, one, right, edges, fewest) for k, one in enumerate(said)],
    }


def _edges(said: np.ndarray, bins: int) -> np.ndarray:
    """The lower edges, rising strictly from 0: fewer where many rows say the very same."""
    inner = np.unique(np.quantile(said, np.arange(1, bins) / bins).clip(0.0, 1.0))
    return np.concatenate([[0.0], inner[inner > 0.0]])


def _of_exit(k: int, said: np.ndarray, right: np.ndarray, edges: np.ndarray, fewest: int) -> list[list[float]]:
    """(bins, exits): the shares by the confidence at exit k, from 0."""
    order = np.argsort(said, kind="stable")
    starts = np.searchsorted(said[order], edges)
    ends = np.append(starts[1:], len(order))
    table = np.zeros((len(edges), right.shape[1]))
    for bin, (start, end) in enumerate(zip(starts, ends, strict=True)):
        table[bin, k:] = right[order[_window(int(start), int(end), fewest, len(order))], k:].mean(axis=0)
    return [[float(share) for share in row] for row in table]


def _window(start: int, end: int, fewest: int, rows: int) -> slice:
    """The bin's places in the order of confidence, or ``fewest`` around its middle."""
    wanted = min(fewest, rows)
    if end - start >= wanted:
        return slice(start, end)
    first = min(max((start + end - wanted) // 2, 0), rows - wanted)
    return slice(first, first + wanted)
