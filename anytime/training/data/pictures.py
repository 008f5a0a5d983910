"""Pictures as rows of pixels, held in memory or read from files when asked for: what a split is cut from.

Knows no labels and no data set by name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from anytime.model_store import PixelsError
from anytime.model_store.manifest import Preprocess
from anytime.model_store.pixels import decode, fit
from anytime.training.errors import BadOption, BadPicture, SizesDiffer

MAX_PIXELS = 80_000_000
"""Of one picture; the largest of ImageNet has about half as many. Below Pillow's own bound, which warns."""
COMPARED_BYTES = 2 * 1024**3
"""Files are read whole to find repeated ones only up to here."""
THREADS = 8
"""At most, to decode a batch; decoding does not hold the interpreter."""

Shape = tuple[int, int, int]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the original picture."""
View = Callable[[int, int, int], Box]
"""(place in the batch, width, height) -> the part to show of that picture."""

_RESAMPLING = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR,
               "bicubic": Image.Resampling.BICUBIC}  # fmt: skip


class Pictures(Protocol):
    """Rows of one shape."""

    @property
    def spec(self) -> Preprocess:
        """How a picture becomes a row; its mean, std and layout mean nothing here."""

    @property
    def shape(self) -> Shape:
        """(H, W, C) of a row."""

    def __len__(self) -> int: ...

    def batch(self, rows: np.ndarray, view: View | None = None) -> np.ndarray:
        """(B,) -> (B, H, W, C) uint8; with ``view`` that part of each original, resized to the shape."""

    def digest(self, rows: np.ndarray) -> bytes:
        """SHA-256 over the rows, in their order."""

    def keys(self) -> list[bytes] | None:
        """A key per row that repeated pictures share; ``None`` where looking would mean reading everything."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """``images``: (N, h, w, 1 or 3) uint8, all in memory; framed by ``spec`` where that asks for another size."""

    images: np.ndarray
    spec: Preprocess

    @property
    def shape(self) -> Shape:
        height, width, channels = self.images.shape[1:]
        return framed_shape(self.spec, height, width) if self._is_framed else (height, width, channels)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, rows: np.ndarray, view: View | None = None) -> np.ndarray:
        if view is None and not self._is_framed:
            return self.images[rows]
        originals = (Image.fromarray(one.squeeze(-1) if one.shape[-1] == 1 else one) for one in self.images[rows])
        mode = "L" if self.spec.channels == "gray" else "RGB"
        return _stacked(_framed(one.convert(mode), self.spec, self.shape, place, view)
                        for place, one in enumerate(originals))  # fmt: skip

    def digest(self, rows: np.ndarray) -> bytes:
        digest = hashlib.sha256()
        for start in range(0, len(rows), 4096):
            digest.update(self.images[rows[start : start + 4096]].tobytes())
        return digest.digest()

    def keys(self) -> list[bytes] | None:
        return [hashlib.blake2b(one.tobytes(), digest_size=16).digest() for one in self.images]

    @property
    def _is_framed(self) -> bool:
        height, width, channels = self.images.shape[1:]
        spec = self.spec
        wanted = 1 if spec.channels == "gray" else 3
        return (spec.resize not in (None, (height, width)) or spec.crop not in (None, (height, width))
                or wanted != channels)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Filed:
    """Picture files below ``root``, decoded when asked for: exactly as a picture that is sent to the service.

    ``shape`` is what ``spec`` makes of a picture. ``compared``: whether ``keys`` may read files.
    """

    root: Path
    names: Sequence[str]
    spec: Preprocess
    shape: Shape
    compared: bool = True

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, rows: np.ndarray, view: View | None = None) -> np.ndarray:
        def read(place: int) -> np.ndarray:
            return self._read(self.names[int(rows[place])], place, view)

        threads = min(THREADS, os.cpu_count() or 1, len(rows))
        if threads < 2:
            return _stacked(map(read, range(len(rows))))
        with ThreadPoolExecutor(threads) as pool:
            return _stacked(pool.map(read, range(len(rows))))

    def digest(self, rows: np.ndarray) -> bytes:
        """Over relative paths and sizes: a changed picture of the same size in bytes is not noticed."""
        digest = hashlib.sha256()
        for row in rows:
            name = self.names[int(row)]
            digest.update(f"{name}\0{self._size(name)}\n".encode())
        return digest.digest()

    def keys(self) -> list[bytes] | None:
        """By the files' bytes; ``None`` for more than 2 GB of them."""
        if not self.compared or sum(map(self._size, self.names)) > COMPARED_BYTES:
            return None
        return [hashlib.blake2b(self._bytes(name), digest_size=16).digest() for name in self.names]

    def _read(self, name: str, place: int, view: View | None) -> np.ndarray:
        try:
            image = decode(self._bytes(name), self.spec.channels, MAX_PIXELS)
            return _framed(image, self.spec, self.shape, place, view)
        except PixelsError as error:
            raise BadPicture(f"{self.root / name}: {error}; mend or remove the file") from error
        except SizesDiffer as error:
            raise SizesDiffer(f"{self.root / name}: {error}") from None

    def _bytes(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise BadPicture(f"{self.root / name} cannot be read: {error.strerror}") from error

    def _size(self, name: str) -> int:
        try:
            return (self.root / name).stat().st_size
        except OSError as error:
            raise BadPicture(f"{self.root / name} cannot be read: {error.strerror}") from error


def framed_shape(spec: Preprocess, height: int, width: int) -> Shape:
    """(H, W, C) that ``spec`` makes of pictures which are all ``height`` x ``width``. Raises ``BadOption``."""
    channels = 1 if spec.channels == "gray" else 3
    if spec.crop is not None:
        return (*spec.crop, channels)
    if isinstance(spec.resize, int):
        if height != width:
            raise BadOption(
                f"resize {spec.resize} is the shorter side of {height} x {width} and leaves no fixed shape; give a crop"
            )
        return (spec.resize, spec.resize, channels)
    return (*(spec.resize or (height, width)), channels)


def _framed(image: Image.Image, spec: Preprocess, shape: Shape, place: int, view: View | None) -> np.ndarray:
    """A decoded picture -> (H, W, C)."""
    height, width, _ = shape
    if view is not None:
        box = view(place, image.width, image.height)
        image = image.resize((width, height), _RESAMPLING[spec.resample], box=box)
    else:
        image = fit(image, spec, MAX_PIXELS)
    if image.size != (width, height):
        raise SizesDiffer(
            f"the picture is {image.width} x {image.height} where others are {width} x {height}; "
            f"give one size for all, such as 224"
        )
    return np.asarray(image).reshape(shape)


def _stacked(images: Iterable[np.ndarray]) -> np.ndarray:
    return np.stack(list(images))
