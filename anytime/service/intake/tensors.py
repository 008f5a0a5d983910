"""A request's tensors: from JSON, base64 or raw bytes to arrays of the manifest's dtype, and whether they fit together.

Every fault is an ``InvalidTensor`` that names the input.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from anytime.model_store.manifest import Input, Manifest
from anytime.model_store.nearest import nearest
from anytime.model_store.tensors import DTYPES, ROW_AXIS, Dims
from anytime.service.errors import InvalidTensor

ENCODED = ("dtype", "shape", "data")
"""The keys of a tensor in base64."""

_JSON_NAMES = {
    bool: "a boolean", int: "an integer", float: "a fraction", str: "a string", list: "a list", dict: "an object",
    type(None): "null",
}  # fmt: skip
_WANTED: dict[str, tuple[frozenset[type], str]] = {
    "b": (frozenset({bool}), "true and false"),
    "f": (frozenset({int, float}), "numbers"),
    "i": (frozenset({int}), "integers"),
    "u": (frozenset({int}), "integers"),
}
"""By NumPy's kind of dtype: what JSON may hold, in types and in words."""


class Extent(NamedTuple):
    """How many rows a request has, and the sizes of the symbolic axes that they share."""

    rows: int
    dims: Dims


def from_json(value: Any, entry: Input) -> np.ndarray:
    """A tensor as JSON holds it: nested lists with the row axis first, or ``{dtype, shape, data}`` in base64."""
    if isinstance(value, dict):
        return _from_base64(value, entry)
    sizes: list[int] = []
    level = [value]
    for _ in entry.shape:
        sizes.append(_common_length(level, sizes, entry))
        level = level[0] if len(level) == 1 else list(chain.from_iterable(level))
    return _to_array(level, entry).reshape(sizes)


def from_raw(data: bytes, entry: Input, shape: Sequence[int] | None = None) -> np.ndarray:
    """A tensor as little-endian bytes, rows first, C order.

    ``shape``: the whole of it, rows included; needed where an axis but the row is symbolic. Else the rows follow from
    the length.
    """
    if shape is None:
        shape = _shape_from_length(len(data), entry)
    dtype = DTYPES[entry.dtype]
    if len(shape) != len(entry.shape) or min(shape) < 1:
        raise _refused(entry, f"has the shape {_shown(shape)}; wanted {_shown(entry.shape)}, every axis at least 1")
    wanted = math.prod(shape) * dtype.itemsize
    if len(data) != wanted:
        raise _refused(entry, f"has {len(data)} bytes; wanted {wanted} for {entry.dtype} of shape {_shown(shape)}")
    if dtype.kind == "b" and data.strip(b"\0\1"):
        raise _refused(entry, "is bool and has a byte other than 0 and 1; send one byte per element, 0 or 1")
    array = np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False)
    return array.reshape(shape)


def check(tensors: Mapping[str, np.ndarray], manifest: Manifest) -> Extent:
    """The rows and symbolic sizes of a request whose tensors fit the manifest and each other."""
    if tensors.keys() != manifest.input_names:
        check_names(tensors, manifest)
    sizes: dict[str, int] = {}
    for entry in manifest.inputs:
        array = tensors[entry.name]
        _check_shape(array.shape, entry, manifest, sizes)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise _not_finite(array, entry)
    rows = sizes.pop(ROW_AXIS)
    return Extent(rows, sizes)


def _common_length(level: list[Any], sizes: list[int], entry: Input) -> int:
    """The length that all lists of one nesting level share."""
    kinds = set(map(type, level))
    if kinds != {list}:
        if kinds and list in kinds:
            raise _refused(entry, f"is ragged at axis {len(sizes)}: {_named(kinds)} side by side; make it rectangular")
        hint = ": add the row axis" if len(sizes) == len(entry.shape) - 1 else ""
        got = f"has {len(sizes)} ax{'i' if len(sizes) == 1 else 'e'}s" if sizes else f"is {_named(kinds)}"
        raise _refused(entry, f"{got}; wanted nested lists of shape {_shown(entry.shape)}{hint}")
    lengths = set(map(len, level))
    if len(lengths) > 1:
        got = f"lists at axis {len(sizes)} have {min(lengths)} to {max(lengths)} elements"
        raise _refused(entry, f"is ragged: {got}; make it rectangular")
    length = lengths.pop()
    if not length:
        raise _refused(entry, f"has no elements at axis {len(sizes)}; wanted at least 1: {_shown(entry.shape)}")
    return length


