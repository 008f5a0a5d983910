"""What the loop trains, as it sees it: batches, a loss, a report. It knows no method and no data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from torch import Tensor, nn


class Task(Protocol):
    """One phase of a training: a backbone, the heads on it, their ensembles."""

    name: str
    """Of the phase, as in the log and the names of checkpoints: ``backbone``, ``heads``, ``ensembles``."""
    rows: int
    """Of one epoch."""

    @property
    def module(self) -> nn.Module:
        """Its parameters that have a gradient are trained; its whole state is what a checkpoint keeps."""
        ...

    def batches(self, epoch: int, size: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """The batches of an epoch from number ``start`` on; what they hold follows from seed and epoch alone."""
        ...

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Of a batch on the module's device; a scalar, the mean over its rows."""
        ...

    def evaluate(self) -> Mapping[str, float]:
        """What is reported after an epoch, on data that this phase is not trained on."""
        ...
