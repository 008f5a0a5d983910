"""Whatever a user names as data: a data set, a folder of pictures, a file of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from anytime.model_store.manifest import Preprocess
from anytime.training.attach import Inputs
from anytime.training.data.data_set import DataSet
from anytime.training.data.picture_files import list_folders
from anytime.training.data.read import ENTRIES, read_data
from anytime.training.errors import BadLabel, BadOption, DataMissing
from anytime.training.examples.arrays import Arrays, load_arrays
from anytime.training.examples.examples import Examples
from anytime.training.examples.loose import label_rows, read_loose
from anytime.training.examples.pictures import picture_examples

SHARE = 0.2
"""Of the train part of a folder's pictures, what is held out to calibrate."""
_EXAMPLE = '{"channels": "rgb", "resize": 256, "crop": [224, 224], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}'


def read_examples(
    data: str, inputs: Inputs, classes: int, *, folder: Path | None = None, labels: Path | None = None,
    labelled: bool = True, preprocess: Preprocess | None = None, seed: int = 0, show_progress: bool = False,
) -> Examples:  # fmt: skip
    """``data``: a data set's name, whose files lie in ``folder``; a folder of pictures, in folders per class or loose; or an
    ``npz`` file.

    ``labels``: of loose pictures or of arrays; ``labelled``: whether labels are needed, else they are only used to report.
    ``preprocess``: what the network was trained with. Raises ``BadOption``, ``DataMissing``, ``BadLabel``, ``DataMisfit`` or
    a ``BadData``.
    """
    if is_arrays(data):
        _refuse(data, preprocess=preprocess, folder=folder)
        return read_rows(data, inputs, classes, labels=labels, labelled=labelled).examples(seed)
    names = tuple(map(str, range(classes)))
    found = read_pictures(data, names, folder=folder, labels=labels, labelled=labelled, preprocess=preprocess, seed=seed,
                          show_progress=show_progress)  # fmt: skip
    if is_loose(data, labels):
        examples = picture_examples(found, inputs, labelled=labels is not None)
        return replace(examples, labels=None)
    if len(found.labels) == classes:
        return picture_examples(found, inputs)
    if labelled:
        raise BadLabel(f"the data have {len(found.labels)} classes and the network tells {classes}; give its own data")
    return picture_examples(found, inputs, labelled=False)


def read_rows(data: str, inputs: Inputs, classes: int, *, labels: Path | None, labelled: bool = True) -> Arrays:
    """An ``npz`` file, not yet cut. Raises as ``load_arrays``."""
    label = None if labels is None else label_rows(labels)
    return load_arrays(Path(data), inputs, classes, label=label, labelled=labelled)


def read_pictures(
    data: str, classes: Sequence[str], *, folder: Path | None = None, labels: Path | None = None, labelled: bool = True,
    preprocess: Preprocess | None = None, seed: int = 0, calibration: float | None = None, show_progress: bool = False,
) -> DataSet:  # fmt: skip
    """A data set by name or a folder of pictures, as ``read_examples`` takes them.

    ``classes``: what loose pictures' labels count. ``calibration``: the share of the train part that is held out; by default
    the set's own, and ``SHARE`` of a folder. Raises as ``read_examples``.
    """
    if data in ENTRIES:
        _refuse(data, labels=labels)
        return read_data(data, folder, preprocess=preprocess, seed=seed, calibration=calibration,
                         show_progress=show_progress)  # fmt: skip
    path = Path(data)
    _refuse(data, folder=folder)
    if not path.is_dir() and (path.suffix or "/" in data):
        raise DataMissing(f"{data} is not there; wanted a folder of pictures, an npz file, or the name of a data set")
    if not path.is_dir():
        return read_data(data)  # which tells the names that there are
    if preprocess is None:
        raise BadOption(
            f"nothing says how the pictures in {data} become rows of the network; give the preprocessing that it was "
            f"trained with, such as {_EXAMPLE}"
        )
    if not is_loose(data, labels):
        return read_data("folder", path, preprocess=preprocess, seed=seed, calibration=calibration or SHARE)
    if labelled and labels is None:
        raise BadLabel(
            f"{data} holds pictures without labels; give a file of lines picture,class index, or a folder per class "
            f"(attach does without: the exits imitate the network)"
        )
    return read_loose(path, preprocess, labels=labels, classes=classes, seed=seed)


def is_arrays(data: str) -> bool:
    return Path(data).suffix.lower() == ".npz"


def is_loose(data: str, labels: Path | None) -> bool:
    """Whether these are pictures without a folder per class: such as have a file of ``labels``, or nothing to go by."""
    path = Path(data)
    if data in ENTRIES or not path.is_dir():
        return False
    folders = list_folders(path)
    return labels is not None or (len(folders) < 2 and "train" not in folders)


_OPTIONS = {"preprocess": "a preprocessing", "folder": "a folder of data sets", "labels": "a file of labels"}


def _refuse(data: str, **given: object) -> None:
    """Raises ``BadOption`` where an option is given that means nothing for these data."""
    for name, value in given.items():
        if value is not None:
            raise BadOption(f"{_OPTIONS[name]} is given ({value}) and means nothing for {data}; leave it out")
