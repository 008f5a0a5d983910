"""Rows whose features the frozen network computes anew at every step, in torch, from pictures augmented anew each epoch.

What the papers do. It needs no disk, where the 27 maps of a ResNet-56 are half a megabyte a row in half precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from torch import Tensor

from anytime.training.exits.cached import CHUNK
from anytime.training.exits.reading import Reading
from anytime.training.loop import Device
from anytime.training.models.backbone import Backbone, evaluating

Take = Callable[[np.ndarray], np.ndarray]
"""(B,) rows -> their inputs (B, *row shape) float32."""


@dataclass(frozen=True, eq=False)
class FreshView:
    """The training rows as one epoch sees them: what ``Cached`` is, with nothing stored. Its tensors are on the device."""

    backbone: Backbone
    places: Sequence[int]
    take: Take
    target: np.ndarray
    """(N,) int64 labels."""
    device: Device
    readings: Sequence[Reading]
    """Of each feature, none with a mask."""

    def __len__(self) -> int:
        return len(self.target)

    @torch.no_grad()
    def tensors(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        """base, target, then what is read of each feature, of some rows, in float32; the network always in eval mode."""
        (x, target) = self.device.put((torch.from_numpy(self.take(rows)), torch.from_numpy(self.target[rows])))
        self.backbone.to(self.device.name)
        with evaluating(self.backbone), self.device.autocast():
            features, base = self.backbone.forward_exits(x, self.places)
        read = (reading(one.float()) for reading, one in zip(self.readings, features, strict=True))
        return base.float(), target, *read

    def in_order(self, size: int = CHUNK) -> Iterator[tuple[Tensor, ...]]:
        """All rows once, as ``tensors``."""
        for start in range(0, len(self), size):
            yield self.tensors(np.arange(start, min(start + size, len(self))))


@dataclass(frozen=True, eq=False)
class Fresh(Sequence[FreshView]):
    """A view per epoch, of which none is made before it is asked for. ``taking``: of an epoch."""

    backbone: Backbone
    places: Sequence[int]
    taking: Callable[[int], Take]
    target: np.ndarray
    device: Device
    epochs: int
    readings: Sequence[Reading] = ()
    """As the exits have them; none: features whole."""

    def __len__(self) -> int:
        return self.epochs

    @overload
    def __getitem__(self, epoch: int) -> FreshView: ...
    @overload
    def __getitem__(self, epoch: slice) -> Sequence[FreshView]: ...
    def __getitem__(self, epoch: int | slice) -> FreshView | Sequence[FreshView]:
        if isinstance(epoch, slice):
            return [self[one] for one in range(*epoch.indices(len(self)))]
        if not 0 <= epoch < len(self):
            raise IndexError(epoch)
        return FreshView(self.backbone, self.places, self.taking(epoch), self.target, self.device,
                         self.readings or [Reading(1)] * len(self.places))  # fmt: skip
