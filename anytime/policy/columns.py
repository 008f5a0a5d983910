"""Replay of a whole trace at once: as ``replay`` row by row, where a confidence or patience alone may stop a row.

What an exit says is read once for all rows and kept for the next policy, so that thresholds can be searched.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from anytime.model_store import Manifest
from anytime.policy.decide import REASONS, Reason, read_level
from anytime.policy.outcome import Verdict, read_outcome
from anytime.policy.plan import Leg, Plan
from anytime.policy.resolve import AUTO
from anytime.policy.trace import Trace

_CLOSE = 1e-9
"""Two probabilities nearer than this are told apart by ``Verdict``, as a live request would."""
_NONE = -1.0
"""Below any probability: what is not to be chosen."""


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


class Columns:
    """A trace, read level by level as it is asked for. ``manifest`` brings the temperatures."""

    def __init__(self, manifest: Manifest, trace: Trace) -> None:
        self._manifest, self._trace = manifest, trace
        self._ms = known_ms(trace).T
        self._said: dict[int, _Said] = {}
        self._invalid: dict[int, np.ndarray] = {}
        self._way: tuple[Hashable, _Way] | None = None

    def can_replay(self, plan: Plan) -> bool:
        """Whether one confidence or patience, a depth or a budget of multiply-adds stops a row: no clock, no other rule."""
        policy = plan.policy
        clock = policy.deadline_ms is not None or policy.max_ms is not None
        rules = ((), ("confidence",), ("patience",))
        return policy.rules in rules and policy.commitment is None and policy.level != AUTO and not clock

    def replay(self, plan: Plan) -> Ends:
        """Every row under a plan that ``can_replay``. Raises ``HeadOutputInvalid`` as ``policy.replay`` does."""
        reason, legs = _limit(plan)
        way = self._prepared(plan, legs)
        passed = legs - (way.fires(plan) * np.arange(legs, 0, -1, dtype=np.int16)[:, np.newaxis]).max(axis=0)
        last = np.minimum(passed, legs - 1)
        self._check(way.exits, last)
        has_fired = passed < legs
        answer = np.where(has_fired, passed, way.unstopped)
        rule = REASONS.index(plan.policy.rules[0]) if plan.policy.rules else -1
        exit = way.exits[answer]
        return Ends(
            exit=exit, index=way.index(exit),
            reason=np.where(has_fired, rule, REASONS.index(reason)),
            cost=way.cost[last], compute_ms=_each(way.ms, last),
        )  # fmt: skip

    def _prepared(self, plan: Plan, legs: int) -> _Way:
        """That of the last plan, where this one passes and may answer at the same exits."""
        policy, level = plan.policy, read_level(plan.policy)
        key = (tuple(leg.exit for leg in plan.legs[:legs]), level, policy.answer, policy.min_exit)
        if self._way is None or self._way[0] != key:
            if level not in self._said:
                self._said[level] = _Said(self._manifest, self._trace, level)
            self._way = key, _Way(plan, legs, self._said[level], self._ms)
        return self._way[1]

    def _check(self, exits: np.ndarray, last: np.ndarray) -> None:
        """Raises ``HeadOutputInvalid`` where a row that reaches an exit has no sound outcome there."""
        for leg, exit in enumerate(exits.tolist()):
            if exit not in self._invalid:
                self._invalid[exit] = self._unsound(exit)
            for row in self._invalid[exit][last[self._invalid[exit]] >= leg][:1].tolist():
                read_outcome(self._manifest, exit, self._trace.head(self._manifest, row, exit))
                raise AssertionError("an outcome that is not sound cannot be read")

    def _unsound(self, exit: int) -> np.ndarray:
        """The rows without a sound outcome at an exit."""
        writes = self._manifest.stages[exit - 1].head.writes.values()
        values = [self._trace.outputs[name][:, exit - 1] for name in self._trace.outputs if name in writes]
        with np.errstate(invalid="ignore"):
            unsound = [~np.isfinite(one.max(axis=1)) if one.ndim == 2 else np.isnan(one) for one in values]
        return np.flatnonzero(np.logical_or.reduce(unsound))


class _Said:
    """What every exit says of every row at one level: (exits, rows)."""

    def __init__(self, manifest: Manifest, trace: Trace, level: int) -> None:
        self._logits = trace.outputs[manifest.logits_names[level]]
        self._temperature = [manifest.temperature(exit, level) for exit in range(1, manifest.exits + 1)]
        self.index = self._logits.argmax(axis=2).T
        self.top = top_probabilities(manifest, trace, level).T
        self._is_exact = np.isnan(self.top)

    def settle(self, exits: np.ndarray, doubtful: np.ndarray) -> bool:
        """Reads what is doubtful, (legs, rows), once more as a live request has it, to the last bit; whether any was."""
        found = np.argwhere(doubtful & ~self._is_exact[exits - 1])
        for leg, row in found.tolist():
            exit = exits[leg]
            self.top[exit - 1, row] = Verdict(self._logits[row, exit - 1], self._temperature[exit - 1]).top
            self._is_exact[exit - 1, row] = True
        return len(found) > 0


class _Way:
    """The legs that rows go under a plan, up to the first limit: (legs,), or (legs, rows)."""

    def __init__(self, plan: Plan, legs: int, said: _Said, ms: np.ndarray) -> None:
        way = plan.legs[:legs]
        self._said = said
        self.exits = np.array([leg.exit for leg in way])
        self.cost = np.cumsum([leg.macs for leg in way]) / plan.flow.macs_full
        self.ms = _running(way, ms)
        self._top = said.top[self.exits - 1]
        self.unstopped = self._unstopped(plan)

    def index(self, exit: np.ndarray) -> np.ndarray:
        """(rows,) exits -> what each says of its row."""
        return _each(self._said.index, exit - 1)

    def fires(self, plan: Plan) -> np.ndarray:
        """(legs, rows) whether the rule holds there."""
        policy = plan.policy
        able = [policy.can_stop(exit) for exit in self.exits.tolist()]
        if policy.patience is not None:
            agreed: np.ndarray = (self._agreed >= policy.patience) & np.array(able)[:, np.newaxis]
            return agreed
        asked = policy.confidence or ()
        wanted = [asked[exit - 1] if is_able else None for exit, is_able in zip(self.exits.tolist(), able, strict=True)]
        threshold = np.array([np.inf if one is None else one for one in wanted])[:, np.newaxis]
        above: np.ndarray = self._top > threshold + _CLOSE
        doubtful = (self._top >= threshold - _CLOSE) != above
        if not doubtful.any():
            return above
        if self._said.settle(self.exits, doubtful):
            self._top = self._said.top[self.exits - 1]
        exactly: np.ndarray = self._top > threshold
        return exactly

    @cached_property
    def _agreed(self) -> np.ndarray:
        """How many comparisons in a row, up to each leg, found two consecutive exits to agree."""
        index = self._said.index[self.exits - 1]
        counts = np.zeros(index.shape, np.int64)
        for leg in range(1, len(index)):
            counts[leg] = (counts[leg - 1] + 1) * (index[leg] == index[leg - 1])
        return counts

    def _unstopped(self, plan: Plan) -> np.ndarray:
        """(rows,) the leg that answers where no rule fired: the last, or of those permitted the surest; then the deepest."""
        last = len(self.exits) - 1
        if plan.policy.answer != "most_confident":
            return np.full(self._top.shape[1], last)
        may = self.exits >= plan.policy.min_exit
        may = (may if may.any() else np.ones_like(may))[:, np.newaxis]
        top = np.where(may, self._top, _NONE)
        doubtful = top >= top.max(axis=0) - _CLOSE
        if self._said.settle(self.exits, doubtful & (doubtful.sum(axis=0) > 1)):
            self._top = self._said.top[self.exits - 1]
            top = np.where(may, self._top, _NONE)
        surest: np.ndarray = last - top[::-1].argmax(axis=0)
        return surest


def top_probabilities(manifest: Manifest, trace: Trace, level: int = 0) -> np.ndarray:
    """(rows, exits) at the manifest's temperatures; NaN where a head wrote no probabilities."""
    logits = trace.outputs[manifest.logits_names[level]]
    each = [
        top_probability(logits[:, exit - 1], manifest.temperature(exit, level)) for exit in range(1, manifest.exits + 1)
    ]
    return np.stack(each, axis=1)


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


