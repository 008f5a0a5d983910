"""What a trained network's exits are trained, calibrated and tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from anytime.training.attach import Rows, rows_taken


@dataclass(frozen=True, eq=False)
class Part:
    """Rows as a network takes them, and the right label of each, (N,) int64; ``None`` where nobody knows."""

    rows: Rows
    label: np.ndarray | None

    def __len__(self) -> int:
        return self.rows.count


@dataclass(frozen=True, eq=False)
class Examples:
    """Three parts that share no row. ``train`` may hold several views: the rows as they are, then augmented anew."""

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
        """What tells these rows, their order and their labels from any others."""
        digest = hashlib.sha256()
        for part in (*self.train, self.calibration, self.test):
            digest.update(part.rows.key.encode())
            digest.update(b"unlabelled" if part.label is None else part.label.astype("<i8").tobytes())
        return digest.hexdigest()

    @property
    def is_labelled(self) -> bool:
        return self.train[0].label is not None

    def in_order_of(self, names: Sequence[str]) -> Examples:
        """Labels as the network counts its classes, ``names``: by name where both have the same names, else as they are."""
        if self.labels is None or set(self.labels) != set(names) or len(names) != len(set(names)):
            return replace(self, labels=tuple(names))
        places = np.array([names.index(one) for one in self.labels])
        parts = [Part(part.rows, None if part.label is None else places[part.label])
                 for part in (*self.train, self.calibration, self.test)]  # fmt: skip
        return replace(self, train=tuple(parts[:-2]), calibration=parts[-2], test=parts[-1], labels=tuple(names))


def some(part: Part, most: int, seed: int) -> Part:
    """At most so many rows of a part, drawn by the seed and in the part's order; no other is read."""
    if len(part) <= most:
        return part
    chosen = np.sort(np.random.default_rng(seed).choice(len(part), most, replace=False))
    rows = rows_taken(f"{part.rows.key} {most} by {seed}", most, lambda indices: part.rows.take(chosen[indices]))
    return Part(rows, None if part.label is None else part.label[chosen])


def gather(part: Part, most: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """At most so many rows of a part in memory, by input name, and their labels."""
    part = some(part, most, seed)
    found = list(part.rows.batches())
    return {name: np.concatenate([batch[name] for batch in found]) for name in found[0]}, part.label
