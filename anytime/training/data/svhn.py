"""Street View House Numbers, cropped digits (format 2): http://ufldl.stanford.edu/housenumbers"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anytime.model_store.manifest import Preprocess
from anytime.training.data.class_names import DIGITS
from anytime.training.data.official import Official, Part
from anytime.training.data.pictures import Loaded
from anytime.training.data.place import Place, strangers
from anytime.training.data.sources import SVHN, SVHN_EXTRA
from anytime.training.errors import BadData, BadLabel

_SPEC = Preprocess(channels="rgb", resize=(32, 32))


def read_svhn(place: Place, *, extra: bool = False) -> Official:
    """73,257 and 26,032 digits; ``extra`` adds 531,131 easier ones to train. Raises ``DataMissing`` or a ``BadData``."""
    source = SVHN_EXTRA if extra else SVHN
    found = place.obtain(source)
    train, test, *more = (_read_mat(found[file.name]) for file in source.files)
    images, labels = (np.concatenate(parts) for parts in zip(train, *more, strict=True))
    return Official(
        Part(Loaded(images, _SPEC), labels), Part(Loaded(test[0], _SPEC), test[1]), DIGITS,
        strangers=strangers(found, source),
    )  # fmt: skip


def _read_mat(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(N, 32, 32, 3) uint8 and (N,) int64; the file calls the digit 0 by the label 10."""
    from scipy.io import loadmat  # type: ignore[import-untyped]

    try:
        content = loadmat(path, variable_names=("X", "y"))
        images, labels = content["X"], content["y"].reshape(-1).astype(np.int64)
    except Exception as error:  # a damaged file makes the reader raise nearly anything
        raise BadData(f"{path} cannot be read as a MATLAB file with X and y: {error}; fetch it again") from error
    if (
        images.dtype != np.uint8
        or images.ndim != 4
        or images.shape[:3] != (32, 32, 3)
        or images.shape[3] != len(labels)
    ):
        raise BadData(
            f"{path} holds X {images.dtype} {list(images.shape)} and {len(labels)} labels; wanted uint8 [32, 32, 3, N] and N"
        )
    wrong = labels[(labels < 1) | (labels > 10)]
    if len(wrong):
        raise BadLabel(f"{path}: a label is {wrong[0]}; wanted 1 to 10")
    return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels % 10
