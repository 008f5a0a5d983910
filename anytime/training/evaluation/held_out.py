"""The rows that a bundle is evaluated on: of a data set by name, of pictures in a folder, or of a file of arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from anytime.model_store import Manifest
from anytime.training.attach import Inputs, NetworkInput
from anytime.training.data import ENTRIES, DataSet
from anytime.training.data.repeats import Repeats
from anytime.training.errors import BadData, BadOption, DataMisfit
from anytime.training.examples import Arrays, Part, picture_examples, some
from anytime.training.examples.arrays import Cut
from anytime.training.examples.read import SHARE, is_arrays, is_loose, read_pictures, read_rows


@dataclass(frozen=True)
class HeldOut:
    """``notes``: what is not known about these rows and this bundle, for the report. Every row has a label."""

    calibration: Part
    test: Part
    notes: tuple[str, ...] = ()


def read_held_out(
    data: str, manifest: Manifest, *, folder: Path | None = None, labels: Path | None = None, rows: int | None = None,
    show_progress: bool = False,
) -> HeldOut:  # fmt: skip
    """At most ``rows`` of each split of what ``read_examples`` reads, with labels as the bundle counts them.

    Pictures become inputs by the preprocessing that the bundle states. Where the bundle was made from these very rows, they
    are cut as then; else by the bundle's seed, and a note says what is doubtful. Raises ``BadOption``, ``DataMisfit`` or
    what ``read_examples`` raises.
    """
    if rows is not None and rows < 1:
        raise BadOption(f"{rows} rows; wanted at least 1 of each split")
    seed = manifest.provenance.seed or 0
    found = (
        _arrays(data, manifest, seed, folder, labels)
        if is_arrays(data)
        else _pictures(data, manifest, seed, folder, labels, show_progress=show_progress)
    )
    if rows is None:
        return found
    return replace(found, calibration=some(found.calibration, rows, seed), test=some(found.test, rows, seed))


def _arrays(data: str, manifest: Manifest, seed: int, folder: Path | None, labels: Path | None) -> HeldOut:
    """As the file's ``split`` says, as the bundle's own rows were cut, or else in halves."""
    if folder is not None:
        raise BadOption(f"a folder of data sets is given ({folder}) and means nothing for {data}; leave it out")
    arrays = read_rows(data, _inputs(manifest), len(manifest.labels), labels=labels)
    own = _own_cut(arrays, manifest, seed)
    if arrays.split is not None:
        cut = arrays.given(("calibration", "test"))
    else:
        cut = arrays.halves(seed) if own is None else own
    doubts = (_doubt(manifest, arrays.path.name),) if own is None else ()
    return HeldOut(arrays.part(cut["calibration"]), arrays.part(cut["test"]), (*doubts, *_told(arrays.repeats(cut))))


def _own_cut(arrays: Arrays, manifest: Manifest, seed: int) -> Cut | None:
    """How the rows were cut when the bundle was made from them; ``None``: it was not, or not so.

    As the file says where it says it, else by the seed, with labels or without.
    """
    stated = manifest.provenance.data
    if stated is None:
        return None
    try:
        if arrays.split is not None:
            cuts = [arrays.given()]
        else:
            cuts = [arrays.thirds(seed, by_label=by_label) for by_label in (True, False)]
    except BadData:  # too few to have made a bundle from
        return None
    return next((one for one in cuts if arrays.sha256(one) == stated.sha256), None)


def _pictures(
    data: str, manifest: Manifest, seed: int, folder: Path | None, labels: Path | None, *, show_progress: bool
) -> HeldOut:
    spec = manifest.inputs[0].preprocess
    if spec is None:
        raise BadOption(
            f"{manifest.name} does not say how pictures become inputs; give an .npz file of inputs and labels"
        )

    def read(share: float, labels: Path | None, *, labelled: bool = True) -> DataSet:
        return read_pictures(data, manifest.labels, folder=folder, labels=labels, labelled=labelled, preprocess=spec,
                             seed=seed, calibration=share, show_progress=show_progress)  # fmt: skip

    def cuts() -> Iterator[tuple[str, DataSet]]:
        """The cuts that a bundle may have been made from, each by its hash."""
        for share in [SHARE] if is_loose(data, labels) else _shares(manifest, data):
            found = read(share, labels)
            yield found.sha256, found
        if labels is not None and is_loose(data, None):  # as when nobody knew them
            blind = read(SHARE, None, labelled=False)
            yield blind.sha256, _labelled(blind, found)

    stated = None if manifest.provenance.data is None else manifest.provenance.data.sha256
    tried = cuts()
    first = next(tried)
    own = None if stated is None else next((one for sha256, one in chain([first], tried) if sha256 == stated), None)
    found = first[1] if own is None else own
    places, notes = match_labels(found.labels, manifest.labels)
    examples = picture_examples(found, _inputs(manifest))
    calibration, test = (Part(part.rows, None if part.label is None else places[part.label])
                         for part in (examples.calibration, examples.test))  # fmt: skip
    doubts = (_doubt(manifest, found.name),) if own is None else ()
    return HeldOut(calibration, test, (*notes, *doubts, *_told(found.repeats)))


def _labelled(blind: DataSet, known: DataSet) -> DataSet:
    """The rows of the one, with the labels that the other knows of them: both were cut from the same pictures."""
    train, calibration, test = (replace(split, part=known.train.part) for split in blind.splits)
    return replace(blind, train=train, calibration=calibration, test=test)


def _shares(manifest: Manifest, data: str) -> list[float]:
    """How much of the train part a bundle may have been calibrated on: as its recipe says, the set's own, or attach's."""
    try:
        recipe = json.loads(manifest.provenance.recipe or "{}")
        said = recipe.get("data", {}).get("calibration")
    except (ValueError, AttributeError):
        said = None
    own = ENTRIES[data if data in ENTRIES else "folder"].calibration
    return list(dict.fromkeys([said if isinstance(said, float) else own, own, SHARE]))


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


def _inputs(manifest: Manifest) -> Inputs:
    """Traces are recorded row by row, so that it does not matter whether a graph takes more."""
    entries = tuple(NetworkInput(entry.name, entry.dtype, entry.shape) for entry in manifest.inputs)
    return Inputs(entries, manifest.axes, one_row=True)


def _doubt(manifest: Manifest, name: str) -> str:
    """What speaks against the bundle having been trained on none of these rows, where their hash is not its own."""
    stated = manifest.provenance.data
    if stated is None:
        return "the bundle does not say on which rows it was trained; some of these may be among them"
    if stated.sha256 is None:
        return f"the bundle was made from {stated.name!r}, with no hash told; it may have been trained on some of these rows"
    if stated.name != name:
        return f"the bundle was made from {stated.name!r}; rows of {name!r} may be among what it was trained on"
    return (
        f"these rows, or how they are cut, are not those of {name!r} that the bundle was made from; it may have been "
        f"trained on some of them"
    )


def _told(repeats: Repeats | None) -> tuple[str, ...]:
    if repeats is None:
        return ("nobody looked for repeated pictures, as every file would have to be read",)
    return (str(repeats),) if repeats.rows else ()
