"""JSON text to values. Parsing holds up every other thread, and lists cost it most: they are counted before it begins."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import orjson

from anytime.model_store.manifest import Input, Manifest
from anytime.service.errors import BatchTooLarge, InvalidTensor, MalformedBody

COUNTED_BYTES = 64 * 1024
"""Shorter text is parsed in 2 ms even if it is nothing but empty lists."""
SPARE_LISTS = 64
"""For the policy's lists and whatever else is no tensor."""


def load(data: bytes, where: str, most_lists: int) -> Any:
    """The value of a text; ``where`` names it in errors. Raises ``BatchTooLarge``, ``InvalidTensor``, ``MalformedBody``."""
    lists = lists_in(data)
    if lists > most_lists:
        raise BatchTooLarge(
            f"{where} holds {lists} lists and objects; at most {most_lists} are read, twice what the largest request "
            "needs: send fewer rows, nested as the model's shapes say",
            lists=lists,
            max_lists=most_lists,
        )
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if error.doc.startswith(("NaN", "Infinity"), error.pos):  # what Python's own encoder writes
            raise InvalidTensor(
                f"{where} holds NaN or Infinity; wanted finite numbers, which alone are JSON"
            ) from error
        raise MalformedBody(f"{where} is not JSON: {error}") from error


def lists_in(data: bytes) -> int:
    """How many lists and objects a text may hold, brackets inside strings counted too; 0 for a short one."""
    return data.count(b"[") + data.count(b"{") if len(data) > COUNTED_BYTES else 0


def most_lists(entries: Iterable[Input], manifest: Manifest, rows: int) -> int:
    """Twice the lists that tensors of so many rows nest at their largest axes, and some to spare."""
    return 2 * sum(_lists_of(entry, manifest, rows) for entry in entries) + SPARE_LISTS


def _lists_of(entry: Input, manifest: Manifest, rows: int) -> int:
    """(rows, a, b) is one list of rows, a list for each row, and one for each of its a."""
    sizes = [rows, *(axis if isinstance(axis, int) else manifest.axes[axis].max for axis in entry.shape[1:])]
    return sum(math.prod(sizes[:depth]) for depth in range(len(sizes)))