def known_ms(trace: Trace) -> np.ndarray:
    """(rows, graphs): a graph that was not timed for a row takes its median, and 0 where it was never timed."""
    return np.where(np.isnan(trace.ms), typical_ms(trace.ms), trace.ms)


def _running(legs: Sequence[Leg], ms: np.ndarray) -> np.ndarray:
    """(graphs, rows) -> (legs, rows): the milliseconds up to each leg's end, added in the order in which graphs run."""
    found = []
    sum_ms = np.zeros(ms.shape[1])
    for leg in legs:
        for node in leg.nodes:
            sum_ms = sum_ms + ms[node.index]
        found.append(sum_ms)
    return np.stack(found)


def _each(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(n, rows) and (rows,) -> (rows,): of each row the value in its place."""
    found: np.ndarray = values[place, np.arange(len(place))]
    return found


def _limit(plan: Plan) -> tuple[Reason, int]:
    """What stops every row that no rule stopped, and after how many legs."""
    macs = 0
    for number, leg in enumerate(plan.legs):
        if plan.policy.max_macs is not None and number and macs + leg.macs > plan.policy.max_macs:
            return "budget", number
        macs += leg.macs
    return ("max_exit" if plan.policy.max_exit < plan.policy.exits else "full_depth"), len(plan.legs)
