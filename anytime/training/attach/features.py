"""What passes a network's cuts for every row of a data set, and its logits: computed once, then read from disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from anytime.model_store.manifest import LOGITS
from anytime.training.attach.cache import NewCache, list_cached, open_cached
from anytime.training.attach.inputs import Batch
from anytime.training.attach.network import Network
from anytime.training.attach.pieces import Piece
from anytime.training.attach.session import RUNTIME, open_session, run_session
from anytime.training.errors import BadOption, DataMisfit

FORMAT = 1
BATCH_ROWS = 64


@dataclass(frozen=True)
class Rows:
    """A data set as a network takes it."""

    key: str
    """What tells it from any other data, augmentation and order included: such as a hash."""
    count: int
    batches: Callable[[], Iterable[Batch]]
    """The rows from the first to the last, some at a time; every call begins anew."""
    take: Callable[[np.ndarray], Batch]
    """(B,) -> those rows, in this order; no other is read."""


@dataclass(frozen=True)
class Shrink:
    """Something done to a cut's features before they are stored, such as a mean over tokens."""

    name: str
    """Part of the cache's key: another function needs another name."""
    apply: Callable[[np.ndarray, Batch], np.ndarray]
    """(rows, ...) and the inputs -> (rows, ...)"""


@dataclass(frozen=True)
class Features:
    """Of all rows: what passes each cut, (rows, ...), and the network's own logits, (rows, classes) float32."""

    cuts: tuple[np.ndarray, ...]
    logits: np.ndarray
    folder: Path
    was_cached: bool


def rows_of(inputs: Batch, batch_rows: int = BATCH_ROWS) -> Rows:
    """Arrays in memory, (rows, ...) by input name, with their hash as the key. Raises ``DataMisfit``."""
    counts = {name: len(values) if values.ndim else 0 for name, values in inputs.items()}
    if not counts or len(set(counts.values())) != 1 or 0 in counts.values():
        raise DataMisfit(f"the data have {counts} rows; wanted one and the same number above 0 for each input")
    digest = hashlib.sha256()
    for name in sorted(inputs):
        digest.update(f"{name} {inputs[name].dtype} {inputs[name].shape} ".encode())
        digest.update(np.ascontiguousarray(inputs[name]).data)
    count = next(iter(counts.values()))
    return rows_taken(
        digest.hexdigest(), count, lambda chosen: {name: inputs[name][chosen] for name in inputs}, batch_rows
    )


def rows_taken(key: str, count: int, take: Callable[[np.ndarray], Batch], batch_rows: int = BATCH_ROWS) -> Rows:
    """Rows that can be had in any order, from first to last ``batch_rows`` at a time."""

    def batches() -> Iterator[Batch]:
        for start in range(0, count, batch_rows):
            yield take(np.arange(start, min(start + batch_rows, count)))

    return Rows(key, count, batches, take)


def features(
    network: Network,
    pieces: Sequence[Piece],
    rows: Rows,
    home: Path,
    *,
    dtype: Literal["float32", "float16"] = "float32",
    shrink: Sequence[Shrink | None] = (),
    threads: int = 1,
) -> Features:
    """Run the pieces over ``rows``, once for each network, cuts and data, and keep what passes in a folder in ``home``.

    Where such a folder has these cuts and more, they are read from it: the same numbers, but for the rounding of pieces cut
    elsewhere. ``dtype`` is that of the cuts' features on disk; ``shrink`` has an entry per cut. The same pieces run here and
    in a bundle, so heads learn on exactly what they will read. Raises ``DataMisfit`` where the data do not fit the inputs,
    ``CacheFailed`` where the disk is full or a cache is damaged, ``BadOption``, and ``BadClassifier`` where a piece does
    not run; then nothing is left behind.
    """
    cuts = [piece.cut for piece in pieces if piece.cut is not None]
    if shrink and len(shrink) != len(cuts):
        raise BadOption(f"{len(shrink)} entries of shrink for {len(cuts)} cuts; give one per cut, or none")
    shrink = tuple(shrink) or (None,) * len(cuts)
    about = {
        "format": FORMAT, "network": network.sha256, "data": rows.key, "rows": rows.count, "dtype": dtype,
        "logits": network.scores, "runtime": RUNTIME,
        "cuts": [[cut.tensor, None if one is None else one.name] for cut, one in zip(cuts, shrink, strict=True)],
    }  # fmt: skip
    kept = _kept(home, about)
    if kept is not None:
        return kept
    with NewCache(_folder(home, about), rows.count) as cache:
        for parts in _computed(network, pieces, rows, shrink, np.dtype(dtype), threads):
            cache.append(dict(zip(_names(len(cuts)), parts, strict=True)))
        cache.finish(about)
    kept = _kept(home, about)
    assert kept is not None, "a cache that was just finished"
    return replace(kept, was_cached=False)


