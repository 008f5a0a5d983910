"""What early exits save in milliseconds at a point of accuracy, beside other ways to be faster, and whether it is worth it.

Told from traces alone, each graph at its median time, so that one slow moment decides nothing. What cutting the network
costs beside its graphs' own time, some 10 to 20 us a boundary, is in no trace.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anytime.model_store import Flow, Manifest
from anytime.policy import Trace
from anytime.policy.columns import typical_ms
from anytime.training.calibration import Held, measure_exits, with_calibration
from anytime.training.calibration.held import Ground, require_labels, require_times
from anytime.training.calibration.points import candidate_thresholds, search
from anytime.training.evaluation.budgets import measure_base

LOSS = 0.01
"""The accuracy that may be lost: a point; on rows that nothing was chosen on, as much more as chance explains."""
LEAST_SAVED = 0.1
"""Of the base network's milliseconds: below it, exits are not worth their upkeep."""
MOST_HEADS = 0.1
"""Of the base network's milliseconds, in all early heads: above it they are worth making smaller, or fewer where they are as
small a part of its multiply-adds."""
MANY_EXITS = 8
INT8, SMALLER = "INT8", "a smaller network"


@dataclass(frozen=True)
class Rival:
    """Another way to be faster, ``INT8`` or a smaller network: milliseconds of a row, and the accuracy where it is known."""

    name: str
    ms: float
    accuracy: float | None = None


@dataclass(frozen=True)
class ExitCost:
    """What one exit takes: its body, 0 where it has none, and its head, whose share is of the base network's time."""

    body_ms: float
    head_ms: float
    head_share: float


@dataclass(frozen=True)
class Savings:
    """The base network is the last exit without the heads on the way, as in an evaluation."""

    base_ms: float
    base_accuracy: float
    all_heads_ms: float
    """Full depth with every head, as a stream has it."""
    exits: tuple[ExitCost, ...]
    best: Held
    """The fastest policy that loses at most ``LOSS`` on the rows it was chosen on, told on the others."""
    heads_macs_share: float
    """All early heads' multiply-adds over the base network's."""
    rows: int
    """On which it is told."""

    @property
    def saved_ms(self) -> float:
        """Negative where the exits cost more than they save."""
        return self.base_ms - self.best.ms

    @property
    def saved_share(self) -> float:
        return self.saved_ms / self.base_ms

    @property
    def lost(self) -> float:
        """Accuracy, on the rows told."""
        assert self.best.accuracy is not None, "told on labelled rows"
        return self.base_accuracy - self.best.accuracy

    @property
    def is_accurate(self) -> bool:
        """Whether no more than ``LOSS`` is lost, within two standard errors of a share of the rows."""
        return self.lost <= LOSS + 2 * math.sqrt(max(self.lost, 0.0) / self.rows)

    @property
    def heads_share(self) -> float:
        """All early heads' time over the base network's."""
        return sum(one.head_share for one in self.exits[:-1])


@dataclass(frozen=True)
class Verdict:
    """Whether it is worth it, why, and what to try next."""

    is_worth_it: bool
    sentence: str
    next: tuple[str, ...]

    def as_json(self) -> Mapping[str, Any]:
        return {"worth_it": self.is_worth_it, "sentence": self.sentence, "next": list(self.next)}


def measure_savings(manifest: Manifest, flow: Flow, chosen: Trace, told: Trace) -> Savings:
    """The best policy by ``chosen``, told on ``told``; without temperatures in the bundle, at those that ``chosen`` fits.

    Raises ``TracesUnfit`` unless every row has a label and every graph was timed.
    """
    for trace in (chosen, told):
        require_labels(trace)
        require_times(trace)
    chosen, told = _typical(chosen), _typical(told)
    is_calibrated = manifest.calibration is not None and manifest.calibration.temperature is not None
    known = manifest if is_calibrated else with_calibration(manifest, measure_exits(manifest, flow, chosen))
    floor = _last_accuracy(chosen) - LOSS
    able = [one for one in search(Ground(known, flow, chosen), candidate_thresholds(known, chosen))
            if one.accuracy is not None and one.accuracy >= floor]  # fmt: skip
    fastest: Mapping[str, Any] = min(able, key=lambda one: one.ms).policy if able else {}
    ms = told.ms[0]
    base = measure_base(manifest, flow, told)
    return Savings(
        base_ms=base.ms,
        base_accuracy=_last_accuracy(told),
        all_heads_ms=float(ms.sum()),
        exits=tuple(_exit_cost(flow, ms, exit, base.ms) for exit in range(1, flow.exits + 1)),
        best=Ground(known, flow, told).hold(fastest),
        heads_macs_share=sum(node.macs for node in flow.heads[:-1]) / max(base.macs, 1),
        rows=told.rows,
    )


