"""Arrays of many rows in a folder of ``.npy`` files, written row after row; the folder appears whole or not at all."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from anytime.model_store.publish import TEMP, sweep
from anytime.training.errors import CacheFailed

_INDEX = "index.json"
_SPARE_BYTES = 64 * 1024**2
"""Left free on the disk, for whatever else writes to it."""


def open_cached(folder: Path, names: tuple[str, ...]) -> Mapping[str, np.ndarray] | None:
    """The arrays in a folder that ``NewCache`` wrote, read-only and not in memory; ``None`` where there is no folder.

    Raises ``CacheFailed`` where a file is damaged.
    """
    if not folder.exists():
        return None
    try:
        listed = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        found = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
        told = {name: [str(values.dtype), list(values.shape)] for name, values in found.items()}
    except (OSError, ValueError) as error:
        raise CacheFailed(f"the cached features in {folder} cannot be read: {error}; remove that folder") from error
    if listed.get("arrays") != told:
        raise CacheFailed(f"the cached features in {folder} are not what its {_INDEX} says; remove that folder")
    return found


def list_cached(home: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every folder in ``home`` that ``NewCache`` wrote, and what it is about. Raises ``CacheFailed``."""
    for index in sorted(home.glob(f"[!.]*/{_INDEX}")):
        try:
            yield index.parent, json.loads(index.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CacheFailed(
                f"the cached features in {index.parent} cannot be read: {error}; remove that folder"
            ) from error


class NewCache:
    """A folder in the making: a context manager; leaving it without ``finish`` leaves nothing.

    A run that is killed leaves a hidden folder which is never read and which a later run removes.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self._folder, self._rows = folder, rows
        self._temp = folder.parent / f"{TEMP}{uuid.uuid4().hex}"
        self._files: dict[str, BinaryIO] = {}
        self._arrays: dict[str, list[object]] = {}

    def __enter__(self) -> Self:
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            sweep(self._folder.parent, time.time())
            self._temp.mkdir()
        except OSError as error:
            raise self._failed(error) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._temp, ignore_errors=True)

    def append(self, parts: Mapping[str, np.ndarray]) -> None:
        """The next rows of every array. Raises ``CacheFailed``, before anything is written if the disk is too small."""
        try:
            if not self._files:
                self._begin(parts)
            for name, values in parts.items():
                self._files[name].write(np.ascontiguousarray(values).data)
        except OSError as error:
            raise self._failed(error) from error

    def finish(self, about: Mapping[str, object]) -> None:
        """Every row is there: write what the cache is ``about`` beside it, and make the folder appear."""
        try:
            for file in self._files.values():
                file.flush()
                os.fsync(file.fileno())
                file.close()
            text = json.dumps({**about, "arrays": self._arrays}, indent=1)
            with (self._temp / _INDEX).open("w", encoding="utf-8") as index:
                index.write(text)
                index.flush()
                os.fsync(index.fileno())
            self._appear()
        except OSError as error:
            raise self._failed(error) from error

    def _begin(self, parts: Mapping[str, np.ndarray]) -> None:
        needed = sum(self._rows * math.prod(values.shape[1:]) * values.dtype.itemsize for values in parts.values())
        free = shutil.disk_usage(self._temp).free - _SPARE_BYTES
        if needed > free:
            raise CacheFailed(
                f"the features of {self._rows} rows need {needed / 1e9:.2f} GB and {self._folder.parent} has "
                f"{max(free, 0) / 1e9:.2f} GB free; take fewer cuts or rows, float16, pooled features, or another folder"
            )
        for name, values in parts.items():
            shape = (self._rows, *values.shape[1:])
            self._arrays[name] = [str(values.dtype), list(shape)]
            self._files[name] = (self._temp / f"{name}.npy").open("wb")
            header = {"descr": np.lib.format.dtype_to_descr(values.dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(self._files[name], header)

    def _appear(self) -> None:
        try:
            self._temp.rename(self._folder)
        except OSError:
            if not (self._folder / _INDEX).exists():
                raise  # else another run made the same features first, and they are as good

    def _failed(self, error: OSError) -> CacheFailed:
        return CacheFailed(
            f"features cannot be written to {self._folder.parent}: {error.strerror or error}; nothing is left there: "
            f"make room, or take another folder"
        )
