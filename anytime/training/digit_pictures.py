"""scikit-learn's handwritten digits as pictures that a client may send, and as rows that the bundle makes of them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from anytime.model_store import preprocess
from anytime.model_store.manifest import Preprocess

PREPROCESS: Mapping[str, Any] = {"channels": "gray", "resize": [8, 8], "resample": "bilinear"}
ROW_SHAPE = (1, 8, 8)
_SIDE = 64
"""Pixels of a picture's side: 8 a pixel of the data set, so that people can see something."""
_SHARES = {"train": 0.6, "calibration": 0.2, "test": 0.2}


@dataclass(frozen=True)
class Digits:
    """``pixels``: (rows, 8, 8) of 0..16; ``rows``: (rows, 1, 8, 8) as ``preprocess`` makes them; ``label``: (rows,).

    ``splits`` are indices, stratified: ``train``, ``calibration`` (temperatures, thresholds) and ``test`` (only measured).
    """

    pixels: np.ndarray
    rows: np.ndarray
    label: np.ndarray
    splits: Mapping[str, np.ndarray]
    sha256: str
    """Of the pixels and labels as bytes."""

    def picture(self, index: int) -> bytes:
        """One digit as a PNG file: the same bytes every time."""
        return picture(self.pixels[index])


def read_digits(seed: int) -> Digits:
    """The data set, which ships with scikit-learn, split by ``seed``."""
    from sklearn.datasets import load_digits

    pixels, label = load_digits(return_X_y=True)
    pixels, label = pixels.astype(np.uint8).reshape(-1, 8, 8), label.astype(np.int64)
    spec = Preprocess.model_validate({**PREPROCESS, "resize": tuple(PREPROCESS["resize"])})
    rows = [preprocess(picture(one), spec, "float32", ROW_SHAPE, _SIDE**2) for one in pixels]
    sha256 = hashlib.sha256(pixels.tobytes() + label.astype(np.uint8).tobytes()).hexdigest()
    return Digits(pixels, np.concatenate(rows), label, split(label, seed), sha256)


def picture(pixels: np.ndarray) -> bytes:
    """(8, 8) of 0..16 -> a gray PNG of 64 x 64, smoothly enlarged."""
    image = Image.fromarray(np.rint(pixels * (255 / 16)).astype(np.uint8))
    stream = io.BytesIO()
    image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


def split(label: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Indices of each split, rising; every label is shared out alike, up to rounding."""
    draw = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in _SHARES}
    for one in np.unique(label):
        where = draw.permutation(np.flatnonzero(label == one))
        cuts = np.rint(np.cumsum(list(_SHARES.values()))[:-1] * len(where)).astype(int)
        for name, part in zip(parts, np.split(where, cuts), strict=True):
            parts[name].append(part)
    return {name: np.sort(np.concatenate(part)) for name, part in parts.items()}
