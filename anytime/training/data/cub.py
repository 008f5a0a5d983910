"""Caltech-UCSD Birds 200 (2011): https://www.vision.caltech.edu/datasets/cub_200_2011"""

from __future__ import annotations

from pathlib import Path

from anytime.model_store.manifest import Preprocess
from anytime.training.data.archive import unpack
from anytime.training.data.normalise import Normalisation
from anytime.training.data.official import Official
from anytime.training.data.picture_files import file_part, read_table
from anytime.training.data.place import Place, strangers
from anytime.training.data.sources import CUB
from anytime.training.errors import BadData

_TOP = "CUB_200_2011"
_NORMALISATION = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def read_cub(place: Place, spec: Preprocess) -> Official:
    """5,994 and 5,794 pictures of 200 kinds of bird. Raises ``DataMissing`` or a ``BadData``."""
    odd: tuple[str, ...] = ()
    home = place.find_folder(CUB, (f"{_TOP}/images.txt", f"{_TOP}/images"))
    if home is None:
        packed = place.obtain(CUB)
        odd = strangers(packed, CUB)
        root = unpack(packed[CUB.files[0].name], _TOP)
    else:
        root = home / _TOP
    images = dict(read_table(root / "images.txt", 2))
    labels, is_train = (
        _numbers(root / name, images.keys()) for name in ("image_class_labels.txt", "train_test_split.txt")
    )
    train, test = (
        [(f"images/{name}", labels[number] - 1) for number, name in images.items() if is_train[number] == wanted]
        for wanted in (1, 0)
    )
    part = file_part(root, *_columns(train), spec)
    classes = tuple(name.partition(".")[2].replace("_", " ") or name for _, name in read_table(root / "classes.txt", 2))
    return Official(
        part, file_part(root, *_columns(test), spec, part.pictures.shape), classes,
        normalisation=_NORMALISATION, strangers=odd,
    )  # fmt: skip


def _numbers(path: Path, wanted: object) -> dict[str, int]:
    """A whole number for each picture number. Raises ``BadData``."""
    rows = dict(read_table(path, 2))
    if rows.keys() != wanted:
        raise BadData(f"{path} lists other pictures than images.txt; fetch the data set again")
    try:
        return {number: int(value) for number, value in rows.items()}
    except ValueError as error:
        raise BadData(f"{path}: {error}; wanted two whole numbers a line") from error


def _columns(rows: list[tuple[str, int]]) -> tuple[list[str], list[int]]:
    return [name for name, _ in rows], [label for _, label in rows]
