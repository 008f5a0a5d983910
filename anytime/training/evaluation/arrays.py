"""A file of arrays as rows with labels: ``.npz``, an array per input of the bundle, ``label``, and ``split`` if known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anytime.model_store import Manifest
from anytime.model_store.manifest import Input
from anytime.model_store.nearest import nearest
from anytime.training.attach import rows_of
from anytime.training.errors import BadData, BadLabel, DataMisfit
from anytime.training.examples.arrays import LABEL, PARTS, SPLIT, cut_rows, hash_of, load_arrays


@dataclass(frozen=True, eq=False)
class Arrays:
    """``label``, ``split``: (rows,), the split by name."""

    by_name: Mapping[str, np.ndarray]
    label: np.ndarray
    split: np.ndarray
    notes: tuple[str, ...] = ()

    def rows(self, split: str) -> np.ndarray:
        """The indices of a split's rows."""
        return np.flatnonzero(self.split == split)

    def inputs(self, indices: np.ndarray) -> Mapping[str, np.ndarray]:
        """(B,) -> (B, ...) by input name."""
        return {name: values[indices] for name, values in self.by_name.items()}


def read_arrays(path: Path, manifest: Manifest, seed: int) -> Arrays:
    """The file, checked against the bundle's inputs and labels.

    Without ``split``: as it was cut for the bundle, where that was made from these rows; else halves at random by ``seed``,
    and a note where some may have been trained on.

    ``split`` holds ``calibration`` and ``test``; rows of ``train`` are left out. Raises ``BadData``, ``BadLabel`` or
    ``DataMisfit``.
    """
    arrays = load_arrays(path)
    names = [entry.name for entry in manifest.inputs]
    for name in (*names, LABEL):
        if name not in arrays:
            raise DataMisfit(f"{path} has no array {name!r}; wanted {', '.join(names)} and {LABEL}; "
                             f"it has: {', '.join(arrays) or 'none'}")  # fmt: skip
    for name in arrays:
        if name not in (*names, LABEL, SPLIT):
            raise DataMisfit(
                f"{path} has the array {name!r}, which is no input; {nearest(name, [*names, LABEL, SPLIT])}"
            )
    label = _labels(path, arrays[LABEL], len(manifest.labels))
    sizes: dict[str, int] = {}
    by_name = {
        entry.name: _fitted(path, entry, arrays[entry.name], len(label), manifest, sizes) for entry in manifest.inputs
    }
    split = arrays.get(SPLIT)
    notes: tuple[str, ...] = ()
    made_from = manifest.provenance.data
    if made_from is not None and split is None:
        split = _as_it_was(arrays, names, label, seed, made_from.sha256)
    if made_from is not None and split is None:
        notes = (f"the bundle was made from {made_from.name}, which holds other rows or in another order: it may have been "
                 f"trained on some of these",)  # fmt: skip
    return Arrays(by_name, label, _splits(path, split, len(label), seed), notes)


def _as_it_was(
    arrays: Mapping[str, np.ndarray], names: Sequence[str], label: np.ndarray, seed: int, sha256: str | None
) -> np.ndarray | None:  # fmt: skip
    """The split of each row when the bundle was made from these arrays, with labels or without; ``None``: it was not."""
    rows = {name: arrays[name] for name in names}
    for strata in (label, None):
        try:
            cuts = cut_rows(strata, len(label), seed)
        except BadData:
            return None
        parts = [rows_of({name: values[chosen] for name, values in rows.items()}) for chosen in cuts.values()]
        if hash_of(parts) == sha256:
            split = np.full(len(label), "calibration")
            for name, chosen in cuts.items():
                split[chosen] = name
            return split
    return None


def _labels(path: Path, label: np.ndarray, labels: int) -> np.ndarray:
    if label.ndim != 1 or label.dtype.kind not in "iu":
        raise BadLabel(f"{path}: {LABEL} is {label.dtype} of shape {label.shape}; wanted whole numbers, one a row")
    if not len(label):
        raise BadData(f"{path} has no rows; wanted some to calibrate on and some to test")
    lowest, highest = int(label.min()), int(label.max())
    if lowest < 0 or highest >= labels:
        wrong = lowest if lowest < 0 else highest
        raise BadLabel(f"{path}: row {int((label == wrong).argmax())} has the label {wrong}; wanted 0 to {labels - 1}")
    return label.astype(np.int64)


def _fitted(
    path: Path, entry: Input, values: np.ndarray, rows: int, manifest: Manifest, sizes: dict[str, int]
) -> np.ndarray:
    """An input's array in its dtype. ``sizes``: what symbolic axes turned out to be, the same wherever they occur."""
    fits = values.ndim == len(entry.shape) and len(values) == rows
    for axis, size in zip(entry.shape[1:], values.shape[1:], strict=False):
        if isinstance(axis, int):
            fits = fits and size == axis
        else:
            bounds = manifest.axes[axis]
            fits = fits and bounds.min <= size <= bounds.max and sizes.setdefault(axis, size) == size
    if not fits:
        raise DataMisfit(f"{path}: {entry.name} has the shape {list(values.shape)}; wanted {[rows, *entry.shape[1:]]}")
    if not np.can_cast(values.dtype, entry.dtype, "same_kind"):
        raise DataMisfit(
            f"{path}: {entry.name} is {values.dtype}; wanted {entry.dtype}: convert it as the network had it"
        )
    return values.astype(entry.dtype)


def _splits(path: Path, given: np.ndarray | None, rows: int, seed: int) -> np.ndarray:
    if given is None:
        split = np.array(["calibration", "test"])[np.random.default_rng(seed).permutation(rows) % 2]
    elif given.shape != (rows,) or given.dtype.kind != "U" or not set(given.tolist()) <= set(PARTS):
        odd = next((one for one in given.ravel().tolist() if one not in PARTS), None)
        raise DataMisfit(f"{path}: {SPLIT} is {given.dtype} of shape {given.shape}, with {odd!r}; "
                         f"wanted one of {', '.join(PARTS)} for each of {rows} rows")  # fmt: skip
    else:
        split = given
    for name in ("calibration", "test"):
        if name not in split:
            raise BadData(f"{path} has no row of the split {name!r}; wanted some to calibrate on and some to test")
    return split
