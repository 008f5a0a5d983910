"""The order in which a network sees a split. It follows from (seed, epoch) alone, so that a resumed run sees the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from anytime.training.data.augment import DRAWS, Augmentation
from anytime.training.data.data_set import Split

_ORDER, _CHANCE = 0, 1
"""Two streams of random numbers per (seed, epoch): a change of one does not move the other."""
_PLAIN = Augmentation()


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """``inputs``: (B, C, H, W) float32, normalised; ``labels``, ``indices`` in the split: (B,) int64."""

    inputs: np.ndarray
    labels: np.ndarray
    indices: np.ndarray


def batches(
    split: Split,
    size: int,
    *,
    seed: int,
    epoch: int,
    augmentation: Augmentation = _PLAIN,
    start: int = 0,
    drop_last: bool = False,
) -> Iterator[Batch]:
    """One epoch in random order, from batch ``start`` (from 0) on.

    A picture is augmented by (seed, epoch, its index), whatever the size of the batches. The last batch may be smaller;
    ``drop_last`` leaves that one out.
    """
    order = np.random.default_rng((seed, epoch, _ORDER)).permutation(len(split))
    take = augmented(split, seed=seed, epoch=epoch, augmentation=augmentation)
    for number in range(start, count_batches(len(split), size, drop_last)):
        yield take(order[number * size : (number + 1) * size])


def in_order(split: Split, size: int, *, start: int = 0) -> Iterator[Batch]:
    """Every row once, as it is and in the split's own order: for features, evaluation and traces."""
    for number in range(start, count_batches(len(split), size)):
        indices = np.arange(number * size, min((number + 1) * size, len(split)))
        yield Batch(split.inputs(indices), split.labels[indices], indices)


def augmented(
    split: Split, *, seed: int, epoch: int, augmentation: Augmentation
) -> Callable[[np.ndarray], Batch]:  # fmt: skip
    """Any rows, in the order asked, augmented as ``batches`` does in that epoch: for features."""
    chance = np.random.default_rng((seed, epoch, _CHANCE)).random((len(split), DRAWS))

    def take(indices: np.ndarray) -> Batch:
        images = split.batch(indices, augmentation.view(chance[indices]))
        return Batch(split.normalisation(augmentation(images, chance[indices])), split.labels[indices], indices)

    return take


def count_batches(rows: int, size: int, drop_last: bool = False) -> int:
    """The batches of an epoch."""
    return rows // size if drop_last else -(-rows // size)
