"""Rows in an ``npz`` file: an array per input of the network, and if known ``label``, (N,).

``split`` may say of each row where it belongs, ``train``, ``calibration`` or ``test``; else they are cut by the seed,
stratified where labels are known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from anytime.model_store.npz import NpzUnreadable, read_npz
from anytime.training.attach import Inputs, Rows, rows_of
from anytime.training.data.split import cut
from anytime.training.errors import BadData, BadLabel, DataMisfit
from anytime.training.examples.examples import Examples, Part

LABEL, SPLIT = "label", "split"
PARTS = ("train", "calibration", "test")
_TEST, _CALIBRATION = 0.2, 0.2


def read_arrays(
    path: Path, inputs: Inputs, *, label: np.ndarray | None = None, labelled: bool = True, seed: int = 0
) -> Examples:
    """The rows of an ``npz`` file. ``label``: instead of the file's own.

    Raises ``BadData`` for a file that is no such one, ``BadLabel`` and ``DataMisfit``.
    """
    arrays = load_arrays(path)
    names = {entry.name for entry in inputs.tensors}
    own, split = (arrays.pop(name, None) if name not in names else None for name in (LABEL, SPLIT))
    label = own if label is None else label
    rows = inputs.check(arrays)
    if label is not None and (label.shape != (rows,) or label.dtype.kind not in "iu"):
        raise BadLabel(
            f"{path}: the labels are {label.dtype} of shape {label.shape}; wanted {rows} whole numbers, one per row"
        )
    if labelled and label is None:
        raise BadLabel(
            f"{path} has no array {LABEL!r} (it has {', '.join(arrays)}); add one, give labels, or do without them"
        )
    label = None if label is None else label.astype(np.int64)
    parts = _given(path, split, rows) if split is not None else cut_rows(label, rows, seed)

    def part(name: str) -> Part:
        chosen = {key: values[parts[name]] for key, values in arrays.items()}
        return Part(rows_of(chosen), None if label is None else label[parts[name]])

    found = {name: part(name) for name in PARTS}
    digest = hash_of([one.rows for one in found.values()])
    said = ", ".join(f"{name} {len(one)} (sha256 {one.rows.key[:16]})" for name, one in found.items())
    return Examples((found["train"],), found["calibration"], found["test"],
                    data={"name": path.name, "sha256": digest, "split": said})  # fmt: skip


def hash_of(parts: Sequence[Rows]) -> str:
    """Of train, calibration and test, as in the manifest's ``provenance.data``."""
    return hashlib.sha256("".join(one.key for one in parts).encode()).hexdigest()


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Raises ``BadData``."""
    try:
        return read_npz(path)
    except NpzUnreadable as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise BadData(f"{path} is not there; give the path of an .npz file") from error
        raise BadData(f"{path} is no .npz file of plain arrays: {error}; write it with numpy.savez") from error


def _given(path: Path, split: np.ndarray, rows: int) -> Mapping[str, np.ndarray]:
    if split.shape != (rows,):
        raise DataMisfit(f"{path}: {SPLIT} has the shape {split.shape}; wanted ({rows},), one word per row")
    strange = set(split.astype(str).tolist()) - set(PARTS)
    if strange:
        raise BadData(f"{path}: {SPLIT} says {min(strange)!r}; wanted {', '.join(PARTS)}")
    found = {name: np.flatnonzero(split == name) for name in PARTS}
    for name, chosen in found.items():
        if not len(chosen):
            raise BadData(f"{path}: {SPLIT} leaves no row to {name}; every part needs some")
    return found


def cut_rows(label: np.ndarray | None, rows: int, seed: int) -> Mapping[str, np.ndarray]:
    """A fifth to test, a fifth of the rest to calibrate; the test rows are the same for every seed."""
    strata = np.zeros(rows, np.int64) if label is None else label
    rest, test = cut(strata, _TEST, 0)
    train, calibration = cut(strata[rest], _CALIBRATION, seed)
    if not (len(test) and len(calibration) and len(train)):
        raise BadData(f"{rows} rows are too few to train, calibrate and test on; give more")
    return {"train": rest[train], "calibration": rest[calibration], "test": test}
