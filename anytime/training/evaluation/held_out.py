"""The rows that a bundle is evaluated on: of a data set by name, of a folder of pictures, or of a file of arrays."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anytime.model_store import Manifest
from anytime.model_store.manifest import Input, Preprocess
from anytime.training.data import ENTRIES, DataSet, Split, read_data
from anytime.training.errors import BadOption, DataMisfit
from anytime.training.evaluation.arrays import read_arrays

SPLITS = ("calibration", "test")


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of one split: their labels, as the bundle counts them, and their inputs, made when asked for."""

    label: np.ndarray
    """(rows,)"""
    inputs: Callable[[np.ndarray], Mapping[str, np.ndarray]]
    """(B,) indices -> (B, ...) by input name"""


@dataclass(frozen=True)
class HeldOut:
    """``notes``: what is not known about these rows and this bundle, for the report."""

    calibration: Rows
    test: Rows
    notes: tuple[str, ...] = ()


def read_held_out(
    data: str, folder: Path | None, manifest: Manifest, rows: int | None = None, *, show_progress: bool = False
) -> HeldOut:
    """At most ``rows`` of each split of a data set's name, a folder of a folder per class, or an ``.npz`` file.

    Pictures are cut by the seed, and become inputs by the preprocessing, that the bundle states.
    Raises ``BadOption``, ``DataMisfit`` or what ``read_data`` and ``read_arrays`` raise.
    """
    if rows is not None and rows < 1:
        raise BadOption(f"{rows} rows; wanted at least 1 of each split")
    seed = manifest.provenance.seed or 0
    if data.endswith(".npz"):
        arrays = read_arrays(Path(data), manifest, seed)
        parts = [_some(arrays.label, arrays.rows(split), arrays.inputs, rows, seed) for split in SPLITS]
        return HeldOut(parts[0], parts[1], arrays.notes)
    entry, spec = _picture_input(manifest)
    is_folder = data not in ENTRIES and Path(data).is_dir()
    name, place = ("folder", Path(data)) if is_folder else (data, folder)

    def cut(share: float | None) -> DataSet:
        return read_data(name, place, seed=seed, preprocess=spec, calibration=share, show_progress=show_progress)

    found = _as_it_was(manifest, cut)
    places, notes = match_labels(found.labels, manifest.labels)
    parts = [_pictures(split, places, entry, spec, rows, seed) for split in (found.calibration, found.test)]
    return HeldOut(parts[0], parts[1], (*notes, *_doubts(manifest, found)))


def _shares(manifest: Manifest) -> list[float | None]:
    """How much of the train part a bundle may have been calibrated on: as its recipe says, the set's own, or attach's."""
    try:
        recipe = json.loads(manifest.provenance.recipe or "{}")
        said = recipe.get("data", {}).get("calibration")
    except (ValueError, AttributeError):
        said = None
    return list(dict.fromkeys([said if isinstance(said, float) else None, None, 0.2]))


def _as_it_was(manifest: Manifest, cut: Callable[[float | None], DataSet]) -> DataSet:
    """The cut that the bundle was made from, if one of the shares gives it; else the first."""
    made_from = manifest.provenance.data
    first, *others = _shares(manifest)
    found = cut(first)
    if made_from is None or found.sha256 == made_from.sha256:
        return found
    return next((one for one in map(cut, others) if one.sha256 == made_from.sha256), found)


def match_labels(data: Sequence[str], bundle: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The bundle's index of each label of the data, by name, else by order; and what to tell. Raises ``DataMisfit``."""
    known = {label: index for index, label in enumerate(bundle)}
    if set(data) <= known.keys():
        return np.array([known[label] for label in data]), ()
    if len(data) != len(bundle):
        absent = next(label for label in data if label not in known)
        raise DataMisfit(
            f"the data have {len(data)} labels, such as {absent!r}, and the bundle {len(bundle)} others; "
            f"wanted data with the labels that the bundle tells apart"
        )
    note = f"labels are called otherwise in the data ({data[0]!r} for {bundle[0]!r}) and were matched by their order"
    return np.arange(len(data)), (note,)


def _picture_input(manifest: Manifest) -> tuple[Input, Preprocess]:
    entry = manifest.inputs[0]
    if len(manifest.inputs) > 1 or entry.preprocess is None:
        why = (
            f"takes {len(manifest.inputs)} inputs"
            if len(manifest.inputs) > 1
            else "does not say how pictures become inputs"
        )
        raise BadOption(f"{manifest.name} {why}; give an .npz file of inputs and labels instead of pictures")
    return entry, entry.preprocess


def _pictures(split: Split, places: np.ndarray, entry: Input, spec: Preprocess, rows: int | None, seed: int) -> Rows:
    def inputs(indices: np.ndarray) -> Mapping[str, np.ndarray]:
        if entry.dtype == "uint8":
            pixels = split.batch(indices)
            made = pixels.transpose(0, 3, 1, 2) if spec.layout == "chw" else pixels
        else:
            made = split.inputs(indices).astype(entry.dtype)
        shape = [size for size in entry.shape[1:] if isinstance(size, int)]
        return {entry.name: np.ascontiguousarray(made).reshape(len(indices), *shape)}

    return _some(places[split.labels], np.arange(len(split)), inputs, rows, seed)


def _some(
    label: np.ndarray,
    among: np.ndarray,
    inputs: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    rows: int | None,
    seed: int,
) -> Rows:
    """All of ``among``, or so many at random, in their order."""
    if rows is not None and rows < len(among):
        among = np.sort(np.random.default_rng(seed).choice(among, rows, replace=False))
    return Rows(label[among], lambda indices: inputs(among[indices]))


def _doubts(manifest: Manifest, found: DataSet) -> tuple[str, ...]:
    """What speaks against the bundle having been trained on none of these rows."""
    stated = manifest.provenance.data
    if stated is None or manifest.provenance.seed is None:
        return ("the bundle does not say on which rows it was trained; some of these may be among them",)
    if stated.name != found.name:
        return (
            f"the bundle was made from {stated.name!r}; rows of {found.name!r} may be among what it was trained on",
        )
    if stated.sha256 is not None and stated.sha256 != found.sha256:
        return (
            "the splits are not those that the bundle was made from; it may have been trained on some of these rows",
        )
    return ()
