"""Replay of a whole trace at once: as ``replay`` row by row, for policies under which confidence alone may stop a row.

What an exit says is read once for all rows and kept for the next policy, so that thresholds can be searched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anytime.model_store import Manifest
from anytime.policy.decide import REASONS, Reason, read_level
from anytime.policy.outcome import Verdict, read_outcome
from anytime.policy.plan import Leg, Plan
from anytime.policy.resolve import AUTO
from anytime.policy.trace import Trace

_CLOSE = 1e-9
"""Two probabilities nearer than this are told apart by ``Verdict``, as a live request would."""

_CONFIDENCE = REASONS.index("confidence")


@dataclass(frozen=True)
class Ends:
    """How the rows would have ended: each (rows,), in order."""

    exit: np.ndarray
    index: np.ndarray
    """Of the label, at the level that the policy reads."""
    reason: np.ndarray
    """Its place in ``REASONS``."""
    cost: np.ndarray
    compute_ms: np.ndarray


@dataclass(frozen=True)
class _Said:
    """What one exit says of each row at one level: each (rows,)."""

    top: np.ndarray
    index: np.ndarray


class Columns:
    """A trace, read exit by exit as it is asked for. ``manifest`` brings the temperatures."""

    def __init__(self, manifest: Manifest, trace: Trace) -> None:
        self._manifest = manifest
        self._trace = trace
        self._said: dict[tuple[int, int], _Said] = {}
        self._invalid: dict[int, np.ndarray] = {}
        self._ms: dict[tuple[int, ...], np.ndarray] = {}

    def can_replay(self, plan: Plan) -> bool:
        """Whether nothing but a confidence, a depth or a budget of multiply-adds stops a row: no clock, no other rule."""
        policy = plan.policy
        clock = policy.deadline_ms is not None or policy.max_ms is not None
        return (
            policy.rules in ((), ("confidence",)) and policy.commitment is None and policy.level != AUTO and not clock
        )

    def replay(self, plan: Plan) -> Ends:
        """Every row under a plan that ``can_replay``. Raises ``HeadOutputInvalid`` as ``policy.replay`` does."""
        rows, level = self._trace.rows, read_level(plan.policy)
        ends = Ends(*np.zeros((3, rows), np.int64), *np.zeros((2, rows)))
        going = np.arange(rows)
        best = _Best(rows, self, level) if plan.policy.answer == "most_confident" else None
        macs, ms = 0, np.zeros(rows)
        for leg, following in zip(plan.legs, (*plan.legs[1:], None), strict=True):
            macs += leg.macs
            ms = ms + self._leg_ms(leg)
            self._check(leg.exit, going)
            said = self._read(leg.exit, level)
            if best is not None:
                best.hear(leg.exit, said, is_permitted=leg.exit >= plan.policy.min_exit)
            fires = self._fires(plan, leg.exit, said, level)[going]
            fired, rest = going[fires], going[~fires]
            ends.exit[fired], ends.index[fired], ends.reason[fired] = leg.exit, said.index[fired], _CONFIDENCE
            reason = _limit(plan, macs, following)
            if reason is not None:
                ends.exit[rest] = leg.exit if best is None else best.exit[rest]
                ends.index[rest] = said.index[rest] if best is None else best.index[rest]
                ends.reason[rest] = REASONS.index(reason)
            stops = fired if reason is None else going
            ends.cost[stops], ends.compute_ms[stops] = macs / plan.flow.macs_full, ms[stops]
            going = rest
            if reason is not None or not going.size:
                break
        return ends

    def exact_top(self, row: int, exit: int, level: int) -> float:
        """The top probability as a live request has it, to the last bit."""
        logits = self._trace.outputs[self._manifest.logits_names[level]][row, exit - 1]
        return Verdict(logits, self._manifest.temperature(exit, level)).top

    def _fires(self, plan: Plan, exit: int, said: _Said, level: int) -> np.ndarray:
        thresholds = plan.policy.confidence
        threshold = thresholds[exit - 1] if thresholds is not None and plan.policy.can_stop(exit) else None
        if threshold is None:
            return np.zeros(len(said.top), dtype=bool)
        above = said.top > threshold
        for row in np.flatnonzero(np.abs(said.top - threshold) < _CLOSE):
            above[row] = self.exact_top(int(row), exit, level) > threshold
        return above

    def _read(self, exit: int, level: int) -> _Said:
        if (exit, level) not in self._said:
            logits = self._trace.outputs[self._manifest.logits_names[level]][:, exit - 1]
            top = top_probability(logits, self._manifest.temperature(exit, level))
            self._said[exit, level] = _Said(top, logits.argmax(axis=1))
        return self._said[exit, level]

    def _check(self, exit: int, going: np.ndarray) -> None:
        """Raises ``HeadOutputInvalid`` where a row that reaches the exit has no sound outcome there."""
        if exit not in self._invalid:
            writes = self._manifest.stages[exit - 1].head.writes.values()
            values = [self._trace.outputs[name][:, exit - 1] for name in self._trace.outputs if name in writes]
            with np.errstate(invalid="ignore"):
                unsound = [~np.isfinite(one.max(axis=1)) if one.ndim == 2 else np.isnan(one) for one in values]
            self._invalid[exit] = np.logical_or.reduce(unsound)
        for row in going[self._invalid[exit][going]][:1]:
            read_outcome(self._manifest, exit, self._trace.head(self._manifest, int(row), exit))
            raise AssertionError("an outcome that is not sound cannot be read")

    def _leg_ms(self, leg: Leg) -> np.ndarray:
        """(rows,): what was not timed counts as its graph's median, and as 0 where that was never timed."""
        here = tuple(node.index for node in leg.nodes)
        if here not in self._ms:
            own = self._trace.ms[:, here]
            self._ms[here] = np.where(np.isnan(own), typical_ms(own), own).sum(axis=1)
        return self._ms[here]


