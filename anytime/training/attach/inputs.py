"""What goes into a trained network: the tensors of its file, sizes for their open axes, rows that fit or do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx.helper import tensor_dtype_to_np_dtype
from pydantic import TypeAdapter, ValidationError

from anytime.model_store.manifest import Size, Symbol
from anytime.model_store.nearest import nearest
from anytime.model_store.tensors import DTYPES, ROW_AXIS, Dims, Shape, bind
from anytime.training.errors import BadClassifier, BadOption, DataMisfit

Axes = Mapping[str, Size]
"""Of each open axis but the rows: the sizes that it may have."""
Batch = Mapping[str, np.ndarray]
"""Some rows, by input name."""
_SYMBOL: TypeAdapter[str] = TypeAdapter(Symbol)


@dataclass(frozen=True)
class NetworkInput:
    """One input tensor; its shape begins with the row axis, and an open axis is a symbol."""

    name: str
    dtype: str
    shape: Shape


@dataclass(frozen=True)
class Inputs:
    """The input tensors of a network and the sizes that their open axes may have."""

    tensors: tuple[NetworkInput, ...]
    axes: Axes
    one_row: bool
    """The row axis is fixed at 1: the network runs one row at a time."""

    def typical(self, rows: int) -> Dims:
        """The usual size of every axis."""
        return {ROW_AXIS: rows, **{axis: size.typical for axis, size in self.axes.items()}}

    def two_sizes(self) -> tuple[Dims, Dims]:
        """Two sizes of every axis, near the usual one, so that what depends on an axis is seen to; of rows 2 and 3.

        No two axes get the same two, as far as their bounds allow.
        """
        pairs = {ROW_AXIS: (1, 1) if self.one_row else (2, 3)}
        for axis, size in self.axes.items():
            usual = size.typical
            near = [(usual + a, usual + b) for a, b in ((0, 1), (-1, 0), (0, 2), (-2, 0), (-1, 1), (0, 3), (-3, 0))]
            free = [pair for pair in near if size.min <= pair[0] and pair[1] <= size.max and pair not in pairs.values()]
            pairs[axis] = free[0] if free else (usual, usual)
        return {axis: pair[0] for axis, pair in pairs.items()}, {axis: pair[1] for axis, pair in pairs.items()}

    def random(self, dims: Dims, seed: int = 0) -> dict[str, np.ndarray]:
        """Rows by input name: normal for floats, bytes for ``uint8``, else 0 and 1, which are indices into any table.

        Each row's first number is then 1 and its second 0: a mask that leaves nothing, be it of either kind, means
        something else in every runtime.
        """
        draw = np.random.default_rng(seed)
        batch: dict[str, np.ndarray] = {}
        for entry in self.tensors:
            shape = bind(entry.shape, dims)
            if entry.dtype.startswith("float"):
                batch[entry.name] = draw.standard_normal(shape).astype(entry.dtype)
            else:
                values = draw.integers(0, 256 if entry.dtype == "uint8" else 2, shape)
                values[..., 0] = 1
                values[..., 1:2] = 0
                batch[entry.name] = values.astype(entry.dtype)
        return batch

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of one row at the axes' usual sizes, by input name."""
        return {entry.name: bind(entry.shape, self.typical(1)) for entry in self.tensors}

    def check(self, batch: Batch) -> int:
        """The number of rows in a batch. Raises ``DataMisfit``, naming the input, unless it fits; nothing is cast."""
        wanted = {entry.name for entry in self.tensors}
        for name in sorted(batch.keys() - wanted):
            raise DataMisfit(f"the data have {name!r}, which is no input; {nearest(name, sorted(wanted))}")
        for name in sorted(wanted - batch.keys()):
            raise DataMisfit(f"the data lack the input {name!r}; they have: {', '.join(sorted(batch)) or 'nothing'}")
        sizes: dict[str, int] = {}
        for entry in self.tensors:
            _check_tensor(entry, self.axes, batch[entry.name], sizes)
        return sizes[ROW_AXIS]


