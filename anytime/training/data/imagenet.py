"""ImageNet (ILSVRC 2012) and Tiny ImageNet, from the folders that their archives unpack to.

The published test pictures of both have no labels: the validation part is the test split, as in the papers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from anytime.model_store.manifest import Preprocess
from anytime.training.data.archive import unpack
from anytime.training.data.normalise import Normalisation
from anytime.training.data.official import Official
from anytime.training.data.picture_files import class_folders, file_part, list_folders, list_pictures, read_table
from anytime.training.data.place import Place, strangers
from anytime.training.data.sources import IMAGENET, TINY_IMAGENET
from anytime.training.errors import BadData, BadLabel

TINY_FRAME = Preprocess(channels="rgb")
_TINY = "tiny-imagenet-200"
_DEVKIT = "ILSVRC2012_devkit_t12/data"
_NORMALISATION = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_TINY_NORMALISATION = Normalisation((0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821))


def read_tiny_imagenet(place: Place, spec: Preprocess = TINY_FRAME) -> Official:
    """100,000 and 10,000 pictures of 64 x 64, 200 classes. Raises ``DataMissing`` or a ``BadData``."""
    odd: tuple[str, ...] = ()
    home = place.find_folder(TINY_IMAGENET, (f"{_TINY}/wnids.txt", f"{_TINY}/val"))
    if home is None:
        packed = place.obtain(TINY_IMAGENET)
        odd = strangers(packed, TINY_IMAGENET)
        root = unpack(packed[TINY_IMAGENET.files[0].name], _TINY)
    else:
        root = home / _TINY
    wnids = sorted(row[0] for row in read_table(root / "wnids.txt", 1))
    train = file_part(root, *class_folders(root, "train", wnids, "images"), spec, compared=False)
    index = {wnid: label for label, wnid in enumerate(wnids)}
    rows = sorted(read_table(root / "val" / "val_annotations.txt", 3))
    labels = [_label(index, wnid, root / "val" / "val_annotations.txt") for _, wnid, _ in rows]
    names = [f"val/images/{name}" for name, *_ in rows]
    test = file_part(root, names, labels, spec, train.pictures.shape, compared=False)
    return Official(
        train, test, _names(wnids, _words(root / "words.txt")),
        normalisation=_TINY_NORMALISATION, strangers=odd,
    )  # fmt: skip


def read_imagenet(place: Place, spec: Preprocess) -> Official:
    """1.28 million and 50,000 pictures, or a selection of classes laid out alike. Raises ``DataMissing`` or a ``BadData``.

    ``val`` has a folder per class, or is flat, with the development kit beside it. Classes follow the sorted wnids.
    """
    root = place.find_folder(IMAGENET, ("train", "val"))
    if root is None:
        raise place.missing(IMAGENET, ["train", "val"])
    wnids = list_folders(root / "train")
    train = file_part(root, *class_folders(root, "train", wnids), spec, compared=False)
    words: Mapping[str, str] = {}
    if (root / _DEVKIT / "meta.mat").is_file():
        synsets = _synsets(root / _DEVKIT / "meta.mat")
        words = dict(synsets.values())
    if list_folders(root / "val"):
        names, labels = class_folders(root, "val", wnids)
    else:
        if not words:
            raise place.missing(
                IMAGENET, [f"{_DEVKIT}/meta.mat"], f"{root / 'val'} is flat and has no labels of its own"
            )
        names, labels = _flat(root, wnids, {number: wnid for number, (wnid, _) in synsets.items()})
    test = file_part(root, names, labels, spec, train.pictures.shape, compared=False)
    return Official(train, test, _names(wnids, words), normalisation=_NORMALISATION)


def _flat(root: Path, wnids: list[str], wnid_of: Mapping[int, str]) -> tuple[list[str], list[int]]:
    """A flat ``val``: line k of the ground truth is the number of picture k, in the order of the files' names."""
    truth = root / _DEVKIT / "ILSVRC2012_validation_ground_truth.txt"
    names, numbers = list_pictures(root, "val"), [row[0] for row in read_table(truth, 1)]
    if len(names) != len(numbers):
        raise BadData(
            f"{root / 'val'} holds {len(names)} pictures and {truth} {len(numbers)} labels; wanted one for each"
        )
    index = {wnid: label for label, wnid in enumerate(wnids)}
    return names, [_label(index, wnid_of.get(int(number), number), truth) for number in numbers]


def _synsets(path: Path) -> dict[int, tuple[str, str]]:
    """The development kit's numbers of the classes: (wnid, words). They do not follow the order of the wnids."""
    from scipy.io import loadmat  # type: ignore[import-untyped]

    try:
        table = loadmat(path, squeeze_me=True, variable_names=("synsets",))["synsets"]
        return {int(row["ILSVRC2012_ID"]): (str(row["WNID"]), str(row["words"])) for row in table.reshape(-1)}
    except Exception as error:  # a damaged file makes the reader raise nearly anything
        raise BadData(f"{path} cannot be read: {error}; unpack the development kit again") from error


def _words(path: Path) -> dict[str, str]:
    return dict(read_table(path, 2)) if path.is_file() else {}


def _names(wnids: list[str], words: Mapping[str, str]) -> tuple[str, ...]:
    """The first of each class's words; where two classes have the same, as two sorts of crane, with their wnids."""
    first = [words.get(wnid, wnid).partition(",")[0].strip() for wnid in wnids]
    times = Counter(first)
    return tuple(name if times[name] == 1 else f"{name} ({wnid})" for name, wnid in zip(first, wnids, strict=True))


def _label(index: Mapping[str, int], wnid: str, path: Path) -> int:
    if wnid not in index:
        raise BadLabel(f"{path}: {wnid} is a class that has no folder in train")
    return index[wnid]
