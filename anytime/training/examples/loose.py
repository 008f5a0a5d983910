"""Pictures in one folder, with their labels in a file beside, or with none at all."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anytime.model_store.manifest import Preprocess
from anytime.training.data.data_set import DataSet
from anytime.training.data.normalise import normalisation_of
from anytime.training.data.official import Official
from anytime.training.data.picture_files import file_part, list_pictures
from anytime.training.data.split import split_data
from anytime.training.errors import BadLabel

_SHARE = 0.2
_DIGITS = 9


def read_loose(
    folder: Path, spec: Preprocess, *, labels: Path | None, classes: Sequence[str], seed: int = 0
) -> DataSet:  # fmt: skip
    """The pictures below ``folder``; ``labels``: a file of lines ``picture,class index``, a line for each.

    Without it every label is 0 and means nothing. ``classes``: the classes' names. Raises a ``BadData``.
    """
    names = [name.removeprefix("./") for name in list_pictures(folder, ".")]
    found = [0] * len(names) if labels is None else _by_picture(labels, folder, names, len(classes))
    official = Official(file_part(folder, names, found, spec), None, tuple(classes))
    return split_data(f"pictures {folder.name}", official, _SHARE, seed, normalisation=normalisation_of(spec))


def read_labels(path: Path) -> list[tuple[str, int]]:
    """Lines ``name,index`` or, for rows without names, ``index``. Raises ``BadLabel``, naming the line."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [(number, line) for number, line in enumerate(csv.reader(file), start=1) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadLabel(f"{path} cannot be read: {error}; wanted lines of text: picture,class index") from error
    found = []
    for number, line in lines:
        if len(line) > 2 or not line[-1].strip().isdecimal() or len(line[-1].strip()) > _DIGITS:
            raise BadLabel(
                f"{path}, line {number} is {','.join(line)!r}; wanted a picture and its class index: cat.png,3"
            )
        found.append((line[0].strip() if len(line) == 2 else "", int(line[-1])))
    return found


def label_rows(path: Path) -> np.ndarray:
    """(N,) int64: a class index per line, for rows in order."""
    return np.array([index for _, index in read_labels(path)], np.int64)


def _by_picture(path: Path, folder: Path, names: Sequence[str], classes: int) -> list[int]:
    """The class index of each picture. Raises ``BadLabel``."""
    known: dict[str, int] = {}
    for name, index in read_labels(path):
        if index >= classes:
            raise BadLabel(
                f"{path} says {name},{index}; the network tells {classes} classes: wanted 0 to {classes - 1}"
            )
        if known.setdefault(name, index) != index:
            raise BadLabel(f"{path} says {name},{known[name]} and {name},{index}; wanted one line per picture")
    there = set(names)
    unlabelled = [name for name in names if name not in known]
    absent = [name for name in known if name not in there]
    if unlabelled:
        such = f" (it has lines such as {absent[0]!r})" if absent else ""
        raise BadLabel(
            f"{path} has no line for {unlabelled[0]!r} and {len(unlabelled) - 1} more of {len(names)} pictures in {folder}"
            f"{such}; wanted a line for each: picture,class index"
        )
    if absent:
        raise BadLabel(
            f"{path} has a line for {absent[0]!r} and {len(absent) - 1} more that are not in {folder}; add these pictures, "
            f"or take their lines out"
        )
    return [known[name] for name in names]
