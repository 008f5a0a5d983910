"""Cutting what is published into train, calibration and test, so that no row and no repeated picture is on two sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anytime.model_store.manifest import Preprocess
from anytime.training.data.data_set import DataSet, Split
from anytime.training.data.normalise import Normalisation, measure
from anytime.training.data.official import Official, Part
from anytime.training.data.repeats import Repeats, count_repeats
from anytime.training.errors import BadOption

TEST_SHARE, TEST_SEED = 0.2, 0
"""Of data without a test part of its own. The cut is the same whatever the seed: runs of several seeds meet one test."""


def split_data(
    name: str, official: Official, share: float, seed: int, *, normalisation: Normalisation | None = None,
    augmentation: str = "none",
) -> DataSet:  # fmt: skip
    """What a reader found, cut: ``DataSet`` says what is promised.

    ``share`` of the train part, by ``seed``, becomes calibration, unless there is one already. ``normalisation``: instead of
    the set's own. Raises ``BadOption`` where nothing is left to calibrate on.
    """
    train, keys = official.train, official.train.pictures.keys()
    kept, test, test_rows = np.arange(len(train)), official.test, None
    if test is None:
        kept, test_rows = _cut_rows(train, kept, TEST_SHARE, TEST_SEED, keys)
        test = train
    calibration, held = official.calibration, None
    if calibration is None:
        kept, held = _cut_rows(train, kept, share, seed, keys)
        calibration = train
    normal = normalisation or official.normalisation or measure(train.pictures, kept)
    splits = (
        Split("train", train, kept, normal),
        _split("calibration", calibration, held, normal),
        _split("test", test, test_rows, normal),
    )
    return DataSet(
        name, *splits, official.labels, normal.preprocess(_stated(train)), official.levels, augmentation,
        repeats=_count_repeats(splits, train, keys), strangers=official.strangers,
    )  # fmt: skip


def cut(
    labels: np.ndarray, share: float, seed: int, keys: Sequence[bytes] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) labels -> rising indices (kept, taken): of every class ``share`` is taken, within one row, at random by ``seed``.

    ``keys`` tell repeated pictures, which go together and count once; where their labels differ they are kept. A class
    keeps at least one row.
    """
    if keys is None:
        return _cut_classes(labels, share, seed)
    first: dict[bytes, int] = {}
    mixed = {key for row, key in enumerate(keys) if labels[first.setdefault(key, row)] != labels[row]}
    once = np.array([row for key, row in first.items() if key not in mixed], np.int64)
    taken = {keys[row] for row in once[_cut_classes(labels[once], share, seed)[1]].tolist()}
    is_taken = np.array([key in taken for key in keys], bool)
    return np.flatnonzero(~is_taken), np.flatnonzero(is_taken)


def _cut_classes(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    counts = np.unique(labels, return_counts=True)[1]
    # Rounding the running sum, not each class, makes the whole come out right even where classes are small.
    takes = np.diff(np.rint(np.cumsum(counts) * share).astype(int), prepend=0)
    classes = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1]) if len(labels) else []
    is_taken = np.zeros(len(labels), bool)
    for own, take in zip(classes, takes, strict=True):
        is_taken[draw.permutation(own)[: min(take, len(own) - 1)]] = True
    return np.flatnonzero(~is_taken), np.flatnonzero(is_taken)


def _cut_rows(
    part: Part, rows: np.ndarray, share: float, seed: int, keys: Sequence[bytes] | None
) -> tuple[np.ndarray, np.ndarray]:
    kept, taken = cut(part.labels[rows], share, seed, None if keys is None else [keys[row] for row in rows.tolist()])
    if len(taken) == 0:
        raise BadOption(
            f"a share of {share} of {len(rows)} pictures leaves none to hold out: classes keep at least one, and repeated "
            f"pictures stay together; give a larger share, or more pictures"
        )
    return rows[kept], rows[taken]


def _stated(part: Part) -> Preprocess:
    """The part's frame; one that takes pictures as they are brings those of clients to that size."""
    height, width, _ = part.pictures.shape
    spec = part.pictures.spec
    return spec if spec.crop is not None else spec.model_copy(update={"resize": (height, width)})


def _split(name: str, part: Part, rows: np.ndarray | None, normalisation: Normalisation) -> Split:
    return Split(name, part, np.arange(len(part)) if rows is None else rows, normalisation)


def _count_repeats(splits: Sequence[Split], train: Part, keys: Sequence[bytes] | None) -> Repeats | None:
    """``None`` where nobody looked."""
    found = []
    for split in splits:
        all_keys = keys if split.part is train else split.part.pictures.keys()
        if all_keys is None:
            return None
        found.append([all_keys[row] for row in split.rows.tolist()])
    return count_repeats(found)