def _kept(home: Path, about: Mapping[str, Any]) -> Features | None:
    """From the folder of exactly these cuts, or else from one that has others too."""
    folder, cuts = _folder(home, about), about["cuts"]
    if not folder.exists():
        found = next((one for one in list_cached(home) if _is_wider(one[1], about)), None)
        if found is None:
            return None
        folder, cuts = found[0], found[1]["cuts"]
    arrays = open_cached(folder, _names(len(cuts)))
    if arrays is None:
        return None
    passed = (arrays[f"cut-{cuts.index(one) + 1}"] for one in about["cuts"])
    return Features(tuple(passed), arrays[LOGITS], folder, was_cached=True)


def _folder(home: Path, about: Mapping[str, Any]) -> Path:
    return home / hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]


def _names(cuts: int) -> tuple[str, ...]:
    return (*(f"cut-{number}" for number in range(1, cuts + 1)), LOGITS)


def _is_wider(listed: Mapping[str, Any], about: Mapping[str, Any]) -> bool:
    is_alike = all(listed.get(name) == value for name, value in about.items() if name != "cuts")
    return is_alike and all(one in listed["cuts"] for one in about["cuts"])


def _computed(
    network: Network,
    pieces: Sequence[Piece],
    rows: Rows,
    shrink: Sequence[Shrink | None],
    dtype: np.dtype,
    threads: int,
) -> Iterator[list[np.ndarray]]:
    """For each batch what passes each cut, then the logits; every batch is checked before it runs."""
    chain = Chain(network, pieces, threads)
    count, first = 0, None
    for batch in rows.batches():
        count += network.inputs.check(batch)
        shapes = {name: values.shape[1:] for name, values in batch.items()}
        first = first or shapes
        if shapes != first:
            raise DataMisfit(f"the data have rows of the shapes {first} and {shapes}; pad them to one shape")
        if count > rows.count:
            break
        *passed, logits = chain.run(batch)
        small = (
            values if one is None else one.apply(values, batch) for one, values in zip(shrink, passed, strict=True)
        )
        yield [*(_stored(values, dtype) for values in small), _stored(logits, np.dtype(np.float32))]
    if count != rows.count:
        got = "more" if count > rows.count else count
        raise DataMisfit(f"the data have {got} rows and were said to have {rows.count}; say how many there are")


def _stored(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):
        stored = values.astype(dtype)
    if not np.isfinite(stored).all():
        said = "infinities or NaN" if not np.isfinite(values).all() else f"numbers too large for {dtype}"
        raise DataMisfit(f"the network makes {said} of these data; look at the rows, or take float32")
    return stored


class Chain:
    """The pieces of a network as sessions, run one after the other."""

    def __init__(self, network: Network, pieces: Sequence[Piece], threads: int = 1) -> None:
        """Raises ``BadClassifier`` or ``UnsupportedOperator`` where ONNX Runtime refuses a piece."""
        self._pieces = pieces
        self._one_row = network.inputs.one_row
        self._called = {name: state for piece in pieces for name, state in piece.reads.items()}
        self._said = [f"piece {number} of {network.name}" for number in range(1, len(pieces) + 1)]
        self._sessions = [open_session(piece.model, said, threads)
                          for piece, said in zip(pieces, self._said, strict=True)]  # fmt: skip

    def run(self, batch: Batch) -> list[np.ndarray]:
        """What each piece writes, (rows, ...): what passes each cut, then the logits."""
        if not self._one_row:
            return self._run(batch)
        rows = len(next(iter(batch.values())))
        each = [self._run({name: values[row : row + 1] for name, values in batch.items()}) for row in range(rows)]
        return [np.concatenate(parts) for parts in zip(*each, strict=True)]

    def _run(self, batch: Batch) -> list[np.ndarray]:
        states: dict[str, np.ndarray] = {self._called.get(name, name): values for name, values in batch.items()}
        passed = []
        for piece, session, said in zip(self._pieces, self._sessions, self._said, strict=True):
            feeds: Mapping[str, np.ndarray] = {name: states[state] for name, state in piece.reads.items()}
            (values,) = run_session(session, [piece.output], feeds, said)
            if piece.state is not None:
                states[piece.state] = values
            passed.append(values)
        return passed
