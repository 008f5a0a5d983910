"""Which thresholds hold a promise: the cheapest for an accuracy, the most accurate for a cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from anytime.model_store import Flow, Manifest
from anytime.policy import Trace
from anytime.training.calibration.held import Held
from anytime.training.calibration.temperature import confidence

LOSSES = ("0", "0.5", "1", "2", "5")
"""Of ``accuracy-1`` and its like: points of accuracy, in percent, that may be lost against full depth."""
SHARES = (25, 50, 75, 100)
"""Of ``cost-50`` and its like: percent of the base network's multiply-adds."""


def choose_points(tried: Iterable[Held], full: Held, base_cost: float) -> dict[str, Held]:
    """The operating points, by name, of policies that were tried on one trace; one that none of them reaches is left out.

    ``full``: what full depth does there. ``base_cost``: the base network's multiply-adds over ``macs_full``.
    """
    tried = list(tried)
    assert full.accuracy is not None, "accuracies are asked of labelled traces"
    points = {f"accuracy-{loss}": cheapest(tried, full.accuracy - float(loss) / 100) for loss in LOSSES}
    points |= {f"cost-{share}": most_accurate(tried, share / 100 * base_cost) for share in SHARES}
    return {name: held for name, held in points.items() if held is not None}


def base_cost(manifest: Manifest, flow: Flow) -> float:
    """The base network's multiply-adds over ``macs_full``; where nobody counted them, full depth's stand for them."""
    return (manifest.base_macs or flow.macs_full) / flow.macs_full


def confidence_policies(manifest: Manifest, trace: Trace, steps: int = 200) -> list[Mapping[str, Any]]:
    """One confidence threshold for all exits, to choose from: from always stopping at exit 1 to never before full depth.

    Between these lie evenly spaced quantiles of what the exits before the last said, with four digits.
    """
    early = range(1, trace.outputs["logits"].shape[1])
    said = [confidence(trace.outputs["logits"][:, exit - 1], manifest.temperature(exit)) for exit in early]
    between = np.quantile(np.concatenate(said), np.linspace(0, 1, steps)) if said else np.empty(0)
    return [{"confidence": float(one)} for one in np.unique([0.0, *between.round(4), 1.0])]


def cheapest(held: Iterable[Held], accuracy: float) -> Held | None:
    """The least mean cost with at least this accuracy; of equals the most accurate."""
    able = [one for one in held if one.accuracy is not None and one.accuracy >= accuracy - _ROUNDING]
    return min(able, key=lambda one: (one.cost, -(one.accuracy or 0.0))) if able else None


def most_accurate(held: Iterable[Held], cost: float) -> Held | None:
    """The best accuracy with at most this mean cost; of equals the cheapest."""
    able = [one for one in held if one.cost <= cost + _ROUNDING]
    return max(able, key=lambda one: (one.accuracy or 0.0, -one.cost)) if able else None


_ROUNDING = 1e-9
"""So that 0.95 - 0.01 is 0.94, and the mean of a thousand ones is 1."""
