"""Finding picture files, and saying how pictures of any size become rows of one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anytime.model_store import PixelsError
from anytime.model_store.manifest import Preprocess
from anytime.model_store.pixels import decode
from anytime.training.data.official import Part
from anytime.training.data.pictures import MAX_PIXELS, Filed, Shape, framed_shape
from anytime.training.errors import BadData, BadOption, BadPicture, EmptyClass

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_OTHERS = (".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".avif", ".heic", ".jp2")
_WIDE = 128
"""From this size on, what lies at the very edge is cut away, as is the custom for 224."""


def spec_of_size(size: int) -> Preprocess:
    """Square rows: the shorter side to ``size`` and the centre cut out; from 128 on to 256/224 of it (He et al., 2016)."""
    if size < 1:
        raise BadOption(f"size {size}; wanted the side of a picture in pixels, such as 224")
    return Preprocess(channels="rgb", resize=round(size * 256 / 224) if size >= _WIDE else size, crop=(size, size))


def list_pictures(root: Path, folder: str) -> list[str]:
    """The pictures below ``root/folder``, however deep, sorted, as paths from ``root``; other files are passed over.

    Raises ``EmptyClass`` for none, ``BadPicture`` for one of a format that the service would not take.
    """
    found = []
    for where, _, names in os.walk(root / folder):
        inside = Path(where).relative_to(root).as_posix()
        for name in names:
            suffix = Path(name).suffix.lower()
            if suffix in SUFFIXES and not name.startswith("."):
                found.append(f"{inside}/{name}")
            elif suffix in _OTHERS:
                raise BadPicture(f"{Path(where, name)} is no PNG, JPEG or WebP; convert it, as clients will have to")
    if not found:
        raise EmptyClass(f"{root / folder} holds no PNG, JPEG or WebP; every class needs some pictures")
    return sorted(found)


def list_folders(folder: Path) -> list[str]:
    """The names of the folders in ``folder``, sorted, hidden ones left out. Raises ``BadData``."""
    try:
        return sorted(one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    except OSError as error:
        raise BadData(f"{folder} cannot be read: {error.strerror}; wanted a folder with a folder per class") from error


def class_folders(root: Path, inside: str, classes: Sequence[str], below: str = "") -> tuple[list[str], list[int]]:
    """Pictures and labels of ``root/inside/<class>/below``, class by class."""
    names: list[str] = []
    labels: list[int] = []
    for label, one in enumerate(classes):
        own = list_pictures(root, "/".join(part for part in (inside, one, below) if part))
        names += own
        labels += [label] * len(own)
    return names, labels


def file_part(root: Path, names: Sequence[str], labels: Sequence[int], spec: Preprocess, shape: Shape | None = None,
              *, compared: bool = True) -> Part:  # fmt: skip
    """Those files as a part. ``shape``: of another part of the same set; without it the first picture tells."""
    if not names:
        raise BadData(f"{root}: no picture is listed for this part")
    shape = shape or _shape(root / names[0], spec)
    return Part(Filed(root, names, spec, shape, compared), np.array(labels, np.int64))


def read_table(path: Path, columns: int) -> list[list[str]]:
    """The lines of a text file as ``columns`` words each, the last taking the rest. Raises ``BadData``."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{path} cannot be read: {error}; fetch the data set again") from error
    rows = [line.split(maxsplit=columns - 1) for line in lines if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != columns:
            raise BadData(f"{path}: entry {number} has {len(row)} words; wanted {columns}")
    return rows


def _shape(path: Path, spec: Preprocess) -> Shape:
    try:
        image = decode(path.read_bytes(), spec.channels, MAX_PIXELS)
    except (OSError, PixelsError) as error:
        raise BadPicture(f"{path}: {error}; mend or remove the file") from error
    return framed_shape(spec, image.height, image.width)
