"""Which exits are worth serving: every head and every boundary costs each row that passes it, and few rows stop there.

Pure: figures from a trace in, a choice out. Knows no network and trains nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from anytime.model_store import Flow, Manifest
from anytime.policy import Trace
from anytime.policy.columns import top_probability, typical_ms
from anytime.training.calibration.held import require_labels, require_times
from anytime.training.calibration.points import candidate_thresholds
from anytime.training.errors import BadOption

BOUNDARY_MS = 0.02
"""The server's own time per stage that a row runs: measured as 9 to 35 us a boundary by ``make bench ARGS=staging``."""
LOSS = 1.0
"""Points of accuracy, in percent, that may be lost against full depth."""
MOST = 8
_FEW = 10
"""With so many exits before the last, or fewer, every choice is tried: 1024 at most."""
_STEPS = 50
"""Thresholds that are tried."""
_BITS = 64
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ExitCost:
    """One exit of the bundle that a plan is made for; ``share``: of the rows that stop there, 0 where it is not served."""

    exit: int
    body_ms: float
    head_ms: float
    is_served: bool
    share: float
    share_of_all: float
    """The same with all exits served."""


@dataclass(frozen=True)
class ExitPlan:
    """Exits to serve, from 1, the last included, and what is expected of them; all milliseconds are means over rows."""

    exits: tuple[int, ...]
    threshold: float
    """The confidence above which a row stops, one for all exits; 1: none does."""
    accuracy: float
    ms: float
    all_ms: float
    """With all exits served, at the best threshold for them."""
    all_accuracy: float
    full_accuracy: float
    costs: tuple[ExitCost, ...]

    @property
    def is_change(self) -> bool:
        """Whether there is a bundle to make: some exit before the last is worth serving, and not all are."""
        return 1 < len(self.exits) < len(self.costs)


def choose_exits(
    trace: Trace, manifest: Manifest, flow: Flow, *, boundary_ms: float = BOUNDARY_MS, most: int = MOST,
    loss: float = LOSS,
) -> ExitPlan:  # fmt: skip
    """The exits, at most ``most`` with the last, that cost least per row and lose at most ``loss`` points of accuracy.

    A row stops at the first served exit whose confidence is above the one threshold; it pays the bodies up to there, the
    heads that are served, and ``boundary_ms`` for each of these. Every graph counts with its median time in the trace. Two
    approximations, hence the bundle is measured once it is made: heads say what they said when all were trained, though
    those of Zero Time Waste read each other; and bodies that become one take as long as they did apart. With up to 11
    exits every choice is tried; with more, exits are dropped one by one and the best choice met is then bettered by adding,
    dropping and swapping. Raises ``BadOption``, and ``TracesUnfit`` for a trace without labels or times.
    """
    _check(trace, flow, boundary_ms, most, loss)
    rows = _Rows(trace, manifest, flow, boundary_ms, loss)
    everyone = tuple(range(1, flow.exits))
    best = _all_tried(rows, everyone, most) if len(everyone) <= _FEW else _searched(rows, everyone, most)
    before = rows.held(everyone)
    now, then = rows.shares(best), rows.shares(before)
    exits = (*best.early, flow.exits)
    costs = tuple(
        ExitCost(exit, float(rows.body_ms[exit - 1]), float(rows.head_ms[exit - 1]), exit in exits,
                 float(now[exit - 1]), float(then[exit - 1]))
        for exit in range(1, flow.exits + 1)
    )  # fmt: skip
    return ExitPlan(
        exits, best.threshold, best.accuracy, best.ms, before.ms, before.accuracy, rows.full_accuracy, costs
    )


def _check(trace: Trace, flow: Flow, boundary_ms: float, most: int, loss: float) -> None:
    if flow.exits < 2:
        raise BadOption("the bundle has one exit, and there is nothing to choose; give one with exits before the last")
    if most < 2:
        raise BadOption(f"at most {most} exits leave nothing to choose; wanted 2 or more, the last included")
    if not (0 <= boundary_ms < float("inf") and 0 <= loss <= 100):
        raise BadOption(
            f"a boundary of {boundary_ms} ms and a loss of {loss} points; wanted 0 ms or more, and 0 to 100 points"
        )
    if flow.exits > _BITS:
        raise BadOption(f"{flow.exits} exits; a plan chooses among at most {_BITS}: make the run with fewer")
    require_labels(trace)
    require_times(trace)


@dataclass(frozen=True)
class _Held:
    """The cheapest way to serve some exits before the last at the accuracy that is asked."""

    early: tuple[int, ...]
    threshold: float
    ms: float
    accuracy: float

    @property
    def rank(self) -> tuple[float, int]:
        return self.ms, len(self.early)


