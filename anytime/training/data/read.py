"""A data set by its name: found or fetched, checked, and cut into train, calibration and test."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from anytime.model_store.manifest import Preprocess
from anytime.model_store.nearest import nearest
from anytime.training.data.cifar import read_cifar10, read_cifar100
from anytime.training.data.class_names import DIGITS, FASHION_MNIST_NAMES
from anytime.training.data.cub import read_cub
from anytime.training.data.data_set import DataSet
from anytime.training.data.digits import read_digit_set
from anytime.training.data.folder import AS_THEY_ARE, read_folder
from anytime.training.data.idx import read_idx_set
from anytime.training.data.imagenet import TINY_FRAME, read_imagenet, read_tiny_imagenet
from anytime.training.data.normalise import normalisation_of
from anytime.training.data.official import Official, Part
from anytime.training.data.picture_files import spec_of_size
from anytime.training.data.pictures import Loaded
from anytime.training.data.place import VARIABLE, Place, data_folder
from anytime.training.data.sources import FASHION_MNIST, MNIST
from anytime.training.data.split import split_data
from anytime.training.data.svhn import read_svhn
from anytime.training.errors import BadOption, DataMissing, DataUnknown


@dataclass(frozen=True)
class Entry:
    """How a data set is read, and what it takes where nothing else is asked for.

    ``frame``: how pictures in files become rows; ``None`` for those in memory. ``calibration``: the share of the published
    train part. ``augmentation``: what the papers do, by name.
    """

    read: Callable[[Place, Preprocess], Official]
    augmentation: str = "none"
    frame: Preprocess | None = None
    calibration: float = 0.1


def _read_own(place: Place, spec: Preprocess) -> Official:
    if place.folder is None:
        raise BadOption(f"which folder? name the one with a folder per class, as an option or by {VARIABLE}")
    return read_folder(place.folder, spec)


ENTRIES: Mapping[str, Entry] = {
    "digits": Entry(lambda place, spec: read_digit_set(), calibration=0.25),
    "mnist": Entry(lambda place, spec: read_idx_set(place, MNIST, DIGITS)),
    "fashion-mnist": Entry(lambda place, spec: read_idx_set(place, FASHION_MNIST, FASHION_MNIST_NAMES)),
    "cifar10": Entry(lambda place, spec: read_cifar10(place), "crop-flip"),
    "cifar100": Entry(lambda place, spec: read_cifar100(place), "crop-flip"),
    "cifar100-coarse": Entry(lambda place, spec: read_cifar100(place, "coarse"), "crop-flip"),
    "svhn": Entry(lambda place, spec: read_svhn(place), "crop"),
    "svhn-extra": Entry(lambda place, spec: read_svhn(place, extra=True), "crop"),
    "tiny-imagenet": Entry(read_tiny_imagenet, "crop-flip", TINY_FRAME),
    "imagenet": Entry(read_imagenet, "resized-crop-flip", spec_of_size(224)),
    "cub": Entry(read_cub, "resized-crop-flip", spec_of_size(224)),
    "folder": Entry(_read_own, "resized-crop-flip", AS_THEY_ARE),
}


def read_data(
    name: str,
    folder: Path | None = None,
    *,
    seed: int = 0,
    calibration: float | None = None,
    size: int | None = None,
    preprocess: Preprocess | None = None,
    may_download: bool = True,
    show_progress: bool = False,
) -> DataSet:
    """The data set of this name, with ``calibration`` of its train part held out, stratified, by ``seed``.

    ``folder``: where its official files lie, below a folder of its own or directly (for ``folder``: the pictures); without
    it ``ANYTIME_DATA``, then the cache. ``size``: the side that pictures are brought to, the shorter one first.
    ``preprocess``: instead of that, what a network was trained with, mean and std included.
    Raises ``DataUnknown``, ``DataMissing``, ``BadOption``, ``ExtraMissing`` or a ``BadData``.
    """
    if name not in ENTRIES:
        raise DataUnknown(f"no data set is called {name!r}; {nearest(name, ENTRIES)}")
    entry = ENTRIES[name]
    share = entry.calibration if calibration is None else calibration
    if not 0.0 < share < 1.0:
        raise BadOption(f"calibration {share}; wanted a share between 0 and 1, such as 0.1")
    if size is not None and preprocess is not None:
        raise BadOption("both a size and a preprocessing are given; leave one out")
    frame = preprocess or (spec_of_size(size) if size is not None else entry.frame)
    place = Place(data_folder(folder, os.environ), may_download, show_progress)
    if place.folder is not None and not place.folder.is_dir() and not may_download:
        raise DataMissing(f"{place.folder} is no folder; wanted the one in which data sets lie")
    official = entry.read(place, frame or AS_THEY_ARE).checked(name)
    if frame is not None and entry.frame is None:
        if preprocess is None:  # a size says nothing about colour
            frame = frame.model_copy(update={"channels": official.spec.channels})
        test = None if official.test is None else _reframed(official.test, frame)
        official = replace(official, train=_reframed(official.train, frame), test=test)
    stated = None if preprocess is None else normalisation_of(preprocess)
    title = f"{name} {place.folder.name}" if name == "folder" and place.folder is not None else name
    return split_data(title, official, share, seed, normalisation=stated, augmentation=entry.augmentation)


def _reframed(part: Part, frame: Preprocess) -> Part:
    """Pictures in memory, brought to another frame as their batches are made."""
    assert isinstance(part.pictures, Loaded), "a reader without a frame of its own loads its pictures"
    return replace(part, pictures=replace(part.pictures, spec=frame))
