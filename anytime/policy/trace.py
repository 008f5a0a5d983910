"""Traces: per row every exit's raw head outputs, every graph's milliseconds, the label if known. An open npz format.

Format 1, one array a name, rows first:

    format              int64, the number 1
    exits, graphs       int64, how many of each
    logits              (rows, exits, labels) raw, before temperature; logits.<level> likewise
    commitment, stop, ood   (rows, exits) raw; only where the bundle has them, NaN at exits that lack them
    ms                  (rows, graphs) milliseconds of each graph, bundle order; NaN where it was not timed
    label               (rows,) int64, -1 where unknown
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anytime.model_store import Manifest
from anytime.model_store.manifest import SCALAR_OUTPUTS
from anytime.model_store.npz import NpzUnreadable, read_npz

FORMAT = 1


class TraceError(ValueError):
    """A file that is not a trace of this format, or not of this bundle, or that lacks what is asked of it."""


@dataclass(frozen=True)
class Trace:
    """The recorded rows of one bundle. ``outputs[name]``: (rows, exits, labels) or, for scalar heads, (rows, exits)."""

    outputs: Mapping[str, np.ndarray]
    ms: np.ndarray
    """(rows, graphs)"""
    label: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """(rows,) int64, -1 where unknown; left out, nothing is known."""

    def __post_init__(self) -> None:
        if not self.label.size:
            object.__setattr__(self, "label", np.full(self.rows, -1, dtype=np.int64))

    @property
    def rows(self) -> int:
        return int(self.ms.shape[0])

    def head(self, manifest: Manifest, row: int, exit: int) -> dict[str, np.ndarray]:
        """What the head of ``exit`` (from 1) wrote for a row, as a live head would."""
        writes = manifest.stages[exit - 1].head.writes.values()
        return {
            name: values[row, exit - 1] if values.ndim == 3 else values[row, exit - 1 : exit]
            for name, values in self.outputs.items()
            if name in writes
        }

    def save(self, path: Path) -> None:
        """Writes the ``npz`` file (compressed), whole or not at all."""
        arrays: dict[str, Any] = {"ms": self.ms, "label": self.label, **self.outputs}
        arrays |= {"format": FORMAT, "exits": self.outputs["logits"].shape[1], "graphs": self.ms.shape[1]}
        partial = path.with_name(f".{path.name}.partial")
        try:
            with partial.open("wb") as file:
                np.savez_compressed(file, **arrays)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def load_trace(path: Path, manifest: Manifest) -> Trace:
    """Reads a trace of this bundle.

    Raises ``TraceError``: not an npz, another format number, arrays missing, unknown, or not fitting the bundle.
    """
    arrays = _arrays(path)
    graphs = sum(1 if stage.body is None else 2 for stage in manifest.stages)
    for name, wanted in (("format", FORMAT), ("exits", manifest.exits), ("graphs", graphs)):
        got = arrays.pop(name, None)
        if got is None or got.shape != () or got != wanted:
            raise TraceError(f"{path} has {name} {got}; wanted {wanted}")
    shapes = _shapes(manifest)
    for name in ("ms", "label", *shapes):
        if name not in arrays:
            raise TraceError(f"{path} lacks {name!r}; record it again")
    ms, label = arrays.pop("ms"), arrays.pop("label")
    rows = ms.shape[0] if ms.ndim else 0
    _check(path, "ms", ms, (rows, graphs), "f")
    _check(path, "label", label, (rows,), "iu")
    for name, values in arrays.items():
        if name not in shapes:
            raise TraceError(f"{path} has {name!r}, which {manifest.name} does not write; is it of another bundle?")
        _check(path, name, values, (rows, *shapes[name]), "fiu")
    if rows and not -1 <= int(label.min()) <= int(label.max()) < len(manifest.labels):
        raise TraceError(f"{path} has labels {label.min()} to {label.max()}; wanted -1 to {len(manifest.labels) - 1}")
    return Trace(arrays, ms, label)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        return read_npz(path)
    except NpzUnreadable as error:
        raise TraceError(f"{path} is not a trace: {error}") from error


def _shapes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """What a row holds of each head output that the bundle writes anywhere."""
    levels = zip(manifest.logits_names, manifest.level_labels, strict=True)
    shapes: dict[str, tuple[int, ...]] = {name: (manifest.exits, len(labels)) for name, labels in levels}
    written = {name for stage in manifest.stages for name in stage.head.writes.values()}
    return shapes | {name: (manifest.exits,) for name in SCALAR_OUTPUTS if name in written}


def _check(path: Path, name: str, values: np.ndarray, shape: tuple[int, ...], kinds: str) -> None:
    if values.shape != shape or values.dtype.kind not in kinds:
        raise TraceError(f"{path}: {name} is {values.dtype} of shape {values.shape}; wanted numbers of shape {shape}")
