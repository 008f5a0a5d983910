"""What one stop rule does on a trace at many thresholds: ``policy.replay`` over whole columns instead of row by row.

Which heads run, and what they cost, is ``make_plan``'s word. Knows no budget: that is for whoever chooses a threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from anytime.model_store import Flow, Manifest
from anytime.policy import HeadOutputInvalid, Plan, Trace, Verdict, make_plan, parse_policy, resolve
from anytime.policy.columns import top_probability, typical_ms

Rule = Literal["confidence", "patience"]

_NEAR = 1e-12
"""Of probabilities closer than this a rounding may decide which is the larger."""
_NEVER = -1.0
"""The score of an exit where the rule cannot fire."""


@dataclass(frozen=True)
class Sweep:
    """The policies ``{rule: value}`` for V values, each on the R rows of one trace."""

    rule: Rule
    values: tuple[float, ...]
    exits: np.ndarray
    """(V, R) the exit, from 1, that answers."""
    accuracy: np.ndarray
    """(V,) the share of rows with the right label, the finest where there are levels."""
    cost: np.ndarray
    """(V,) mean multiply-adds, over ``macs_full``."""
    ms: np.ndarray
    """(V,) mean milliseconds of the graphs that ran."""


def sweep(
    manifest: Manifest, flow: Flow, trace: Trace, rule: Rule, values: Sequence[float], *, min_exit: int = 1,
    max_exit: int | None = None,
) -> Sweep:  # fmt: skip
    """Each value on a trace of one row or more, at the manifest's temperatures: what ``replay`` gives, row for row.

    Raises ``PolicyError`` for a value that a policy may not have, ``HeadOutputInvalid`` where an exit that the rule consults
    was not recorded for some row.
    """
    said = _Said(manifest, trace, np.array(values) if rule == "confidence" else np.empty(0))
    ways: dict[tuple[object, ...], _Way] = {}
    exits = np.empty((len(values), trace.rows), dtype=np.int64)
    accuracy, cost, ms = np.empty((3, len(values)))
    for number, value in enumerate(values):
        policy = resolve(parse_policy({rule: value, "min_exit": min_exit, "max_exit": max_exit}), manifest, flow)
        plan = make_plan(policy, flow)
        shape = tuple((leg.exit, policy.can_stop(leg.exit)) for leg in plan.legs)
        if shape not in ways:
            ways[shape] = _Way(plan, rule, said)
        way = ways[shape]
        answer, last = way.ends(value)
        exits[number] = way.exits[answer]
        accuracy[number] = (said.index[exits[number] - 1, said.rows] == trace.label).mean()
        cost[number], ms[number] = way.cost[last].mean(), way.ms[last, said.rows].mean()
    return Sweep(rule, tuple(values), exits, accuracy, cost, ms)


class _Said:
    """What every exit said of every row; arrays are (exits, rows), NaN in ``top`` for what is no probability."""

    def __init__(self, manifest: Manifest, trace: Trace, marks: np.ndarray) -> None:
        self._manifest = manifest
        self._logits = trace.outputs["logits"]
        self.rows = np.arange(trace.rows)
        self.index = self._logits.argmax(axis=2).T
        self.top = top_probabilities(manifest, trace).T
        self.ms = known_ms(trace).T
        self.settle(_close_to(self.top, marks))

    def settle(self, doubtful: np.ndarray) -> None:
        """Reads what is ``doubtful``, (exits, rows), once more as the service does, to the last bit."""
        for exit, row in zip(*np.nonzero(doubtful & ~np.isnan(self.top)), strict=True):
            self.top[exit, row] = Verdict(self._logits[row, exit], self._manifest.temperature(int(exit) + 1)).top


class _Way:
    """The legs of one plan, over all rows: (legs, rows)."""

    def __init__(self, plan: Plan, rule: Rule, said: _Said) -> None:
        self._rule = rule
        self.exits = np.array([leg.exit for leg in plan.legs])
        self.cost = np.cumsum([leg.macs for leg in plan.legs]) / plan.flow.macs_full
        nodes = [node.index for leg in plan.legs for node in leg.nodes]
        ends = np.cumsum([len(leg.nodes) for leg in plan.legs]) - 1
        self.ms = said.ms[nodes].cumsum(axis=0)[ends]
        top = said.top[self.exits - 1]
        if np.isnan(top).any():
            exit, row = (int(one[0]) for one in np.nonzero(np.isnan(top)))
            raise HeadOutputInvalid(f"row {row} has no probabilities at exit {self.exits[exit]}; record it anew")
        score = top if rule == "confidence" else _agreements(said.index[self.exits - 1])
        can_stop = np.array([plan.policy.can_stop(leg.exit) for leg in plan.legs])
        self._highest = np.maximum.accumulate(np.where(can_stop[:, np.newaxis], score, _NEVER), axis=0)
        self._unstopped = self._choose(plan, said)

    def ends(self, value: float) -> tuple[np.ndarray, np.ndarray]:
        """(rows,) twice: the leg whose exit answers, and the last leg that ran."""
        threshold = value if self._rule == "confidence" else value - 1
        passed = (self._highest <= threshold).sum(axis=0)
        legs = len(self.exits)
        return np.where(passed < legs, passed, self._unstopped), np.minimum(passed, legs - 1)

    def _choose(self, plan: Plan, said: _Said) -> np.ndarray:
        """(rows,) the leg that answers where the rule never fired. Passive exits are on no way of these."""
        last = len(self.exits) - 1
        if plan.policy.answer != "most_confident":
            return np.full(len(said.rows), last)
        may = self.exits >= plan.policy.min_exit
        may = may if may.any() else np.ones_like(may)
        top = np.where(may[:, np.newaxis], said.top[self.exits - 1], _NEVER)
        doubtful = np.zeros_like(said.top, dtype=bool)
        doubtful[self.exits - 1] = top >= top.max(axis=0) - _NEAR
        said.settle(doubtful & (doubtful.sum(axis=0) > 1))
        top = np.where(may[:, np.newaxis], said.top[self.exits - 1], _NEVER)
        return last - top[::-1].argmax(axis=0)


def top_probabilities(manifest: Manifest, trace: Trace) -> np.ndarray:
    """(rows, exits) at the manifest's temperatures and the finest level; NaN where a head wrote no probabilities."""
    each = [top_probability(trace.outputs["logits"][:, exit - 1], manifest.temperature(exit))
            for exit in range(1, manifest.exits + 1)]  # fmt: skip
    return np.stack(each, axis=1)


def known_ms(trace: Trace) -> np.ndarray:
    """(rows, graphs): a graph that was not timed for a row takes its median, and 0 where it was never timed."""
    return np.where(np.isnan(trace.ms), typical_ms(trace.ms), trace.ms)


def _close_to(top: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Whether a probability is so near one of the marks that a rounding may decide."""
    if not marks.size:
        return np.zeros_like(top, dtype=bool)
    rising = np.sort(marks)
    above = np.searchsorted(rising, top).clip(0, len(rising) - 1)
    below = (above - 1).clip(0)
    return np.minimum(abs(top - rising[above]), abs(top - rising[below])) <= _NEAR


def _agreements(index: np.ndarray) -> np.ndarray:
    """(legs, rows) labels -> how many comparisons in a row, up to each leg, found two consecutive exits to agree."""
    counts = np.zeros(index.shape)
    for leg in range(1, len(index)):
        counts[leg] = (counts[leg - 1] + 1) * (index[leg] == index[leg - 1])
    return counts
