"""Whatever a user names as data: a data set, a folder of pictures, a file of arrays."""

from __future__ import annotations

from pathlib import Path

from anytime.model_store.manifest import Preprocess
from anytime.training.attach import Inputs
from anytime.training.data.picture_files import list_folders
from anytime.training.data.read import ENTRIES, read_data
from anytime.training.errors import BadLabel, BadOption, DataMissing
from anytime.training.examples.arrays import read_arrays
from anytime.training.examples.examples import Examples
from anytime.training.examples.loose import label_rows, read_loose
from anytime.training.examples.pictures import picture_examples

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
    path = Path(data)
    is_arrays = path.suffix.lower() == ".npz"
    is_named = data in ENTRIES
    for option, value, takes in (
        ("a preprocessing", preprocess, not is_arrays), ("a folder of data sets", folder, is_named),
        ("a file of labels", labels, not is_named),
    ):  # fmt: skip
        if value is not None and not takes:
            raise BadOption(f"{option} is given ({value}) and means nothing for {data}; leave it out")
    if is_arrays:
        given = None if labels is None else label_rows(labels)
        return _checked(read_arrays(path, inputs, label=given, labelled=labelled, seed=seed), classes, labelled)
    if path.is_dir() and not is_named:
        is_sorted = labels is None and len(list_folders(path)) >= 2
        if preprocess is None:
            raise BadOption(
                f"nothing says how the pictures in {data} become rows of the network; give the preprocessing that it was "
                f"trained with, such as {_EXAMPLE}"
            )
        if is_sorted:
            found = read_data("folder", path, preprocess=preprocess, seed=seed, calibration=0.2)
            return _checked(picture_examples(found, inputs), classes, labelled)
        if labelled and labels is None:
            raise BadLabel(
                f"{data} holds pictures without labels; give a file of lines picture,class index, a folder per class, or "
                f"imitate the network itself"
            )
        loose = read_loose(path, preprocess, labels=labels, classes=classes, seed=seed)
        return _checked(picture_examples(loose, inputs, labelled=labels is not None), classes, labelled)
    if not is_named and (path.suffix or "/" in data):
        raise DataMissing(f"{data} is not there; wanted a folder of pictures, an npz file, or the name of a data set")
    known = read_data(data, folder, preprocess=preprocess, seed=seed, show_progress=show_progress)
    return _checked(picture_examples(known, inputs), classes, labelled)


def _checked(examples: Examples, classes: int, labelled: bool) -> Examples:
    """Itself, where its labels are the network's; without any where they are not and need not be."""
    low, high = 0, classes - 1
    for part in (*examples.train, examples.calibration, examples.test):
        if part.label is not None and len(part.label):
            low, high = min(low, int(part.label.min())), max(high, int(part.label.max()))
    names = len(examples.labels) if examples.labels is not None else classes
    if low == 0 and high == classes - 1 and names == classes:
        return examples
    if not labelled:
        return examples.without_labels()
    if names != classes:
        raise BadLabel(f"the data have {names} classes and the network tells {classes}; give its own data")
    raise BadLabel(f"labels reach from {low} to {high}; the network tells {classes} classes: 0 to {classes - 1}")