def _to_array(elements: list[Any], entry: Input) -> np.ndarray:
    dtype = DTYPES[entry.dtype]
    allowed, words = _WANTED[dtype.kind]
    kinds = set(map(type, elements))
    if not kinds <= allowed:
        if list in kinds:
            raise _refused(entry, f"has more axes than {len(entry.shape)}; wanted the shape {_shown(entry.shape)}")
        raise _refused(entry, f"has {_named(kinds - allowed)} among its elements; wanted {words} for {entry.dtype}")
    try:
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, which ``check`` refuses
            return np.array(elements, dtype=dtype)
    except OverflowError as error:
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
        got = next(element for element in elements if not least <= element <= most)
        raise _refused(entry, f"has the element {got}; wanted {least} to {most} for {entry.dtype}") from error


def _from_base64(value: dict[str, Any], entry: Input) -> np.ndarray:
    for key in value:
        if key not in ENCODED:
            raise _refused(entry, f"has the unknown key {key[:64]!r}; {nearest(key, ENCODED)}")
    dtype, shape, data = (value.get(key) for key in ENCODED)
    if dtype != entry.dtype:
        raise _refused(entry, f"has the dtype {str(dtype)[:40]!r}; wanted {entry.dtype!r}")
    if not (isinstance(shape, list) and shape and set(map(type, shape)) == {int}):
        raise _refused(entry, f"has no list of integers as its shape; wanted {_shown(entry.shape)}")
    if not isinstance(data, str):
        raise _refused(entry, f"has {_named({type(data)})} as data; wanted its little-endian bytes in base64")
    try:
        raw = binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:
        raise _refused(entry, f"has data that is not base64 ({error}); wanted the standard alphabet, padded") from error
    return from_raw(raw, entry, shape)


def _shape_from_length(length: int, entry: Input) -> tuple[int, ...]:
    row = []
    for axis in entry.shape[1:]:
        if isinstance(axis, str):
            raise _refused(
                entry, f"has the open axis {axis!r}; give the whole shape {_shown(entry.shape)}, as in shape=1,..."
            )
        row.append(axis)
    row_bytes = math.prod(row) * DTYPES[entry.dtype].itemsize
    rows, rest = divmod(length, row_bytes)
    if rest or not rows:
        wanted = f"a multiple of {row_bytes}: rows of little-endian {entry.dtype}, each {_shown(row)}"
        raise _refused(entry, f"has {length} bytes; wanted {wanted}")
    return (rows, *row)


def check_names(tensors: Mapping[str, object], manifest: Manifest) -> None:
    """Every input is there, and nothing else."""
    known = [entry.name for entry in manifest.inputs]
    for name in tensors:
        if name not in known:
            raise InvalidTensor(f"the input {name[:64]!r} is unknown; {nearest(name, known)}", input=name[:64])
    for name in known:
        if name not in tensors:
            raise InvalidTensor(f"the input {name!r} is missing; wanted all of: {', '.join(known)}", input=name)


def _check_shape(shape: tuple[int, ...], entry: Input, manifest: Manifest, sizes: dict[str, int]) -> None:
    """Bind the symbols of one input's shape into ``sizes``."""
    if len(shape) != len(entry.shape):
        raise _refused(entry, f"has the shape {_shown(shape)}; wanted {_shown(entry.shape)}")
    for axis, size in zip(entry.shape, shape, strict=True):
        if isinstance(axis, int):
            if size != axis:
                raise _refused(entry, f"has the shape {_shown(shape)}; wanted {_shown(entry.shape)}")
        elif sizes.setdefault(axis, size) != size:
            raise _refused(entry, f"has {size} at its axis {axis!r}; wanted {sizes[axis]}, as elsewhere in the request")
        elif axis == ROW_AXIS:
            if size < 1:
                raise _refused(entry, "has no rows; wanted at least 1")
        elif not manifest.axes[axis].min <= size <= manifest.axes[axis].max:
            bounds = manifest.axes[axis]
            raise _refused(entry, f"has {size} at its axis {axis!r}; wanted {bounds.min} to {bounds.max}")


def _not_finite(array: np.ndarray, entry: Input) -> InvalidTensor:
    where = np.unravel_index(int(np.isfinite(array).argmin()), array.shape)
    place = [int(index) for index in where]
    return _refused(entry, f"has {array[where]} at {place}; wanted finite numbers within the range of {entry.dtype}")


def _refused(entry: Input, fault: str) -> InvalidTensor:
    return InvalidTensor(f"the input {entry.name!r} {fault}", input=entry.name)


def _shown(shape: Sequence[int | str]) -> str:
    return f"({', '.join(map(str, shape[:16]))})"


def _named(kinds: set[type]) -> str:
    return " and ".join(sorted(_JSON_NAMES[kind] for kind in kinds))
