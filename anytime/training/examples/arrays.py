"""Rows in an ``npz`` file: an array per input of the network, and if known ``label``, (N,).

``split`` may say of each row where it belongs, ``train``, ``calibration`` or ``test``; else they are cut by the seed,
stratified where labels are known, and equal rows stay together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from anytime.model_store.npz import NpzUnreadable, read_npz
from anytime.training.attach import Inputs, NetworkInput, rows_of
from anytime.training.data.repeats import Repeats, count_repeats
from anytime.training.data.split import cut
from anytime.training.errors import BadData, BadLabel, DataMisfit
from anytime.training.examples.examples import Examples, Part

LABEL, SPLIT = "label", "split"
PARTS = ("train", "calibration", "test")
_TEST, _CALIBRATION = 0.2, 0.2

Cut = Mapping[str, np.ndarray]
"""The rows of each part, by its name: rising indices."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """Rows that fit a network's inputs: (N, ...) by input name.

    ``label``: (N,) int64, ``split``: (N,) words; ``None`` where they are not known.
    """

    path: Path
    by_name: Mapping[str, np.ndarray]
    label: np.ndarray | None
    split: np.ndarray | None

    def __len__(self) -> int:
        return len(next(iter(self.by_name.values())))

    @cached_property
    def keys(self) -> list[bytes]:
        """Of each row, over the bytes of all inputs: equal rows share it."""
        found = [hashlib.blake2b(digest_size=16) for _ in range(len(self))]
        for name in sorted(self.by_name):
            for digest, row in zip(found, self.by_name[name], strict=True):
                digest.update(row.tobytes())
        return [digest.digest() for digest in found]

    def given(self, parts: Sequence[str] = PARTS) -> Cut:
        """As the file's ``split`` says. Raises ``BadData`` where one of ``parts`` gets no row."""
        assert self.split is not None, "asked of a file that says it"
        found = {name: np.flatnonzero(self.split == name) for name in PARTS}
        for name in parts:
            if not len(found[name]):
                raise BadData(f"{self.path}: {SPLIT} leaves no row to {name}; every part needs some")
        return found

    def thirds(self, seed: int, *, by_label: bool = True) -> Cut:
        """A fifth to test, a fifth of the rest to calibrate; the test rows are the same for every seed.

        Raises ``BadData`` where these are too few rows.
        """
        strata = self.label if by_label and self.label is not None else np.zeros(len(self), np.int64)
        rest, test = cut(strata, _TEST, 0, self.keys)
        train, calibration = cut(strata[rest], _CALIBRATION, seed, self._keys(rest))
        if not (len(test) and len(calibration) and len(train)):
            raise BadData(self._too_few("train, calibrate and test on"))
        return {"train": rest[train], "calibration": rest[calibration], "test": test}

    def halves(self, seed: int) -> Cut:
        """One half to calibrate, one to test, none to train. Raises ``BadData``."""
        calibration, test = cut(np.zeros(len(self), np.int64), 0.5, seed, self.keys)
        if not (len(calibration) and len(test)):
            raise BadData(self._too_few("calibrate and test on"))
        return {"train": np.empty(0, np.int64), "calibration": calibration, "test": test}

    def repeats(self, parts: Cut) -> Repeats:
        return count_repeats([self._keys(rows) for rows in parts.values()])

    def part(self, rows: np.ndarray) -> Part:
        """(n,) -> those rows."""
        chosen = {name: values[rows] for name, values in self.by_name.items()}
        return Part(rows_of(chosen), None if self.label is None else self.label[rows])

    def examples(self, seed: int = 0, *, by_label: bool = True) -> Examples:
        """In three parts: as the file says, else as ``thirds``. Raises ``BadData``."""
        parts = self.thirds(seed, by_label=by_label) if self.split is None else self.given()
        found = {name: self.part(parts[name]) for name in PARTS}
        said = ", ".join(f"{name} {len(one)} (sha256 {one.rows.key[:16]})" for name, one in found.items())
        said = "; ".join(filter(None, [said, str(self.repeats(parts))]))
        return Examples((found["train"],), found["calibration"], found["test"],
                        data={"name": self.path.name, "sha256": self.sha256(parts), "split": said})  # fmt: skip

    def sha256(self, parts: Cut) -> str:
        """What tells these rows and how they are cut from any others, without their labels."""
        return hashlib.sha256("".join(self.part(parts[name]).rows.key for name in PARTS).encode()).hexdigest()

    def _keys(self, rows: np.ndarray) -> list[bytes]:
        return [self.keys[row] for row in rows.tolist()]

    def _too_few(self, purpose: str) -> str:
        return f"{self.path}: {len(self)} rows, {len(set(self.keys))} of them different, are too few to {purpose}; give more"


