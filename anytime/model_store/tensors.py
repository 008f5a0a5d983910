"""The element types and shapes that a bundle may name.

A shape is written with the row axis first; an axis is a fixed size or a symbol. The first axis of
every tensor that a bundle names is the symbol ``batch``: the rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

ROW_AXIS = "batch"

DType = Literal[
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64"
]
DTYPES: dict[str, np.dtype] = {
    name: np.dtype(name)
    for name in (
        "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32",
        "float64",
    )
}  # fmt: skip

Axis = int | str
Shape = tuple[Axis, ...]
Dims = Mapping[str, int]
"""Sizes of the symbolic axes of one row: ``{"sequence": 17}``."""


def bind(shape: Sequence[Axis], dims: Dims) -> tuple[int, ...]:
    """The shape with its symbols replaced by their sizes; the row axis counts 1 unless ``dims`` says otherwise."""
    return tuple(dims.get(axis, 1) if axis == ROW_AXIS else dims[axis] if isinstance(axis, str) else axis
                 for axis in shape)  # fmt: skip


def row_bytes(dtype: str, shape: Sequence[Axis], dims: Dims) -> int:
    """Bytes of one row of a tensor."""
    return math.prod(bind(shape[1:], dims)) * DTYPES[dtype].itemsize
