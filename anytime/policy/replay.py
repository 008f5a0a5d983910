"""What a policy would have done on recorded traces: the live service's own walk, with recorded outputs and times.

Exact on every policy without a clock. ``max_ms`` takes the median recorded time of a graph as its typical time, and
``deadline_ms`` a row's own recorded times, on a server without a queue.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from anytime.model_store import Manifest
from anytime.policy.columns import typical_ms
from anytime.policy.decide import Ahead, Reason, limit
from anytime.policy.outcome import read_outcome
from anytime.policy.plan import Plan
from anytime.policy.trace import Trace, TraceError
from anytime.policy.walk import Walk


@dataclass(frozen=True, slots=True)
class Replayed:
    """How one row would have ended; ``exit`` 0 and ``index`` -1 where its deadline passed before it had an answer."""

    exit: int
    depth: int
    index: int
    level: int
    confidence: float
    reason: Reason
    cost: float
    compute_ms: float


def replay(plan: Plan, manifest: Manifest, trace: Trace) -> Iterator[Replayed]:
    """Each row of the trace under a plan, in order.

    Raises ``TraceError`` where the policy has a clock and a graph of the plan was never timed, ``HeadOutputInvalid``
    where an exit that a row reaches was not recorded.
    """
    typical = _typical(plan, trace)
    for row in range(trace.rows):
        own = np.where(np.isnan(trace.ms[row]), typical, trace.ms[row]).tolist()
        yield _replay_row(plan, manifest, trace, row, own, typical.tolist())


def _typical(plan: Plan, trace: Trace) -> np.ndarray:
    """(graphs,) median milliseconds; a graph that was never timed counts 0 where nothing reads a clock."""
    typical, timed = typical_ms(trace.ms), ~np.isnan(trace.ms)
    if plan.policy.deadline_ms is not None or plan.policy.max_ms is not None:
        unknown = [node for leg in plan.legs for node in leg.nodes if not timed[:, node.index].any()]
        if unknown and trace.rows:
            where = f"stage {unknown[0].stage}'s {unknown[0].part}"
            raise TraceError(f"the trace has no time of {where}; a deadline or max_ms cannot be replayed on it")
    return typical


def _replay_row(
    plan: Plan, manifest: Manifest, trace: Trace, row: int, own: list[float], typical: list[float]
) -> Replayed:
    walk = Walk(plan)
    left = math.inf if plan.policy.deadline_ms is None else plan.policy.deadline_ms
    while walk.decision is None:
        exit = walk.leg.exit
        if not _reaches(walk, own, left):
            walk.stop(limit("deadline"))
            return _unanswered(walk)
        walk.heard(read_outcome(manifest, exit, trace.head(manifest, row, exit)), _ahead(walk, own, typical, left))
    return _ended(walk)


def _reaches(walk: Walk, own: list[float], left: float) -> bool:
    """Runs the leg under way. A row without an answer goes on until its timer fires, and no longer."""
    waits = not walk.has_said or walk.plan.policy.exact
    for node in walk.leg.nodes:
        walk.begin()
        if waits and walk.compute_ms + own[node.index] > left:
            return False
        walk.finish(own[node.index])
    return True


def _ahead(walk: Walk, own: list[float], typical: list[float], left: float) -> Ahead | None:
    leg = walk.next_leg
    if leg is None:
        return None
    ms = sum(typical[node.index] for node in leg.nodes)
    if walk.plan.policy.exact:
        return Ahead(leg.macs, ms)
    return Ahead(leg.macs, ms, sum(own[node.index] for node in leg.nodes), left - walk.compute_ms)


def _unanswered(walk: Walk) -> Replayed:
    return Replayed(0, walk.depth, -1, 0, math.nan, "deadline", walk.cost, walk.compute_ms)


def _ended(walk: Walk) -> Replayed:
    assert walk.decision is not None
    assert walk.decision.reason is not None
    answer = walk.answer()
    verdict = answer.outcome.verdicts[answer.level]
    return Replayed(
        exit=answer.outcome.exit,
        depth=walk.depth,
        index=verdict.index,
        level=answer.level,
        confidence=verdict.top,
        reason=walk.decision.reason,
        cost=walk.cost,
        compute_ms=walk.compute_ms,
    )