def load_arrays(
    path: Path, inputs: Inputs, classes: int, *, label: np.ndarray | None = None, labelled: bool = True
) -> Arrays:
    """The file's rows, in the inputs' dtypes. ``label``: instead of the file's own.

    ``labelled``: whether labels are needed; else they are left out where they are not the network's ``classes``. Raises
    ``BadData`` for a file that is no such one, ``BadLabel`` and ``DataMisfit``.
    """
    arrays = _read(path)
    names = {entry.name: entry for entry in inputs.tensors}
    own, split = (arrays.pop(name, None) if name not in names else None for name in (LABEL, SPLIT))
    by_name = {name: _cast(values, names[name]) if name in names else values for name, values in arrays.items()}
    if any(values.ndim and not len(values) for values in by_name.values()):
        raise BadData(f"{path} has no rows; wanted some to calibrate on and some to test")
    rows = inputs.check(by_name)
    label = own if label is None else label
    if label is None and labelled:
        raise BadLabel(
            f"{path} has no array {LABEL!r} (it has {', '.join(arrays)}); add one, give labels, or do without them"
        )
    if label is not None:
        label = _fitting(path, label, rows, classes, labelled=labelled)
    return Arrays(path, by_name, label, None if split is None else _words(path, split, rows))


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        return read_npz(path)
    except NpzUnreadable as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise BadData(f"{path} is not there; give the path of an .npz file") from error
        raise BadData(f"{path} is no .npz file of plain arrays: {error}; write it with numpy.savez") from error


def _cast(values: np.ndarray, entry: NetworkInput) -> np.ndarray:
    """In the input's dtype, where that is of the same kind and no whole number becomes another; else as it is."""
    if not np.can_cast(values.dtype, entry.dtype, "same_kind"):
        return values
    cast = values.astype(entry.dtype)
    return values if cast.dtype.kind in "iu" and not np.array_equal(cast, values) else cast


def _fitting(path: Path, label: np.ndarray, rows: int, classes: int, *, labelled: bool) -> np.ndarray | None:
    if label.shape != (rows,) or label.dtype.kind not in "iu":
        raise BadLabel(
            f"{path}: the labels are {label.dtype} of shape {label.shape}; wanted {rows} whole numbers, one per row"
        )
    wrong = np.flatnonzero((label < 0) | (label >= classes))
    if not len(wrong):
        return label.astype(np.int64)
    if not labelled:
        return None
    raise BadLabel(
        f"{path}: the label of row {wrong[0]} (from 0) is {label[wrong[0]]}, and {len(wrong)} of {rows} are none of the "
        f"{classes} classes; wanted 0 to {classes - 1}: mend them"
    )


def _words(path: Path, split: np.ndarray, rows: int) -> np.ndarray:
    if split.shape != (rows,):
        raise DataMisfit(f"{path}: {SPLIT} has the shape {split.shape}; wanted ({rows},), one word per row")
    words = split.astype(str)
    strange = set(words.tolist()) - set(PARTS)
    if strange:
        raise BadData(f"{path}: {SPLIT} says {min(strange)!r}; wanted {', '.join(PARTS)}")
    return words
