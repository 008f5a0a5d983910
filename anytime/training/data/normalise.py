"""Pixels 0..255 to the floats that a network takes, in training exactly as the service does for a picture that is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from anytime.model_store.manifest import Preprocess
from anytime.training.data.pictures import Pictures

_CHUNK = 1024


@dataclass(frozen=True)
class Normalisation:
    """``(pixel / 255 - mean) / std`` for each channel, and the order of the axes."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: Literal["chw", "hwc"] = "chw"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(B, H, W, C) uint8 -> (B, C, H, W) float32, or (B, H, W, C) where that is the layout; contiguous.

        By the very float32 operations of ``pixels.preprocess``, in their order, so bit for bit.
        """
        chw = self.layout == "chw"
        pixels = np.ascontiguousarray(images.transpose(0, 3, 1, 2) if chw else images)
        mean, std = (np.array(values, np.float32) for values in (self.mean, self.std))
        inputs: np.ndarray = np.divide(pixels, 255, dtype=np.float32)
        inputs -= mean[:, np.newaxis, np.newaxis] if chw else mean
        inputs /= std[:, np.newaxis, np.newaxis] if chw else std
        return inputs

    def preprocess(self, spec: Preprocess) -> Preprocess:
        """``spec`` with this mean and std: what a bundle says of its input."""
        return spec.model_copy(update={"mean": self.mean, "std": self.std, "layout": self.layout})


def normalisation_of(spec: Preprocess) -> Normalisation:
    """The one that ``spec`` states, a single value spread over the channels."""
    channels = 1 if spec.channels == "gray" else 3
    mean, std = (values * channels if len(values) == 1 else values for values in (spec.mean, spec.std))
    return Normalisation(mean, std, spec.layout)


def measure(pictures: Pictures, rows: np.ndarray) -> Normalisation:
    """Mean and standard deviation of these rows by channel, for values scaled to 0..1, to four digits."""
    total = np.zeros(pictures.shape[2])
    squares = np.zeros_like(total)
    for start in range(0, len(rows), _CHUNK):
        pixels = pictures.batch(rows[start : start + _CHUNK]).reshape(-1, len(total)).astype(np.float64)
        total += pixels.sum(axis=0)
        squares += (pixels * pixels).sum(axis=0)
    count = len(rows) * pictures.shape[0] * pictures.shape[1]
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean * mean, 0.0))
    flat = np.round(std / 255, 4) == 0.0  # a channel without contrast is only shifted
    return Normalisation(_digits(mean / 255), _digits(np.where(flat, 1.0, std / 255)))


def _digits(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)
