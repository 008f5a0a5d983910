"""What a trained network's exits are trained, calibrated and tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anytime.training.attach import Rows


@dataclass(frozen=True, eq=False)
class Part:
    """Rows as a network takes them, and the right label of each, (N,) int64; ``None`` where nobody knows."""

    rows: Rows
    label: np.ndarray | None

    def __len__(self) -> int:
        return self.rows.count


@dataclass(frozen=True, eq=False)
class Examples:
    """Three parts that share no row. ``train`` may hold several views: the same rows, augmented anew."""

    train: tuple[Part, ...]
    calibration: Part
    test: Part
    labels: tuple[str, ...] | None = None
    """The classes' names, where they are known."""
    preprocess: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of the manifest, by input name."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The manifest's ``provenance.data``."""

    @property
    def key(self) -> str:
        """What tells these rows, and their order, from any others."""
        keys = [part.rows.key for part in (*self.train, self.calibration, self.test)]
        return hashlib.sha256(" ".join(keys).encode()).hexdigest()

    @property
    def is_labelled(self) -> bool:
        return self.train[0].label is not None


def first(part: Part, most: int) -> Part:
    """The first ``most`` rows of a part, or all of fewer; nothing is read."""
    if len(part) <= most:
        return part

    def batches() -> Iterator[Mapping[str, np.ndarray]]:
        left = most
        for batch in part.rows.batches():
            yield {name: values[:left] for name, values in batch.items()}
            left -= len(next(iter(batch.values())))
            if left <= 0:
                return

    rows = Rows(f"{part.rows.key} first {most}", most, batches)
    return Part(rows, None if part.label is None else part.label[:most])


def gather(part: Part, most: int) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The first ``most`` rows of a part in memory, by input name, and their labels."""
    part = first(part, most)
    found = list(part.rows.batches())
    return {name: np.concatenate([batch[name] for batch in found]) for name in found[0]}, part.label