class _Best:
    """The most confident outcome so far of each row; those below ``min_exit`` count only until there is another."""

    def __init__(self, rows: int, columns: Columns, level: int) -> None:
        self.exit, self.index = np.zeros((2, rows), np.int64)
        self._top = np.zeros(rows)
        self._columns, self._level = columns, level
        self._heard = self._permitted = False

    def hear(self, exit: int, said: _Said, *, is_permitted: bool) -> None:
        """The next exit's outcomes. Ties go to the deepest."""
        takes = np.ones(len(said.top), dtype=bool)
        if self._heard and self._permitted == is_permitted:
            takes = said.top > self._top
            for row in np.flatnonzero(np.abs(said.top - self._top) < _CLOSE):
                rival = self._columns.exact_top(int(row), int(self.exit[row]), self._level)
                takes[row] = self._columns.exact_top(int(row), exit, self._level) >= rival
        self._heard, self._permitted = True, is_permitted
        self.exit = np.where(takes, exit, self.exit)
        self.index = np.where(takes, said.index, self.index)
        self._top = np.where(takes, said.top, self._top)


def top_probability(logits: np.ndarray, temperature: float) -> np.ndarray:
    """(rows, labels) -> (rows,): that of the softmax of logits / T, up to rounding; NaN where a row has no probabilities."""
    wide = logits.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        top: np.ndarray = 1.0 / np.exp((wide - wide.max(axis=1, keepdims=True)) / temperature).sum(axis=1)
    return top


def typical_ms(ms: np.ndarray) -> np.ndarray:
    """(rows, graphs) -> (graphs,): the median of the known milliseconds, 0 for a graph that was never timed."""
    timed = ~np.isnan(ms)
    return np.array([np.median(one[known]) if known.any() else 0.0 for one, known in zip(ms.T, timed.T, strict=True)])


def _limit(plan: Plan, macs: int, following: Leg | None) -> Reason | None:
    """What stops every row that no rule stopped at a leg's end."""
    if following is None:
        return "max_exit" if plan.policy.max_exit < plan.policy.exits else "full_depth"
    over = plan.policy.max_macs is not None and macs + following.macs > plan.policy.max_macs
    return "budget" if over else None