def read_inputs(model: onnx.ModelProto, said: str) -> tuple[tuple[NetworkInput, ...], bool]:
    """The inputs of a model, and whether its rows are fixed at 1.

    An open axis without a name that a bundle may use is called after its place, ``axis1``, in all inputs alike. Raises
    ``BadClassifier`` where an input is no dense tensor of known rank, or where its first axis cannot be the rows.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    weights |= {one.values.name for one in model.graph.sparse_initializer}
    values = [value for value in model.graph.input if value.name not in weights]
    if not values:
        raise BadClassifier(f"{said}: its scores depend on no input; export it with its inputs")
    rows = {_rows(value, said) for value in values}
    if len(rows) > 1:
        raise BadClassifier(
            f"{said} fixes the rows of some inputs at 1 and leaves those of others open; export it anew"
        )
    names = {value.type.tensor_type.shape.dim[0].dim_param for value in values} | {ROW_AXIS}
    return tuple(_read(value, names, said) for value in values), rows == {1}


def sized(tensors: tuple[NetworkInput, ...], axes: Axes, one_row: bool, said: str) -> Inputs:
    """The inputs, with a size for every open axis. Raises ``BadOption`` where one is missing, wrong or too many."""
    is_open = {axis for entry in tensors for axis in entry.shape[1:] if isinstance(axis, str)}
    for axis in sorted(axes.keys() - is_open):
        raise BadOption(f"{said} has no open axis {axis!r}; {nearest(axis, sorted(is_open))}")
    for axis in sorted(is_open - axes.keys()):
        where = ", ".join(f"{entry.name} {list(entry.shape)}" for entry in tensors if axis in entry.shape)
        raise BadOption(f"{said} has the open axis {axis!r} ({where}); give its smallest, usual and largest size")
    for axis, size in axes.items():
        if not size.min <= size.typical <= size.max:
            raise BadOption(
                f"axis {axis!r} has min {size.min}, typical {size.typical}, max {size.max}; wanted this order"
            )
    return Inputs(tensors, dict(axes), one_row)


def _check_tensor(entry: NetworkInput, axes: Axes, values: np.ndarray, sizes: dict[str, int]) -> None:
    """``sizes`` of the axes seen so far; those of this tensor are added."""
    where = f"the data for input {entry.name!r}"
    if str(values.dtype) != entry.dtype:
        raise DataMisfit(f"{where} are {values.dtype} and the network takes {entry.dtype}; convert them")
    fits = values.ndim == len(entry.shape)
    for axis, size in zip(entry.shape, values.shape, strict=False):
        fits = fits and size >= 1 and size == (sizes.setdefault(axis, size) if isinstance(axis, str) else axis)
    if not fits:
        known = {axis: size for axis, size in sizes.items() if axis != ROW_AXIS}
        raise DataMisfit(
            f"{where} have the shape {list(values.shape)} and the network takes {list(entry.shape)}"
            f"{f' where {known}' if known else ''}; resize or pad them"
        )
    for axis in entry.shape[1:]:
        if isinstance(axis, str) and not axes[axis].min <= sizes[axis] <= axes[axis].max:
            raise DataMisfit(
                f"{where} have {sizes[axis]} along {axis!r}; wanted {axes[axis].min} to {axes[axis].max}: "
                f"cut or pad them, or widen the axis"
            )


def _rows(value: onnx.ValueInfoProto, said: str) -> int | None:
    """1 where the row axis is fixed at 1, ``None`` where it is open."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        raise BadClassifier(f"{said}: input {value.name!r} has no shape, not even a number of axes; export it with one")
    axes = value.type.tensor_type.shape.dim
    if not axes:
        raise BadClassifier(f"{said}: input {value.name!r} is a single number; wanted the rows as its first axis")
    if axes[0].dim_value > 1:
        raise BadClassifier(
            f"{said}: input {value.name!r} takes exactly {axes[0].dim_value} rows at a time; wanted any number, or 1: "
            f"export it with a free row axis (torch.onnx.export: dynamic_shapes={{'{value.name}': {{0: 'batch'}}}})"
        )
    return 1 if axes[0].dim_value == 1 else None


def _read(value: onnx.ValueInfoProto, row_names: set[str], said: str) -> NetworkInput:
    tensor = value.type.tensor_type
    try:
        dtype = str(tensor_dtype_to_np_dtype(tensor.elem_type))
    except KeyError:
        dtype = f"ONNX type {tensor.elem_type}"
    if dtype not in DTYPES:
        raise BadClassifier(f"{said}: input {value.name!r} is {dtype}; wanted one of {', '.join(DTYPES)}")
    shape: list[int | str] = [ROW_AXIS]
    for index, axis in enumerate(tensor.shape.dim[1:], start=1):
        if axis.dim_param and axis.dim_param in row_names:
            raise BadClassifier(
                f"{said}: input {value.name!r} has the row axis {axis.dim_param!r} at place {index} as well; "
                f"rows are the first axis and nothing else: export it so"
            )
        shape.append(axis.dim_value if axis.dim_value > 0 else _symbol(axis.dim_param, index))
    return NetworkInput(value.name, dtype, tuple(shape))


def _symbol(name: str, index: int) -> str:
    try:
        return _SYMBOL.validate_python(name)
    except ValidationError:
        return f"axis{index}"
