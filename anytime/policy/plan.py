"""Which graphs a row runs, in which order: known at admission but for where it stops.

A graph runs only if something needs what it writes. A *leg* is the run from one consulted exit to the next; decisions
fall between legs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

from anytime.model_store import Flow
from anytime.model_store.flow import Node, Nodes, indices
from anytime.policy.decide import Ahead, read_level
from anytime.policy.errors import BudgetTooSmall
from anytime.policy.resolve import AUTO, Resolved


@dataclass(frozen=True, slots=True)
class Leg:
    """The graphs from one consulted exit to the next, in the bundle's order, and their multiply-adds."""

    exit: int
    nodes: tuple[Node, ...]
    macs: int
    ahead: Ahead
    """What going on to this leg costs, under a policy without a clock."""
    glance: float | None = None
    """Where nothing but a confidence can stop a row at this exit: one whose top probability is not above this goes on, and
    ``decide`` need not be asked. None: ask."""


@dataclass(frozen=True)
class Plan:
    """A row's way: its legs in order, under a policy. A last leg beyond the budget is there to be refused.

    ``watched``: somebody sees or may take each exit's outcome (stream, trace, deadline, ``max_ms`` or a rule). Without
    it the way is one mandatory piece of work.
    """

    policy: Resolved
    flow: Flow
    legs: tuple[Leg, ...]
    watched: bool

    @cached_property
    def glance_level(self) -> int:
        """The level that a glance reads."""
        return read_level(self.policy)

    @cached_property
    def way(self) -> tuple[Node, ...]:
        """The graphs of all legs, in the order in which they run."""
        return tuple(node for leg in self.legs for node in leg.nodes)

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Per leg: how many graphs of the way have run when it ends."""
        return tuple(accumulate(len(leg.nodes) for leg in self.legs))

    @cached_property
    def macs_after(self) -> tuple[int, ...]:
        """Multiply-adds of the first n graphs of the way, n from 0."""
        return tuple(accumulate((node.macs for node in self.way), initial=0))

    @cached_property
    def depth_after(self) -> tuple[int, ...]:
        """The deepest head among the first n graphs of the way, n from 0."""
        heads = (node.stage if node.part == "head" else 0 for node in self.way)
        return tuple(accumulate(heads, max, initial=0))

    @cached_property
    def nodes(self) -> Nodes:
        """Every graph that may run."""
        may_run: Nodes = 0
        for leg in self.legs:
            way = may_run | sum(1 << node.index for node in leg.nodes)
            if self.policy.max_macs is None or self.flow.macs(way) <= self.policy.max_macs:
                may_run = way
        return may_run


def make_plan(policy: Resolved, flow: Flow, *, stream: bool = False, trace: bool = False) -> Plan:
    """The plan of a row.

    Raises ``BudgetTooSmall`` where ``max_macs`` or ``max_cost`` is below the cheapest permitted exit.
    """
    shows_all = stream or trace
    permitted = [exit for exit in range(1, policy.max_exit + 1) if exit not in policy.passive]
    ruled = [exit for exit in permitted if policy.can_stop(exit)]
    watched = shows_all or timed(policy) or bool(ruled)
    if shows_all:
        consulted = set(range(1, policy.max_exit + 1))
    elif timed(policy):
        consulted = set(permitted)
    else:
        consulted = _for_rules(policy, permitted, ruled) | _for_answer(policy, permitted)
    if policy.max_macs is not None:
        consulted = _within_budget(flow, policy, permitted, consulted)
    legs = _legs(flow, sorted(consulted))
    return Plan(policy, flow, tuple(replace(leg, glance=_glance(policy, leg.exit)) for leg in legs), watched)


def _glance(policy: Resolved, exit: int) -> float | None:
    """The threshold of ``Leg.glance``; 1 where no rule can fire, for no probability is above it."""
    if timed(policy) or policy.max_macs is not None or policy.level == AUTO:
        return None
    if not policy.can_stop(exit):
        return 1.0
    threshold = policy.confidence[exit - 1] if policy.confidence is not None else None
    return threshold if policy.rules == ("confidence",) else None


def timed(policy: Resolved) -> bool:
    """Whether a clock may stop a row at any exit."""
    return not policy.exact and (policy.deadline_ms is not None or policy.max_ms is not None)


def _for_rules(policy: Resolved, permitted: list[int], ruled: list[int]) -> set[int]:
    """Where a rule can fire, and with ``patience`` every exit up to the last such: it counts from exit 1."""
    if ruled and policy.can_agree(ruled[-1]):
        return {exit for exit in permitted if exit <= ruled[-1]}
    return set(ruled)


def _for_answer(policy: Resolved, permitted: list[int]) -> set[int]:
    if policy.answer == "most_confident":
        return {exit for exit in permitted if exit >= policy.min_exit}
    return {permitted[-1]}


def _within_budget(flow: Flow, policy: Resolved, permitted: list[int], consulted: set[int]) -> set[int]:
    """The consulted exits that fit together, the deepest permitted one that still fits, and the way's natural end.

    An exit that does not fit is passed over, for a deeper one may be cheaper. Where the natural end is not affordable
    it stays as the leg that ``decide`` refuses, with reason ``budget``. Passive exits come last: they may not cost an
    answer.
    """
    assert policy.max_macs is not None
    fitting: set[int] = set()
    deepest = 0
    spent: Nodes = 0
    for exit in (*permitted, *sorted(consulted.difference(permitted))):
        here = flow.needs(exit)
        if flow.macs(spent | here) > policy.max_macs:
            continue
        deepest = exit if exit in permitted else deepest
        if exit in consulted:
            fitting.add(exit)
            spent |= here
    if not deepest:
        raise _too_small(flow, policy, permitted)
    return fitting | {deepest, max(consulted)}


def _too_small(flow: Flow, policy: Resolved, permitted: list[int]) -> BudgetTooSmall:
    cheapest = min(flow.macs(flow.needs(exit)) for exit in permitted)
    return BudgetTooSmall(
        policy.budget_field,
        f"the budget of {policy.max_macs} multiply-adds is below the cheapest permitted exit's {cheapest} "
        f"(full depth: {flow.macs_full}); raise {policy.budget_field}",
    )


def _legs(flow: Flow, exits: list[int]) -> tuple[Leg, ...]:
    legs = []
    done: Nodes = 0
    for exit in exits:
        new = flow.needs(exit) & ~done
        macs = flow.macs(new)
        legs.append(Leg(exit, tuple(flow.nodes[i] for i in indices(new)), macs, Ahead(macs)))
        done |= new
    return tuple(legs)
