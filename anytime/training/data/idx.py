"""MNIST and what is published like it: IDX files, packed or plain. http://yann.lecun.com/exdb/mnist"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from anytime.model_store.manifest import Preprocess
from anytime.training.data.official import Official, Part
from anytime.training.data.pictures import Loaded
from anytime.training.data.place import Place, strangers
from anytime.training.data.sources import Source
from anytime.training.errors import BadData


def read_idx_set(place: Place, source: Source, labels: tuple[str, ...]) -> Official:
    """The four files of ``source``: train images, train labels, test images, test labels. Raises a ``BadData``."""
    found = place.obtain(source)
    train_images, train_labels, test_images, test_labels = (found[file.name] for file in source.files)
    return Official(
        train=_part(train_images, train_labels),
        test=_part(test_images, test_labels),
        labels=labels,
        strangers=strangers(found, source),
    )


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The uint8 array of an IDX file, by its header. Raises ``BadData``."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise BadData(f"{path} cannot be read: {error}; fetch it again") from error
    start = 4 + 4 * axes
    if len(data) < start or data[:4] != bytes((0, 0, 8, axes)):
        raise BadData(f"{path} begins with {data[:4].hex()}; wanted an IDX file of bytes with {axes} axes")
    shape = struct.unpack(f">{axes}I", data[4:start])
    if len(data) - start != math.prod(shape):
        raise BadData(f"{path} holds {len(data) - start} bytes; its header says {list(shape)}: fetch it again")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _part(images: Path, labels: Path) -> Part:
    pixels = read_idx(images, 3)[..., np.newaxis]
    height, width = pixels.shape[1:3]
    if height == 0 or width == 0:
        raise BadData(f"{images} holds pictures of {height} x {width}")
    spec = Preprocess(channels="gray", resize=(height, width))
    return Part(Loaded(pixels, spec), read_idx(labels, 1).astype(np.int64))
