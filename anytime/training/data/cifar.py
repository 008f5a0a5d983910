"""CIFAR-10 and CIFAR-100 in their binary version: https://www.cs.toronto.edu/~kriz/cifar.html"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from anytime.model_store.manifest import Level, Preprocess
from anytime.training.data.archive import read_members
from anytime.training.data.class_names import CIFAR10_NAMES, CIFAR100_COARSE, CIFAR100_FINE, CIFAR100_PARENT
from anytime.training.data.official import Official, Part
from anytime.training.data.pictures import Loaded
from anytime.training.data.place import Place, strangers
from anytime.training.data.sources import CIFAR10, CIFAR10_ARCHIVE, CIFAR100, CIFAR100_ARCHIVE, Source
from anytime.training.errors import BadData, BadLabel

_SPEC = Preprocess(channels="rgb", resize=(32, 32))
_PIXELS = 3 * 32 * 32


def read_cifar10(place: Place) -> Official:
    """50,000 and 10,000 pictures of 10 classes. Raises ``DataMissing`` or a ``BadData``."""
    found, odd = _files(place, CIFAR10, CIFAR10_ARCHIVE)
    names = [file.name for file in CIFAR10.files]
    records = [_records(found[name], 1, name) for name in names]
    return Official(_part(records[:-1], column=0), _part(records[-1:], column=0), CIFAR10_NAMES, strangers=odd)


def read_cifar100(place: Place, labels: Literal["fine", "coarse"] = "fine") -> Official:
    """50,000 and 10,000 pictures of 100 classes, each of which lies in one of 20; ``coarse``: those 20 alone.

    Raises ``DataMissing`` or a ``BadData``.
    """
    found, odd = _files(place, CIFAR100, CIFAR100_ARCHIVE)
    parts = []
    for name in (file.name for file in CIFAR100.files):
        records = _records(found[name], 2, name)
        _check_parents(records[:, 0], records[:, 1], name)
        parts.append(_part([records], column=1 if labels == "fine" else 0))
    train, test = parts
    if labels == "coarse":
        return Official(train, test, CIFAR100_COARSE, strangers=odd)
    levels = (
        Level(name="fine", labels=CIFAR100_FINE, parent=CIFAR100_PARENT),
        Level(name="coarse", labels=CIFAR100_COARSE),
    )
    return Official(train, test, CIFAR100_FINE, levels=levels, strangers=odd)


def _files(place: Place, source: Source, archive: Source) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The contents of the binary files by name, unpacked ones first, and which files are not the published ones."""
    if (lying := place.find(source)) is not None:
        return {name: _bytes(path) for name, path in lying.items()}, strangers(lying, source)
    packed = place.obtain(archive)
    members = read_members(packed[archive.files[0].name], [file.name for file in source.files])
    return members, strangers(packed, archive)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror}") from error


def _records(data: bytes, label_bytes: int, said: str) -> np.ndarray:
    """(N, label_bytes + 3072): the labels, then the red, green and blue planes."""
    size = label_bytes + _PIXELS
    if not data or len(data) % size:
        raise BadData(
            f"{said} holds {len(data)} bytes; wanted a multiple of {size}, the size of a record: fetch it again"
        )
    return np.frombuffer(data, np.uint8).reshape(-1, size)


def _part(records: Sequence[np.ndarray], column: int) -> Part:
    every = np.concatenate(records)
    planes = every[:, -_PIXELS:].reshape(-1, 3, 32, 32)
    return Part(Loaded(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), _SPEC), every[:, column].astype(np.int64))


def _check_parents(coarse: np.ndarray, fine: np.ndarray, said: str) -> None:
    """Every fine label lies in the coarse label that the classes' table gives."""
    if fine.max() >= len(CIFAR100_FINE):
        raise BadLabel(f"{said}: a fine label is {fine.max()}; wanted 0 to {len(CIFAR100_FINE) - 1}")
    wrong = np.flatnonzero(np.array(CIFAR100_PARENT)[fine] != coarse)
    if len(wrong):
        row = int(wrong[0])
        raise BadLabel(
            f"{said}: picture {row} (from 0) has the fine label {CIFAR100_FINE[fine[row]]} and the coarse label "
            f"{coarse[row]}; wanted {CIFAR100_PARENT[fine[row]]}: the file is damaged, fetch it again"
        )
