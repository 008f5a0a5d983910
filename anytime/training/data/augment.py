"""Random changes to training pictures, vectorised over a batch.

All chance comes in: ``DRAWS`` numbers per picture, so that the same numbers make the same picture in whatever batch it
comes. Where they come from is for ``batches`` to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from anytime.model_store.nearest import nearest
from anytime.training.data.normalise import Normalisation
from anytime.training.data.pictures import Box, View
from anytime.training.errors import BadOption

DRAWS = 7
"""Numbers in [0, 1) that a picture takes: top, left, flip, top and left of the cut-out, area or scale, aspect or angle."""
_AREA = (0.08, 1.0)
_ASPECT = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class Augmentation:
    """In this order: a resized crop, a turn, padding and a random crop back to size, a mirror image, a cut-out.

    ``resized_crop``: 8 to 100 % of the original's area at an aspect of 3/4 to 4/3, resized to the shape (Szegedy et al.,
    2015, section 6); where the drawn part is longer than the picture it is clipped. ``degrees``, ``shift``, ``scale``: at
    once turned by up to so much about the middle, moved in whole pixels by up to this share of each side, and made larger or
    smaller by a factor between these; a pixel is the nearest one, black from outside. ``pad``: pixels added on each side.
    ``flip``: with probability 1/2. ``cutout``: the side of a square, wholly inside, that becomes ``fill`` (one value per
    channel: the mean, which normalisation makes zero up to half a step of 255).
    """

    pad: int = 0
    padding: Literal["zeros", "reflect"] = "zeros"
    flip: bool = False
    cutout: int = 0
    fill: tuple[int, ...] = (0,)
    resized_crop: bool = False
    degrees: float = 0.0
    shift: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)

    def __call__(self, images: np.ndarray, chance: np.ndarray) -> np.ndarray:
        """(B, H, W, C) uint8 and (B, DRAWS) -> (B, H, W, C) uint8: all but the resized crop, which needs the originals."""
        if self.degrees or self.shift or self.scale != (1.0, 1.0):
            images = self._turned(images, chance)
        if self.pad:
            images = self._cropped(images, chance)
        if self.flip:
            images, mirrored = images.copy(), chance[:, 2] < 0.5
            images[mirrored] = images[mirrored][:, :, ::-1]
        if self.cutout:
            images = self._cut(images, chance)
        return images

    def view(self, chance: np.ndarray) -> View | None:
        """Which part of each original picture to show; ``None``: the usual frame."""
        return (lambda place, width, height: resized_crop(width, height, chance[place])) if self.resized_crop else None

    def _cropped(self, images: np.ndarray, chance: np.ndarray) -> np.ndarray:
        pad, (batch, height, width, _) = self.pad, images.shape
        margins = ((0, 0), (pad, pad), (pad, pad), (0, 0))
        padded = np.pad(images, margins, mode="constant" if self.padding == "zeros" else "reflect")
        # (B, 2 pad + 1, 2 pad + 1, C, H, W): every place of the window, without a copy.
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
        top, left = (_whole(chance[:, draw], 2 * pad + 1) for draw in (0, 1))
        return windows[np.arange(batch), top, left].transpose(0, 2, 3, 1)

    def _turned(self, images: np.ndarray, chance: np.ndarray) -> np.ndarray:
        _, height, width, _ = images.shape
        angle = np.deg2rad(self.degrees) * (2 * chance[:, 6] - 1)
        low, high = self.scale
        zoom = low + (high - low) * chance[:, 5]
        down, right = (
            np.round(self.shift * side * (2 * chance[:, draw] - 1)) for draw, side in ((0, height), (1, width))
        )
        # Back from the middle of each pixel of the result to where it was, both counted from the middle of the picture.
        y = (np.arange(height) + 0.5 - height / 2)[:, np.newaxis] - down[:, np.newaxis, np.newaxis]
        x = np.arange(width) + 0.5 - width / 2 - right[:, np.newaxis, np.newaxis]
        cos, sin = ((turn(angle) / zoom)[:, np.newaxis, np.newaxis] for turn in (np.cos, np.sin))
        row = np.floor(cos * y - sin * x + height / 2).astype(np.int64)
        column = np.floor(sin * y + cos * x + width / 2).astype(np.int64)
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        picked = images[np.arange(len(images))[:, np.newaxis, np.newaxis], row % height, column % width]
        return picked * inside[..., np.newaxis]

    def _cut(self, images: np.ndarray, chance: np.ndarray) -> np.ndarray:
        _, height, width, _ = images.shape
        if self.cutout > min(height, width):
            raise BadOption(f"a cut-out of {self.cutout} pixels does not fit into {height} x {width}; make it smaller")
        top = _whole(chance[:, 3], height - self.cutout + 1)[:, np.newaxis]
        left = _whole(chance[:, 4], width - self.cutout + 1)[:, np.newaxis]
        row, column = np.arange(height), np.arange(width)
        tall = (row >= top) & (row < top + self.cutout)
        wide = (column >= left) & (column < left + self.cutout)
        inside = (tall[:, :, np.newaxis] & wide[:, np.newaxis, :])[..., np.newaxis]
        return np.where(inside, np.array(self.fill, np.uint8), images)


AUGMENTATIONS: Mapping[str, Augmentation] = {
    "none": Augmentation(),
    "crop": Augmentation(pad=4),
    "crop-flip": Augmentation(pad=4, flip=True),
    "reflect-crop-flip-cutout": Augmentation(pad=4, padding="reflect", flip=True, cutout=8),
    "wide-reflect-crop-flip": Augmentation(pad=11, padding="reflect", flip=True),
    "resized-crop-flip": Augmentation(resized_crop=True, flip=True),
    "turn-shift-scale": Augmentation(degrees=7, shift=0.05, scale=(0.9, 1.1)),
}
"""``crop-flip``: CIFAR, as He et al. (2016), whom the papers on AdaLoss (section 5) and IS-ResNeXt (supplement A) follow.

