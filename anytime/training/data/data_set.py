"""A data set ready for training: its three splits, its labels, and how a picture becomes an input."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from anytime.model_store.manifest import Level, Preprocess
from anytime.training.data.normalise import Normalisation
from anytime.training.data.official import Part
from anytime.training.data.pictures import Shape, View
from anytime.training.data.repeats import Repeats


@dataclass(frozen=True, eq=False)
class Split:
    """Some rows of a part. Indices count from 0 within the split; ``rows`` says which row of the part each is."""

    name: str
    part: Part
    rows: np.ndarray
    normalisation: Normalisation

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> Shape:
        """(H, W, C) of a picture."""
        return self.part.pictures.shape

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) int64."""
        return self.part.labels[self.rows]

    def batch(self, indices: np.ndarray, view: View | None = None) -> np.ndarray:
        """(B,) -> (B, H, W, C) uint8. Raises a ``BadData`` for a file that is no such picture."""
        return self.part.pictures.batch(self.rows[indices], view)

    def inputs(self, indices: np.ndarray) -> np.ndarray:
        """(B,) -> (B, C, H, W) float32, normalised: what a request with these pictures would become."""
        return self.normalisation(self.batch(indices))

    @cached_property
    def sha256(self) -> str:
        """Over the rows' pixels (of pictures in files: relative paths and sizes) and labels, in their order."""
        return hashlib.sha256(self.part.pictures.digest(self.rows) + self.labels.astype("<i8").tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class DataSet:
    """Three splits that share no row.

    What is cut here (calibration, unless the data has one; test, if the data has none) parts no repeated picture either.
    Parts that are published stay as they are: ``repeats`` counts the pictures that occur again, to the byte, and those that
    are held out and yet in a split before theirs. ``None``: nobody looked, as every file would have to be read; then only
    rows are known to be apart.
    """

    name: str
    train: Split
    calibration: Split
    test: Split
    labels: tuple[str, ...]
    preprocess: Preprocess
    levels: tuple[Level, ...] | None = None
    augmentation: str = "none"
    """What the papers do to this set's training pictures, by its name in ``augment``."""
    repeats: Repeats | None = None
    strangers: tuple[str, ...] = ()
    """Files that were read and whose checksums are not the published ones."""

    @property
    def splits(self) -> tuple[Split, Split, Split]:
        return (self.train, self.calibration, self.test)

    @property
    def input_shape(self) -> Shape:
        """Of one row as a network takes it: (C, H, W), or (H, W, C) where that is the layout."""
        height, width, channels = self.train.shape
        return (channels, height, width) if self.preprocess.layout == "chw" else (height, width, channels)

    @cached_property
    def sha256(self) -> str:
        """Over the splits' own."""
        return hashlib.sha256("".join(split.sha256 for split in self.splits).encode()).hexdigest()

    def provenance(self) -> dict[str, Any]:
        """The manifest's ``provenance.data``."""
        said = ", ".join(f"{split.name} {len(split)} (sha256 {split.sha256[:16]})" for split in self.splits)
        if self.repeats is not None and self.repeats.rows:
            said += f"; {self.repeats}"
        if self.strangers:
            said += f"; not the published files: {', '.join(self.strangers)}"
        return {"name": self.name, "sha256": self.sha256, "split": said}

    def level_labels(self, labels: np.ndarray) -> list[np.ndarray]:
        """(N,) labels at the finest level -> the labels at each level, finest first."""
        found = [labels]
        for level in (self.levels or ())[:-1]:
            found.append(np.asarray(level.parent)[found[-1]])
        return found
