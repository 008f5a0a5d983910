"""What the reader of a data set hands over: the parts as their authors publish them, not yet cut for training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anytime.model_store.manifest import Level, Preprocess
from anytime.training.data.normalise import Normalisation
from anytime.training.data.pictures import Pictures
from anytime.training.errors import BadData, BadLabel, EmptyClass, SizesDiffer


@dataclass(frozen=True, eq=False)
class Part:
    """Pictures and their labels, (N,) int64, as published."""

    pictures: Pictures
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def checked(self, said: str, classes: int) -> Part:
        """Itself. Raises ``BadData`` or ``BadLabel``, naming the part as ``said``."""
        if len(self.labels) == 0:
            raise BadData(f"{said} holds no picture")
        if len(self.pictures) != len(self.labels):
            raise BadData(
                f"{said} holds {len(self.pictures)} pictures and {len(self.labels)} labels; wanted one for each"
            )
        wrong = np.flatnonzero((self.labels < 0) | (self.labels >= classes))
        if len(wrong):
            row = int(wrong[0])
            raise BadLabel(
                f"{said}: the label of picture {row} (from 0) is {self.labels[row]}; wanted 0 to {classes - 1}"
            )
        return self


@dataclass(frozen=True, eq=False)
class Official:
    """A data set as it is on disk.

    ``test`` is ``None`` where the data has no test part of its own, ``calibration`` where it has none, which is usual.
    ``normalisation``: constants that the field uses; ``None``: measured on the train split. ``levels``: finest first, as in
    the manifest. ``strangers``: files whose checksum is not a published one, so that nobody reports them as the originals.
    """

    train: Part
    test: Part | None
    labels: tuple[str, ...]
    calibration: Part | None = None
    levels: tuple[Level, ...] | None = None
    normalisation: Normalisation | None = None
    strangers: tuple[str, ...] = ()

    @property
    def spec(self) -> Preprocess:
        return self.train.pictures.spec

    def _check_shape(self, said: str, part: Part) -> None:
        wanted = self.train.pictures.shape
        if part.pictures.shape != wanted:
            raise SizesDiffer(f"{said} holds pictures of {part.pictures.shape}, the train part of {wanted}")

    def checked(self, name: str) -> Official:
        """Itself. Raises a ``BadData``."""
        for said, part in (("train", self.train), ("calibration", self.calibration), ("test", self.test)):
            if part is not None:
                part.checked(f"{name}, {said} part", len(self.labels))
                self._check_shape(f"{name}, {said} part", part)
        counts = np.bincount(self.train.labels, minlength=len(self.labels))
        if not counts.all():
            absent = [self.labels[index] for index in np.flatnonzero(counts == 0)[:5]]
            raise EmptyClass(
                f"{name}, train part: no picture of {int((counts == 0).sum())} of {len(counts)} classes, such as "
                f"{', '.join(absent)}; every class needs some"
            )
        return self
