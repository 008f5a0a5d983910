"""Which outcome a row is answered with, and at which level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from anytime.policy.decide import Decision, passes, read_level
from anytime.policy.outcome import Outcome
from anytime.policy.resolve import AUTO, Resolved


class Answer(NamedTuple):
    """The outcome that answers, and the level (from 0) that its label is of."""

    outcome: Outcome
    level: int


def choose_answer(policy: Resolved, outcomes: Sequence[Outcome], decision: Decision) -> Answer:
    """The answer of a row that stopped; ``outcomes``: of the exits consulted, in order, at least one.

    A rule that fired answers with the outcome it read, and the level it read where under ``auto`` none passes. Else the
    bundle's ``answer`` field chooses among all.
    """
    if not decision.fired:
        outcome = _by_field(policy, outcomes)
        return Answer(outcome, answer_level(policy, outcome))
    passing = _passing(policy, outcomes[-1])
    return Answer(outcomes[-1], read_level(policy) if passing is None else passing)


def answer_level(policy: Resolved, outcome: Outcome) -> int:
    """The level of an outcome's label: under ``auto`` the finest that passes, the coarsest if none does."""
    passing = _passing(policy, outcome)
    return len(outcome.verdicts) - 1 if passing is None else passing


def _passing(policy: Resolved, outcome: Outcome) -> int | None:
    """The level asked for; under ``auto`` the finest that passes, None if none does."""
    if policy.level != AUTO:
        return policy.level
    levels = enumerate(outcome.verdicts)
    return next((level for level, verdict in levels if passes(policy, verdict, outcome.exit)), None)


def _by_field(policy: Resolved, outcomes: Sequence[Outcome]) -> Outcome:
    if policy.answer == "latest":
        return outcomes[-1]
    if policy.answer == "best_validated":
        return next((o for o in reversed(outcomes) if o.exit not in policy.passive), outcomes[0])
    allowed = [o for o in outcomes if o.exit >= policy.min_exit] or list(outcomes)
    level = read_level(policy)
    if policy.entropy is not None and policy.confidence is None:
        return max(reversed(allowed), key=lambda o: o.verdicts[level].certainty)
    return max(reversed(allowed), key=lambda o: o.verdicts[level].top)
