"""What a policy does on a trace, as a few figures: the ground on which operating points are chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anytime.model_store import Flow, Manifest
from anytime.policy import Replayed, Trace, make_plan, merge, parse_policy, replay, resolve


@dataclass(frozen=True)
class Held:
    """What a policy did on a trace: all are means over its rows, ``accuracy`` over those with a label.

    ``exit_shares``: per exit, of the rows that it answered; ``reasons``: by what stopped them. A row whose deadline passed
    before any exit counts as wrong and in no exit's share. ``cost`` is over ``macs_full``, as everywhere.
    """

    policy: Mapping[str, Any]
    accuracy: float | None
    cost: float
    ms: float
    exit_shares: tuple[float, ...]
    reasons: Mapping[str, float] = field(default_factory=dict)

    def as_point(self, name: str) -> dict[str, Any]:
        """The operating point of the manifest."""
        return {"name": name, "policy": dict(self.policy), "accuracy": self.accuracy, "cost": self.cost,
                "ms": self.ms, "exit_shares": list(self.exit_shares)}  # fmt: skip


def hold(policy: Mapping[str, Any], manifest: Manifest, flow: Flow, trace: Trace) -> Held:
    """What a policy does on a trace, by the service's own walk. ``manifest`` brings temperatures and operating points.

    Raises ``PolicyError`` for a policy that this bundle cannot follow, ``TraceError`` for one that the trace cannot tell.
    """
    resolved = resolve(merge([parse_policy(policy)]), manifest, flow)
    ends = list(replay(make_plan(resolved, flow), manifest, trace))
    exits = np.array([end.exit for end in ends])
    reasons = Counter(end.reason for end in ends)
    return Held(
        policy,
        accuracy=_accuracy(ends, manifest, trace.label),
        cost=float(np.mean([end.cost for end in ends])),
        ms=float(np.mean([end.compute_ms for end in ends])),
        exit_shares=tuple(float(np.mean(exits == exit)) for exit in range(1, flow.exits + 1)),
        reasons={reason: count / len(ends) for reason, count in reasons.most_common()},
    )


def level_labels(manifest: Manifest, label: np.ndarray) -> list[np.ndarray]:
    """(rows,) right labels, -1 where unknown -> the right label at each level, finest first, -1 where unknown."""
    found = [label]
    for level in (manifest.levels or ())[:-1]:
        found.append(np.where(found[-1] < 0, -1, np.array(level.parent)[found[-1]]))
    return found


def _accuracy(ends: list[Replayed], manifest: Manifest, label: np.ndarray) -> float | None:
    """Over the rows with a label, each at the level that its answer is of; ``None`` without such rows."""
    known = label >= 0
    if not known.any():
        return None
    wanted = np.array(level_labels(manifest, label))[[end.level for end in ends], np.arange(len(ends))]
    return float(np.mean(np.array([end.index for end in ends])[known] == wanted[known]))
