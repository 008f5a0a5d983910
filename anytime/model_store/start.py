"""Start values on file: ``.npy`` arrays of a state's shape without the row axis, never pickled."""

from __future__ import annotations

import tokenize
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from anytime.model_store.errors import GraphMismatch
from anytime.model_store.manifest import State
from anytime.model_store.tensors import DTYPES, bind

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def check_start(path: Path, state: State) -> None:
    """Raise ``GraphMismatch`` unless the file holds one row of ``state``; reads no more than the header."""
    with path.open("rb") as file:
        try:
            shape, _, dtype = _HEADERS[npy.read_magic(file)](file)
        except (ValueError, KeyError, EOFError, SyntaxError, TypeError, tokenize.TokenError) as error:
            raise GraphMismatch(
                f"the start of state {state.name!r}, {path.name}, is not a .npy array: {error}"
            ) from error
        held = path.stat().st_size - file.tell()
    wanted = bind(state.shape[1:], {})
    if dtype != DTYPES[state.dtype] or shape != wanted:
        raise GraphMismatch(
            f"the start of state {state.name!r} is {dtype} of shape {shape}; wanted {state.dtype} of shape {wanted}"
        )
    if held != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise GraphMismatch(f"the start of state {state.name!r} holds {held} bytes of data, not what its header says")


def read_start(path: Path, state: State) -> np.ndarray:
    """One row of ``state``, without the row axis."""
    check_start(path, state)
    row: np.ndarray = np.load(path, allow_pickle=False)
    return row
