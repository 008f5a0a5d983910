"""When to stop a row: a pure function of its policy, what its exits said, what it spent and what going on would cost.

A rule outranks a limit at the same exit. Of rules that hold, the first of ``confidence``, ``entropy``, ``patience``,
``commitment``, ``learned`` names the reason, under ``all`` too. Of limits, ``full_depth``, ``max_exit``, ``budget``,
``deadline``, ``overload``, in this order. Every comparison with a threshold is strict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from anytime.policy.outcome import Outcome, Verdict
from anytime.policy.resolve import AUTO, Resolved, Rule, Thresholds

Limit = Literal["full_depth", "max_exit", "budget", "deadline", "overload"]
Reason = Rule | Limit | Literal["cancelled"]
REASONS: tuple[Reason, ...] = (
    "confidence", "entropy", "patience", "commitment", "learned", "stable",
    "full_depth", "max_exit", "budget", "deadline", "overload", "cancelled",
)  # fmt: skip


class Spent(NamedTuple):
    """What a row has cost so far."""

    macs: int
    compute_ms: float


class Ahead(NamedTuple):
    """What going on to the next consulted exit would cost, and what time there is."""

    macs: int
    typical_ms: float = 0.0
    worst_ms: float = 0.0
    left_ms: float = math.inf
    """Until the row's deadline; infinite without one."""
    overloaded: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Go on (``reason`` None), or stop. ``fired``: by a rule, which answers with the outcome it read."""

    reason: Reason | None
    fired: bool = False

    @property
    def stops(self) -> bool:
        return self.reason is not None


CONTINUE = Decision(None)
_FIRED: dict[Reason, Decision] = {reason: Decision(reason, fired=True) for reason in REASONS}
_LIMITED: dict[Reason, Decision] = {reason: Decision(reason) for reason in REASONS}


def limit(reason: Reason) -> Decision:
    """The decision to stop without a rule."""
    return _LIMITED[reason]


def decide(policy: Resolved, outcomes: Sequence[Outcome], spent: Spent, ahead: Ahead | None) -> Decision:
    """Whether a row that just heard ``outcomes[-1]`` stops.

    ``outcomes``: of the exits consulted so far, in order, at least one. ``ahead``: None where none is left to consult.
    """
    rule = fired(policy, outcomes)
    if rule is not None:
        return _FIRED[rule]
    if ahead is None:
        return _LIMITED["max_exit" if policy.max_exit < policy.exits else "full_depth"]
    if policy.max_macs is not None and spent.macs + ahead.macs > policy.max_macs:
        return _LIMITED["budget"]
    if policy.max_ms is not None and spent.compute_ms + ahead.typical_ms > policy.max_ms:
        return _LIMITED["budget"]
    if ahead.worst_ms > ahead.left_ms:
        return _LIMITED["deadline"]
    return _LIMITED["overload"] if ahead.overloaded else CONTINUE


def fired(policy: Resolved, outcomes: Sequence[Outcome]) -> Rule | None:
    """The rule that stops a row at its latest exit, or None."""
    exit = outcomes[-1].exit
    if exit < policy.min_exit or exit in policy.passive:
        return None
    held: Rule | None = None
    for name in policy.rules:
        holds = _HOLDS[name](policy, outcomes)
        if holds and policy.combine == "any":
            return name
        if not holds and policy.combine == "all":
            return None
        held = held or (name if holds else None)
    return held


def read_level(policy: Resolved) -> int:
    """The level that ``entropy`` and ``patience`` read: under ``auto`` the finest."""
    return 0 if policy.level == AUTO else policy.level


def passes(policy: Resolved, verdict: Verdict, exit: int) -> bool:
    """Whether one level's top probability is above the confidence asked at an exit."""
    return policy.confidence is not None and _above(verdict.top, policy.confidence, exit)


def _above(value: float | None, thresholds: Thresholds, exit: int) -> bool:
    threshold = thresholds[exit - 1]
    return threshold is not None and value is not None and value > threshold


def _confidence(policy: Resolved, outcomes: Sequence[Outcome]) -> bool:
    latest = outcomes[-1]
    read = latest.verdicts if policy.level == AUTO else (latest.verdicts[policy.level],)
    return any(passes(policy, verdict, latest.exit) for verdict in read) and _is_committed(policy, latest)


def _entropy(policy: Resolved, outcomes: Sequence[Outcome]) -> bool:
    assert policy.entropy is not None
    latest = outcomes[-1]
    certainty = latest.verdicts[read_level(policy)].certainty
    return _above(certainty, policy.entropy, latest.exit) and _is_committed(policy, latest)


def _patience(policy: Resolved, outcomes: Sequence[Outcome]) -> bool:
    assert policy.patience is not None
    level = read_level(policy)
    heard = [outcome for outcome in outcomes if outcome.exit not in policy.passive] if policy.passive else outcomes
    run = heard[-policy.patience - 1 :]
    return len(run) == policy.patience + 1 and len({outcome.verdicts[level].index for outcome in run}) == 1


def _commitment(policy: Resolved, outcomes: Sequence[Outcome]) -> bool:
    return _is_committed(policy, outcomes[-1])


def _is_committed(policy: Resolved, outcome: Outcome) -> bool:
    return policy.commitment is None or _above(outcome.commitment, policy.commitment, outcome.exit)


def _learned(policy: Resolved, outcomes: Sequence[Outcome]) -> bool:
    assert policy.learned is not None
    return _above(outcomes[-1].stop, policy.learned, outcomes[-1].exit)


_HOLDS: dict[Rule, Callable[[Resolved, Sequence[Outcome]], bool]] = {
    "confidence": _confidence,
    "entropy": _entropy,
    "patience": _patience,
    "commitment": _commitment,
    "learned": _learned,
}
