"""A data set of pictures as the one image input of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from anytime.training.attach import Inputs, NetworkInput, rows_taken
from anytime.training.data.augment import Augmentation
from anytime.training.data.batches import augmented
from anytime.training.data.data_set import DataSet, Split
from anytime.training.errors import DataMisfit
from anytime.training.examples.examples import Examples, Part


def picture_examples(
    data: DataSet, inputs: Inputs, *, labelled: bool = True, views: int = 1, seed: int = 0,
    augmentation: Augmentation | None = None,
) -> Examples:  # fmt: skip
    """The splits of ``data`` for a network with one image input.

    ``views``: how often the training pictures are there: once as they are, then augmented, each time anew by ``seed``.
    Raises ``DataMisfit`` where the network takes something else than such pictures.
    """
    entry = _image_input(data, inputs)

    def part(split: Split, view: int | None = None) -> Part:
        take = _taking(split, entry, seed, view, augmentation)
        rows = rows_taken(_key(split, data, seed, view, augmentation), len(split), take)
        return Part(rows, split.labels if labelled else None)

    train = (part(data.train), *(part(data.train, view) for view in range(1, views)))
    spec = data.preprocess.model_dump(mode="json", exclude_none=True)
    if entry.dtype == "uint8":
        spec = {name: value for name, value in spec.items() if name not in ("mean", "std")}
    return Examples(train, part(data.calibration), part(data.test), data.labels if labelled else None, {entry.name: spec},
                    data.provenance())  # fmt: skip


def _image_input(data: DataSet, inputs: Inputs) -> NetworkInput:
    if len(inputs.tensors) != 1:
        names = ", ".join(entry.name for entry in inputs.tensors)
        raise DataMisfit(f"the network has the inputs {names}; pictures are for one: give arrays in an npz file")
    (entry,) = inputs.tensors
    shape = entry.shape[1:]
    sizes = [one for one in shape if isinstance(one, int)]
    if (
        entry.dtype not in ("float16", "float32", "uint8")
        or len(sizes) != len(shape)
        or math.prod(sizes) != math.prod(data.input_shape)
    ):
        raise DataMisfit(
            f"the network's input {entry.name} is {entry.dtype} {list(entry.shape)} and the pictures become float32 rows of "
            f"{list(data.input_shape)}; say with a preprocessing (channels, resize, crop, layout) how they should"
        )
    return entry


def _taking(
    split: Split, entry: NetworkInput, seed: int, view: int | None, augmentation: Augmentation | None
) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """(B,) indices -> those pictures as the network's input."""
    shape = [one for one in entry.shape[1:] if isinstance(one, int)]
    seen = None
    if view is not None and augmentation is not None:
        seen = augmented(split, seed=seed, epoch=view, augmentation=augmentation)

    def take(indices: np.ndarray) -> Mapping[str, np.ndarray]:
        if entry.dtype == "uint8":
            pixels = split.batch(indices)
            laid = pixels.transpose(0, 3, 1, 2) if split.normalisation.layout == "chw" else pixels
            return {entry.name: np.ascontiguousarray(laid).reshape(-1, *shape)}
        inputs = split.inputs(indices) if seen is None else seen(indices).inputs
        return {entry.name: inputs.reshape(-1, *shape).astype(entry.dtype, copy=False)}

    return take


def _key(split: Split, data: DataSet, seed: int, view: int | None, augmentation: Augmentation | None) -> str:
    how = "as they are" if view is None else f"{augmentation} {seed} {view}"
    return f"{split.sha256} {data.preprocess.model_dump_json()} {how}"