``crop``: SVHN with AdaLoss, without the blur, whose width the paper does not give. ``reflect-crop-flip-cutout`` and
``wide-reflect-crop-flip``: CIFAR and Tiny ImageNet with cascaded networks (A.3). ``resized-crop-flip``: for 224 x 224.
``turn-shift-scale``: Fashion-MNIST in the code of QuickNets, whose paper does not say."""


def augmentation_named(name: str, normalisation: Normalisation) -> Augmentation:
    """One of ``AUGMENTATIONS``, its cut-out filled with this mean. Raises ``BadOption``."""
    if name not in AUGMENTATIONS:
        raise BadOption(f"no augmentation is called {name!r}; {nearest(name, AUGMENTATIONS)}")
    return replace(AUGMENTATIONS[name], fill=tuple(round(255 * mean) for mean in normalisation.mean))


def resized_crop(width: int, height: int, chance: np.ndarray) -> Box:
    """The part of a picture of ``width`` x ``height`` to show, by its ``DRAWS`` numbers."""
    area = width * height * (_AREA[0] + (_AREA[1] - _AREA[0]) * chance[5])
    low, high = (math.log(bound) for bound in _ASPECT)
    aspect = math.exp(low + (high - low) * chance[6])
    wide = float(min(max(1, round(math.sqrt(area * aspect))), width))
    tall = float(min(max(1, round(math.sqrt(area / aspect))), height))
    left, top = (
        math.floor(draw * (room + 1)) for draw, room in ((chance[1], width - wide), (chance[0], height - tall))
    )
    return (left, top, left + wide, top + tall)


def _whole(chance: np.ndarray, choices: int) -> np.ndarray:
    """[0, 1) -> 0 to choices - 1, alike likely."""
    return (chance * choices).astype(np.int64)
