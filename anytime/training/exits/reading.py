"""What an exit reads of a cut: the tensor as a map (N, C, H, W) or a vector (N, D), from wherever its channels lie.

One computation serves twice: before features are stored, and in the graph of the exit's head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anytime.model_store.tensors import Axis
from anytime.training.attach import Cut, Network, Shrink, find_masks, mask_inputs
from anytime.training.attach.inputs import Batch
from anytime.training.attach.masks import Mask
from anytime.training.errors import BadOption
from anytime.training.models.heads import HeadOptions

Channels = Literal["auto", "first", "last"]


@dataclass(frozen=True)
class Reading:
    """How a cut's tensor becomes what a head takes."""

    channels: int
    """Their axis, from 1."""
    take: Literal["whole", "mean", "first"] = "whole"
    """``mean`` over all places, or the ``first`` one, leaves a vector of the channels."""
    mask: Mask | None = None
    """The places that count in the mean, of a tensor of three axes."""

    def __call__(self, feature: Tensor, mask: Tensor | None = None) -> Tensor:
        """(N, ...), and with a mask (N, places) -> (N, C, ...) or (N, C)"""
        if self.take == "whole":
            return feature.movedim(self.channels, 1)
        places = [axis for axis in range(1, feature.ndim) if axis != self.channels]
        if self.take == "first":
            return feature.select(places[0], 0)
        if self.mask is None or mask is None:
            return feature.mean(dim=places)
        counts = (mask != 0 if self.mask.keeps else mask == 0).unsqueeze(self.channels)
        kept = torch.where(counts, feature, 0.0).sum(dim=places)
        return kept / counts.sum(dim=places).clamp(min=1)

    def shrink(self) -> Shrink | None:
        """The same for arrays, float32; ``None`` where it leaves them as they are."""
        if self.take == "whole" and self.channels == 1:
            return None
        return Shrink(self._name, self._applied)

    @property
    def _name(self) -> str:
        """What tells it from any other reading of the same tensor."""
        if self.take == "whole":
            return f"channels first, from {self.channels}"
        told = "" if self.mask is None else f" where {self.mask.input} is {'not 0' if self.mask.keeps else '0'}"
        return f"{self.take} of places, channels at {self.channels}{told}"

    def _applied(self, values: np.ndarray, inputs: Batch) -> np.ndarray:
        mask = None if self.mask is None else torch.from_numpy(inputs[self.mask.input] != 0)
        found: np.ndarray = self(torch.from_numpy(np.require(values, np.float32, "W")), mask).numpy()
        return found


def read_cuts(
    network: Network, cuts: Sequence[Cut], head: HeadOptions, channels: Channels = "auto",
    say: Callable[[str], None] = lambda text: None,
) -> list[Reading]:  # fmt: skip
    """What the exits behind ``cuts`` read; means over places leave out those that a mask input of the network hides.

    ``say`` is told where the graph does not tell the channels' axis, or the scores what a mask does, or where a mask is of
    other places than a cut. Raises as ``reading_of``.
    """
    for one in cuts if channels == "auto" else ():
        if one.told is None and len(one.shape) > 2:
            said = "first" if one.channels == 1 else "last"
            say(f"where the channels of {one.tensor} {list(one.shape)} are the graph does not tell; taken to be {said}")
    readings = [reading_of(one, head, channels) for one in cuts]
    places = [_places(one, reading) for one, reading in zip(cuts, readings, strict=True)]
    masks = find_masks(network) if any(places) else {}
    given = mask_inputs(network)
    for entry in given:
        if entry.shape[1] in places and entry.shape[1] not in masks:
            say(f"what {entry.name} leaves out the scores do not tell; heads read the mean over all places")
    for one, axis in zip(cuts, places, strict=True):
        if given and axis is not None and axis not in {entry.shape[1] for entry in given}:
            said = " and ".join(f"{entry.name} {list(entry.shape)}" for entry in given)
            say(
                f"{one.tensor} {list(one.shape)} has other places than {said}; its head reads the mean over all of them"
            )
    return [
        one if axis is None else replace(one, mask=masks.get(axis)) for one, axis in zip(readings, places, strict=True)
    ]


def reading_of(cut: Cut, head: HeadOptions, channels: Channels = "auto") -> Reading:
    """Of tokens and signals a vector; of a map what ``head`` takes, or a vector where its sides are not fixed.

    ``channels``: on which axis they are, ``auto`` as the graph tells. Raises ``BadOption`` where that axis has no known
    size, or the cut is of no kind that heads read.
    """
    cut = with_channels(cut, channels)
    if cut.channels is None or not cut.dtype.startswith("float"):
        raise BadOption(
            f"{cut.tensor!r} is {cut.dtype} {list(cut.shape)}, which no head reads; wanted floats, a known number of "
            f"channels, and at most two axes beside them: cut elsewhere, or say where the channels are"
        )
    if cut.kind == "vector":
        return Reading(cut.channels)
    if cut.kind == "map":
        is_whole = head.kind != "linear" and all(isinstance(size, int) for size in cut.shape[1:])
        return Reading(cut.channels, "whole" if is_whole else "mean")
    return Reading(cut.channels, "first" if cut.kind == "tokens" and head.tokens == "first" else "mean")


def with_channels(cut: Cut, channels: Channels) -> Cut:
    """The cut with its channels where somebody knows them to be; a vector, and with ``auto`` any cut, as it is."""
    if channels == "auto" or len(cut.shape) < 3:
        return cut
    return replace(cut, told=1 if channels == "first" else len(cut.shape) - 1)


def _places(cut: Cut, reading: Reading) -> Axis | None:
    """The one axis that a mean goes over."""
    return cut.shape[3 - reading.channels] if reading.take == "mean" and len(cut.shape) == 3 else None
