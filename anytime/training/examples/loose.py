"""Pictures in one folder, with their labels in a file beside, or with none at all."""

from __future__ import annotations

import csv
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


def read_loose(folder: Path, spec: Preprocess, *, labels: Path | None, classes: int, seed: int = 0) -> DataSet:
    """The pictures below ``folder``; ``labels``: a file of lines ``picture,class index``, as ``read_labels`` takes it.

    Without it every label is 0 and means nothing. Raises a ``BadData``.
    """
    names = [name.removeprefix("./") for name in list_pictures(folder, ".")]
    found = [0] * len(names) if labels is None else _by_picture(labels, names)
    part = file_part(folder, names, found, spec)
    official = Official(part, None, tuple(str(index) for index in range(classes)))
    part.checked(f"{folder}", classes)
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


def _by_picture(path: Path, names: list[str]) -> list[int]:
    lines = read_labels(path)
    known = dict(lines)
    missing = [name for name in names if name not in known]
    if missing:
        such = f"; it has lines such as {lines[0][0]!r}" if lines else ""
        raise BadLabel(
            f"{path} has no line for {missing[0]!r} and {len(missing) - 1} more{such}: wanted one per picture"
        )
    return [known[name] for name in names]
