"""A bundle of three exits on a backbone, and traces of it with numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np

from anytime.model_store import Manifest
from anytime.policy import Trace
from tests.policy.conftest import make_manifest

MS = np.array([2.0, 1.0, 2.0, 1.0, 4.0, 1.0])
"""Of body 1, head 1, body 2, ...: exits at 3, 6 and 11; the base network takes 9."""


def manifest(**given: object) -> Manifest:
    """Bodies of 100 multiply-adds, heads of 10, 20 and 30: exits at 110, 230 and 360; the base network takes 330."""
    return make_manifest(3, body_macs=100, head_macs=[10, 20, 30], **given)


def trace(said: list[list[tuple[int, float]]], label: list[int], ms: np.ndarray = MS) -> Trace:
    """``said[row][exit]``: a label of three and its probability, the others' being equal."""
    shares = np.array(
        [[[top if index == own else (1 - top) / 2 for index in range(3)] for own, top in row] for row in said]
    )
    return Trace({"logits": np.log(shares)}, np.tile(ms, (len(said), 1)), np.array(label))


def four(ms: np.ndarray = MS) -> Trace:
    """Rows 0 and 1 are sure and right throughout; 2 is right late; 3 is forgotten, surely, by the last exit."""
    said = [
        [(0, 0.9), (0, 0.9), (0, 0.9)],
        [(1, 0.8), (1, 0.9), (1, 0.95)],
        [(1, 0.5), (2, 0.6), (2, 0.9)],
        [(0, 0.5), (0, 0.7), (1, 0.97)],
    ]
    return trace(said, [0, 1, 2, 0], ms)
