"""Which thresholds hold a promise: the cheapest for an accuracy, the most accurate for a cost."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from anytime.model_store import Flow, Manifest
from anytime.policy import Trace
from anytime.policy.columns import top_probability
from anytime.training.calibration.held import Ground, Held

LOSSES = ("0", "0.5", "1", "2", "5")
"""Of ``accuracy-1`` and its like: points of accuracy, in percent, that may be lost against full depth."""
SHARES = (25, 50, 75, 100)
"""Of ``cost-50`` and its like: percent of the base network's multiply-adds."""

_COARSE = 25
"""Thresholds per set while sets are compared."""
_SEARCHED_LOSS = 0.01
_AT_ONCE = 8
"""Of fewer than twice so many exits one is taken out at a time, of more several: 64 took 6 times as long as 16."""
_ROUNDING = 1e-9
"""So that 0.95 - 0.01 is 0.94, and the mean of a thousand ones is 1."""


def choose_points(tried: Iterable[Held], full: Held, base_cost: float) -> dict[str, Held]:
    """The operating points, by name, of policies that were tried on one trace; one that none of them reaches is left out.

    ``full``: what full depth does there. ``base_cost``: the base network's multiply-adds over ``macs_full``.
    """
    tried = list(tried)
    points = {f"accuracy-{loss}": losing_at_most(tried, full, float(loss)) for loss in LOSSES}
    points |= {f"cost-{share}": most_accurate(tried, share / 100 * base_cost) for share in SHARES}
    return {name: held for name, held in points.items() if held is not None}


def base_cost(manifest: Manifest, flow: Flow) -> float:
    """The base network's multiply-adds over ``macs_full``; where nobody counted them, full depth's stand for them."""
    return (manifest.base_macs or flow.macs_full) / flow.macs_full


def search(ground: Ground, thresholds: np.ndarray) -> list[Held]:
    """What is worth choosing from: one confidence for a set of exits, every threshold for each set of a row of them.

    The row begins with all exits and loses one at a time, that without which losing at most a point of accuracy
    is cheapest: a head that nobody reads is not run. Few choices on purpose, for what is chosen on one split is paid on
    another, and temperatures have made the exits' confidences alike. Simulated, 9 exits, 10 labels, at most a point lost
    on the rows searched; mean cost and points lost on 20,000 others, over 5 draws:

    ================================  =====================  =====================
    thresholds                        searched on 500 rows   on 2,000
    ================================  =====================  =====================
    one for all exits                 0.835, 1.2 points      0.845, 0.9 points
    one for a set of exits            0.794, 1.6 points      0.807, 1.0 points
    one for each exit, by coordinate  0.782, 1.7 points      0.799, 1.0 points
    ================================  =====================  =====================

    With 16 exits and 10,000 rows: 0.759 for 0.799, in 7 s.
    """
    coarse = np.unique(np.quantile(thresholds, np.linspace(0.0, 1.0, _COARSE), method="nearest"))
    full = ground.hold({})
    assert full.accuracy is not None, "accuracies are asked of labelled traces"
    floor = full.accuracy - _SEARCHED_LOSS
    exits = frozenset(range(1, ground.exits))
    found = _hold_all(ground, exits, thresholds)
    while len(exits) > 1:
        costs = {}
        for exit in sorted(exits):
            able = cheapest(_hold_all(ground, exits - {exit}, coarse), floor)
            costs[exit] = math.inf if able is None else able.cost
        exits = exits - set(sorted(costs, key=costs.__getitem__)[: max(1, len(exits) // _AT_ONCE)])
        found += _hold_all(ground, exits, thresholds)
    return found


def candidate_thresholds(manifest: Manifest, trace: Trace, steps: int = 200) -> np.ndarray:
    """Confidences to choose from, rising: 0, always stopping at exit 1; 1, never before full depth.

    Between these lie evenly spaced quantiles of what the exits before the last said, with four digits.
    """
    early = range(1, trace.outputs["logits"].shape[1])
    said = [top_probability(trace.outputs["logits"][:, exit - 1], manifest.temperature(exit)) for exit in early]
    between = np.quantile(np.concatenate(said), np.linspace(0, 1, steps)) if said else np.empty(0)
    return np.unique([0.0, *between.round(4), 1.0])


def _hold_all(ground: Ground, exits: frozenset[int], thresholds: np.ndarray) -> list[Held]:
    return [ground.hold({"confidence": _at(exits, float(one), ground.exits)}) for one in thresholds]


def _at(exits: frozenset[int], threshold: float, count: int) -> float | list[float | None]:
    """One threshold for the exits of the set, null at the others; but for the last, which has nowhere to go on to."""
    if len(exits) == count - 1:
        return threshold
    return [threshold if exit in exits else None for exit in range(1, count + 1)]


def losing_at_most(tried: Iterable[Held], full: Held, loss: float) -> Held | None:
    """The cheapest that loses at most so many points of what ``full`` depth gets right."""
    assert full.accuracy is not None, "accuracies are asked of labelled traces"
    return cheapest(tried, full.accuracy - loss / 100)


def cheapest(held: Iterable[Held], accuracy: float) -> Held | None:
    """The least mean cost with at least this accuracy; of equals the most accurate."""
    able = [one for one in held if one.accuracy is not None and one.accuracy >= accuracy - _ROUNDING]
    return min(able, key=lambda one: (one.cost, -(one.accuracy or 0.0))) if able else None


def most_accurate(held: Iterable[Held], cost: float) -> Held | None:
    """The best accuracy with at most this mean cost; of equals the cheapest."""
    able = [one for one in held if one.cost <= cost + _ROUNDING]
    return max(able, key=lambda one: (one.accuracy or 0.0, -one.cost)) if able else None
