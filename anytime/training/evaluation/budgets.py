"""What a stop rule buys within a budget: thresholds chosen on one split, told by another.

A budget is a share of the base network's multiply-adds or milliseconds. The base network is the last exit without the
heads on the way: the bodies that it needs, and its own head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anytime.model_store import Flow, Manifest, indices
from anytime.policy import Trace
from anytime.policy.columns import known_ms
from anytime.training.calibration.held import Ground, Held
from anytime.training.evaluation.titles import Rule

SHARES = (0.25, 0.5, 0.75, 1.0)
_STEPS = 201
"""Quantiles of what was said that are tried as thresholds."""
_SLACK = 1e-9
"""Relative; a sum of floats that is the budget itself must fit it."""


@dataclass(frozen=True)
class Base:
    """The original network: multiply-adds and mean milliseconds of a row.

    ``accuracy``: None where the last exit also reads earlier heads, and so is no longer that network.
    """

    macs: int
    ms: float
    accuracy: float | None


@dataclass(frozen=True)
class Point:
    """A rule at one ``value`` on the test rows: means over them."""

    value: float
    accuracy: float
    macs: float
    ms: float


@dataclass(frozen=True)
class Choice:
    """What was chosen within a budget, a share of the base network's; None: without one.

    ``point`` is None where no value of the rule was that cheap.
    """

    share: float | None
    point: Point | None


@dataclass(frozen=True)
class Family:
    """One stop rule: what it buys per budget, without one (``best``), and on the test rows at every value tried."""

    rule: Rule
    by_macs: tuple[Choice, ...]
    by_ms: tuple[Choice, ...]
    best: Choice
    curve: tuple[Point, ...]


def measure_base(manifest: Manifest, flow: Flow, trace: Trace) -> Base:
    """The base network on a trace, with the manifest's ``base_macs`` where it has them."""
    last = flow.heads[-1]
    needed = [flow.nodes[index] for index in indices(last.needs)]
    own = [node for node in needed if node.part == "body" or node is last]
    right = trace.outputs["logits"][:, -1].argmax(axis=1) == trace.label
    return Base(
        macs=manifest.base_macs or sum(node.macs for node in own),
        ms=float(known_ms(trace)[:, [node.index for node in own]].sum(axis=1).mean()),
        accuracy=float(right.mean()) if len(own) == len(needed) else None,
    )


def measure_family(manifest: Manifest, flow: Flow, rule: Rule, values: Sequence[float], calibration: Trace,
                   test: Trace) -> Family:  # fmt: skip
    """A rule's values, each chosen for its accuracy on ``calibration`` and told by ``test``.

    Milliseconds are held against each trace's own base network.
    """
    grounds = (Ground(manifest, flow, trace) for trace in (calibration, test))
    tried, told = ([ground.hold({rule: value}) for value in values] for ground in grounds)
    curve = tuple(Point(float(value), _known(held), held.cost * flow.macs_full, held.ms)
                  for value, held in zip(values, told, strict=True))  # fmt: skip
    base = measure_base(manifest, flow, calibration)
    of_macs = np.array([held.cost * flow.macs_full / base.macs for held in tried])
    of_ms = np.array([held.ms / base.ms for held in tried])

    def choose(share: float | None, of_base: np.ndarray) -> Choice:
        at = best_within(tried, of_base, np.inf if share is None else share)
        return Choice(share, None if at is None else curve[at])

    return Family(
        rule,
        by_macs=tuple(choose(share, of_macs) for share in SHARES),
        by_ms=tuple(choose(share, of_ms) for share in SHARES),
        best=choose(None, of_macs),
        curve=curve,
    )


def best_within(tried: Sequence[Held], of_base: np.ndarray, share: float) -> int | None:
    """The index of the most accurate one whose ``of_base``, (V,), is within ``share``; of equals the cheapest; or None."""
    able = np.flatnonzero(of_base <= share * (1 + _SLACK))
    if not len(able):
        return None
    accuracy = np.array([_known(held) for held in tried])
    order = np.lexsort((able, of_base[able], -accuracy[able]))
    return int(able[order[0]])


def _known(held: Held) -> float:
    assert held.accuracy is not None, "an evaluation is of labelled rows"
    return held.accuracy


def confidences(top: np.ndarray) -> list[float]:
    """(rows, exits) top probabilities -> thresholds to try: from always stopping at exit 1 to never before the last.

    Between these lie evenly spaced quantiles of what the exits before the last said, with six digits.
    """
    early = top[:, :-1]
    between = np.quantile(early, np.linspace(0, 1, _STEPS)).round(6) if early.size else np.empty(0)
    return [float(one) for one in np.unique([0.0, *between, 1.0])]


def patiences(exits: int) -> list[int]:
    """From one agreement to as many exits, which is never before the last."""
    return list(range(1, exits + 1))