def judge(savings: Savings, rivals: Sequence[Rival] = ()) -> Verdict:
    """Not worth it below ``LEAST_SAVED``, where more than ``LOSS`` is lost and chance does not explain it, or where a rival
    is as fast and, for all that is known, as accurate.
    """
    early = f"early exits save {savings.saved_share:.0%} of the base network's {savings.base_ms:.3g} ms"
    early += f" and {'lose' if savings.lost >= 0 else 'gain'} {abs(100 * savings.lost):.1f} points of accuracy"
    better = next((rival for rival in rivals if _beats(rival, savings)), None)
    is_worth_it = savings.saved_share >= LEAST_SAVED and savings.is_accurate and better is None
    if savings.saved_share < LEAST_SAVED:
        sentence = f"not worth it: {early}; wanted at least {LEAST_SAVED:.0%}"
    elif not savings.is_accurate:
        sentence = (
            f"not worth it: {early}; wanted {100 * LOSS:g} at most, and chance on {savings.rows:,} rows explains less"
        )
    elif better is not None:
        sentence = (
            f"not worth it: {early}, down to {savings.best.ms:.3g} ms, and {better.name} takes {better.ms:.3g} ms "
            + ("at an accuracy that is not known" if better.accuracy is None else f"at {better.accuracy:.1%}")
        )
    else:
        sentence = f"worth it: {early}"
    return Verdict(is_worth_it, sentence, tuple(_advice(savings, better)))


def halves(trace: Trace) -> tuple[Trace, Trace]:
    """Every other row, and the rest: to choose on the one and tell on the other."""
    return _rows(trace, slice(0, None, 2)), _rows(trace, slice(1, None, 2))


def _advice(savings: Savings, better: Rival | None) -> list[str]:
    advice = []
    if not savings.is_accurate:
        advice.append("more calibration rows, or longer training: on the rows it was chosen on the policy lost a point")
    are_dear = savings.heads_share > MOST_HEADS
    heads = f"the early heads take {savings.heads_share:.0%} of the base network's time"
    if are_dear and savings.heads_macs_share > MOST_HEADS:
        advice.append(f"linear heads: {heads}")
    idle = _idle_exits(savings)
    if idle:
        said = ", ".join(map(str, idle))
        why = f"exits {said} are asked by no row" if idle[1:] else f"exit {said} is asked by no row"
        advice.append(f"fewer exits, with anytime plan: {why}")
    elif are_dear and savings.heads_macs_share <= MOST_HEADS and len(savings.exits) > 2:
        share = f"{savings.heads_macs_share:.1%} of its multiply-adds"
        advice.append(f"fewer exits, with anytime plan: {heads} for {share}")
    elif len(savings.exits) > MANY_EXITS:
        advice.append(f"fewer exits, with anytime plan: there are {len(savings.exits)}")
    if savings.best.exit_shares[-1] > 0.5 and len(idle) < len(savings.exits) - 1:
        advice.append(
            f"better early exits: {savings.best.exit_shares[-1]:.0%} of the rows go to the last; train the heads "
            f"longer, or place them deeper"
        )
    if better is not None:
        advice.append(
            "both at once: exits on the quantised network"
            if better.name == INT8
            else "the smaller network alone, or before this one, with anytime cascade"
        )
    return advice


def _idle_exits(savings: Savings) -> list[int]:
    """The early exits that the best policy does not consult."""
    asked = savings.best.policy.get("confidence", 1.0)
    early = range(1, len(savings.exits))
    thresholds = asked if isinstance(asked, list) else [None if asked >= 1.0 else asked] * len(savings.exits)
    return [exit for exit in early if thresholds[exit - 1] is None]


def _beats(rival: Rival, savings: Savings) -> bool:
    assert savings.best.accuracy is not None, "told on labelled rows"
    return rival.ms <= savings.best.ms and (rival.accuracy is None or rival.accuracy >= savings.best.accuracy)


def _exit_cost(flow: Flow, ms: np.ndarray, exit: int, base_ms: float) -> ExitCost:
    body = sum(float(ms[node.index]) for node in flow.nodes if node.stage == exit and node.part == "body")
    head = float(ms[flow.heads[exit - 1].index])
    return ExitCost(body, head, head / base_ms)


def _typical(trace: Trace) -> Trace:
    """The trace with each graph's median as its time in every row."""
    return Trace(trace.outputs, np.tile(typical_ms(trace.ms), (trace.rows, 1)), trace.label)


def _last_accuracy(trace: Trace) -> float:
    return float((trace.outputs["logits"][:, -1].argmax(axis=1) == trace.label).mean())


def _rows(trace: Trace, rows: slice) -> Trace:
    return Trace({name: values[rows] for name, values in trace.outputs.items()}, trace.ms[rows], trace.label[rows])
