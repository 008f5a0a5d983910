"""Rows that are there more than once, and whether a row that is held out was seen before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Repeats:
    """``rows`` that have an equal one before them; those of them that are ``held_out`` and have it in an earlier part."""

    rows: int
    held_out: int

    def __str__(self) -> str:
        """A phrase for people; empty where no row is repeated."""
        if not self.rows:
            return ""
        crossing = f"{self.held_out} of them held out although an earlier part has them" if self.held_out else (
            "equal rows in one part")  # fmt: skip
        return f"{self.rows:,} {'row is a repeat' if self.rows == 1 else 'rows are repeats'}, {crossing}"


def count_repeats(parts: Iterable[Sequence[bytes]]) -> Repeats:
    """``parts``: of train, calibration and test, in this order, a key per row that equal rows share."""
    known: set[bytes] = set()
    rows = held_out = 0
    for keys in parts:
        held_out += sum(key in known for key in keys)
        before = len(known)
        known.update(keys)
        rows += len(keys) - (len(known) - before)
    return Repeats(rows, held_out)