class _Rows:
    """The rows under every threshold. Those that pass the same exits are one *group*; all thresholds' groups in a line."""

    def __init__(self, trace: Trace, manifest: Manifest, flow: Flow, boundary_ms: float, loss: float) -> None:
        logits = trace.outputs["logits"]
        right = (logits.argmax(axis=2) == trace.label[:, np.newaxis]).T
        tops = np.array(
            [top_probability(logits[:, exit - 1], manifest.temperature(exit)) for exit in range(1, flow.exits)]
        )
        self._rows, self._boundary_ms = trace.rows, boundary_ms
        self.body_ms, self.head_ms = _times(trace, flow)
        self.full_accuracy = float(right[-1].mean())
        self._wanted = self.full_accuracy - loss / 100 - _ROUNDING
        thresholds = candidate_thresholds(manifest, trace, _STEPS)
        self._thresholds = thresholds[thresholds < 1.0].tolist()
        groups = [_grouped(tops > one, right) for one in self._thresholds]
        self._passed, self._count = (np.concatenate(parts) for parts in list(zip(*groups, strict=True))[:2])
        self._right = np.concatenate([right for _, _, right in groups], axis=1)
        self._starts = np.cumsum([0, *(len(passed) for passed, _, _ in groups[:-1])])

    def held(self, early: tuple[int, ...]) -> _Held:
        """With these exits and the last. Where no threshold holds the accuracy nobody stops, and no early head runs."""
        stops = self._stops(early)
        ms = np.add.reduceat(self._way_ms(early)[stops] * self._count, self._starts) / self._rows
        right = self._right[stops, np.arange(len(stops))]
        accuracy = np.add.reduceat(right, self._starts, dtype=np.float64) / self._rows
        whole = float(self.body_ms.sum() + self.head_ms[-1] + self._boundary_ms * (len(early) + 1))
        able = np.flatnonzero(accuracy >= self._wanted)
        if not early or not len(able) or ms[able].min() >= whole:
            return _Held(early, 1.0, whole, self.full_accuracy)
        best = able[ms[able].argmin()]
        return _Held(early, self._thresholds[best], float(ms[best]), float(accuracy[best]))

    def shares(self, held: _Held) -> np.ndarray:
        """(exits,) of the rows, those that stop there."""
        exits = len(self.body_ms)
        if held.threshold == 1.0:
            return np.eye(exits)[-1]
        place = self._thresholds.index(held.threshold)
        end = self._starts[place + 1] if place + 1 < len(self._starts) else len(self._passed)
        here = slice(self._starts[place], end)
        return np.bincount(self._stops(held.early)[here], self._count[here], exits) / self._rows

    def _stops(self, early: Iterable[int]) -> np.ndarray:
        """(groups,) the exit, from 0, at which each group's rows stop."""
        served = sum(1 << exit - 1 for exit in (*early, len(self.body_ms)))
        passed = self._passed & np.uint64(served)
        lowest = passed & (~passed + np.uint64(1))
        return np.frexp(lowest.astype(np.float64))[1] - 1

    def _way_ms(self, early: tuple[int, ...]) -> np.ndarray:
        """(exits,) what a row that stops there has cost."""
        is_served = np.zeros(len(self.body_ms))
        is_served[[exit - 1 for exit in (*early, len(self.body_ms))]] = 1.0
        return (self.body_ms + is_served * (self.head_ms + self._boundary_ms)).cumsum()


def _times(trace: Trace, flow: Flow) -> tuple[np.ndarray, np.ndarray]:
    """(exits,) twice: the median milliseconds of each stage's body, 0 where it has none, and of its head."""
    ms, typical = np.zeros((2, flow.exits)), typical_ms(trace.ms)
    for node in flow.nodes:
        ms[int(node.part == "head"), node.stage - 1] = typical[node.index]
    return ms[0], ms[1]


def _grouped(passes: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(early exits, rows) and (exits, rows) -> of each group the exits passed as bits, the last always; rows; rows right."""
    bits = np.full(passes.shape[1], 1 << len(passes), np.uint64)
    for exit, one in enumerate(passes):
        bits |= one.astype(np.uint64) << np.uint64(exit)
    passed, group, count = np.unique(bits, return_inverse=True, return_counts=True)
    return passed, count, np.array([np.bincount(group, one, len(passed)) for one in right], np.float32)


def _all_tried(rows: _Rows, everyone: Sequence[int], most: int) -> _Held:
    choices = (early for size in range(min(most - 1, len(everyone)) + 1) for early in combinations(everyone, size))
    return min((rows.held(early) for early in choices), key=lambda held: held.rank)


def _searched(rows: _Rows, everyone: tuple[int, ...], most: int) -> _Held:
    """Backward elimination, then the best neighbour as long as it is better."""
    held = rows.held(everyone)
    met = [held]
    while held.early:
        held = min((rows.held(early) for early in _without_one(held.early)), key=lambda one: one.rank)
        met.append(held)
    best = min((one for one in met if len(one.early) < most), key=lambda one: one.rank)
    while True:
        near = min((rows.held(early) for early in _neighbours(best.early, everyone, most)), key=lambda one: one.rank)
        if near.rank >= best.rank:
            return best
        best = near


def _neighbours(early: tuple[int, ...], everyone: tuple[int, ...], most: int) -> Iterator[tuple[int, ...]]:
    fewer = list(_without_one(early))
    yield from fewer
    for base in (*fewer, early) if len(early) + 1 < most else fewer:
        yield from (tuple(sorted((*base, exit))) for exit in everyone if exit not in early)


def _without_one(early: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for exit in early:
        yield tuple(one for one in early if one != exit)
