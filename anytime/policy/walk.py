"""One row's way through the exits, without tensors or clocks: what to run next, what was said, when it stopped.

The live service and replay both drive a ``Walk``, so that they agree by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from anytime.model_store.flow import Node
from anytime.policy.answer import Answer, answer_level, choose_answer
from anytime.policy.decide import CONTINUE, Ahead, Decision, Spent, decide, limit
from anytime.policy.outcome import Outcome, Reader, Unread
from anytime.policy.plan import Leg, Plan


class Walk:
    """The progress of one row along its plan: how many of its graphs have started, and how long those took that ended."""

    __slots__ = ("_leg", "_said", "compute_ms", "decision", "plan", "started", "times")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._said: list[Outcome | Unread] = []
        """By the exits consulted so far. Whoever reads one puts the outcome in its place; two at once put the same."""
        self.decision: Decision | None = None
        """Set once the row stops."""
        self.started = 0
        """Graphs begun: each counts, whether or not it is waited for."""
        self.times: list[float] = []
        """Of every graph that finished, in the plan's order: the milliseconds of its run over its rows."""
        self.compute_ms = 0.0
        """Their sum."""
        self._leg = 0

    @property
    def node(self) -> Node:
        """The graph to run next."""
        return self.plan.way[len(self.times)]

    @property
    def rest(self) -> tuple[Node, ...]:
        """The graphs still to run to reach the next consulted exit."""
        return self.plan.way[len(self.times) : self.plan.ends[self._leg]]

    @property
    def done(self) -> tuple[tuple[Node, float], ...]:
        """Every graph that finished, and its milliseconds."""
        return tuple(zip(self.plan.way, self.times, strict=False))

    @property
    def macs(self) -> int:
        """Multiply-adds of every graph started."""
        return self.plan.macs_after[self.started]

    @property
    def depth(self) -> int:
        """The deepest exit whose head finished; 0 before the first."""
        return self.plan.depth_after[len(self.times)]

    @property
    def outcomes(self) -> Sequence[Outcome]:
        """Of the exits consulted so far. None of them raises ``HeadOutputInvalid``: their numbers were looked at."""
        said = self._said
        for place, one in enumerate(said):
            if isinstance(one, Unread):
                said[place] = one.read()
        return cast(Sequence[Outcome], said)

    @property
    def has_said(self) -> bool:
        """Whether an exit has answered already."""
        return bool(self._said)

    @property
    def at_boundary(self) -> bool:
        """Whether the leg's graphs have all run, so that its exit's outcome is due."""
        return len(self.times) == self.plan.ends[self._leg]

    @property
    def leg(self) -> Leg:
        """The leg under way; at a boundary the one just finished."""
        return self.plan.legs[self._leg]

    @property
    def next_leg(self) -> Leg | None:
        """The leg after the one under way."""
        following = self._leg + 1
        return self.plan.legs[following] if following < len(self.plan.legs) else None

    def begin(self) -> None:
        """The next graph starts for this row."""
        self.started += 1

    def finish(self, ms: float) -> None:
        """The graph that began has finished. ``ms``: of its run, over the rows that shared it."""
        self.times.append(ms)
        self.compute_ms += ms

    def passes(self, reader: Reader, logits: np.ndarray) -> bool:
        """Whether the consulted exit leaves the row going on, by its top probability alone: ``heard`` would decide the same.

        Then its outcome is put down, to be read if somebody asks. ``logits``: (labels,), all that the exit has said.
        """
        plan = self.plan
        glance = plan.legs[self._leg].glance
        if glance is None or not reader.is_short or self._leg + 1 == len(plan.legs) or reader.top(logits) > glance:
            return False
        self._said.append(Unread(reader, logits))
        self._leg += 1
        return True

    def heard(self, outcome: Outcome, ahead: Ahead | None) -> Decision:
        """The consulted exit has said ``outcome``: stop, or go on to the next leg. ``ahead``: None at the way's end."""
        self._said.append(outcome)
        plan = self.plan
        glance = plan.legs[self._leg].glance
        if glance is None or ahead is None or ahead.overloaded or outcome.verdicts[plan.glance_level].top > glance:
            decision = decide(plan.policy, self.outcomes, Spent(self.macs, self.compute_ms), ahead)
            if decision.reason is not None:
                self.decision = decision
                return decision
        self._leg += 1
        return CONTINUE

    def stop(self, reason: Decision) -> None:
        """Stopped from outside: a deadline's timer, a cancel, a shutdown."""
        self.decision = reason

    def answer(self) -> Answer:
        """The answer of a row that stopped with at least one outcome."""
        return choose_answer(self.plan.policy, self.outcomes, self.decision or limit("cancelled"))

    def answer_with(self, outcome: Outcome) -> Answer:
        """What one exit says, at the level that the policy reads: a prediction on the way."""
        return Answer(outcome, answer_level(self.plan.policy, outcome))

    @property
    def cost(self) -> float:
        """Multiply-adds started, as a share of full depth's."""
        return self.macs / self.plan.flow.macs_full
