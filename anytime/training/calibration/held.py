"""What a policy does on a trace, as a few figures: the ground on which operating points are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anytime.model_store import Flow, Manifest
from anytime.policy import REASONS, SILENT, Policy, Trace, make_plan, merge, parse_policy, replay, resolve
from anytime.policy.columns import Columns, Ends, typical_ms
from anytime.policy.decide import read_level
from anytime.training.errors import TracesUnfit


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


class Ground:
    """A bundle and a trace of it, on which one policy after another is held. ``manifest`` brings temperatures and points.

    ``below``: what every policy lies over, such as the bundle's default.
    """

    def __init__(self, manifest: Manifest, flow: Flow, trace: Trace, below: Policy = SILENT) -> None:
        self._manifest, self._flow, self._trace, self._below = manifest, flow, trace, below
        self.exits = flow.exits
        self._columns = Columns(manifest, trace)
        self._labels = np.array(level_labels(manifest, trace.label))

    def hold(self, policy: Mapping[str, Any]) -> Held:
        """What a policy does, by the service's own walk; where a confidence or patience alone stops rows, over all at once.

        Raises ``PolicyError`` for one that this bundle cannot follow, ``TraceError`` for one that the trace cannot tell.
        """
        resolved = resolve(merge([self._below, parse_policy(policy)]), self._manifest, self._flow)
        plan = make_plan(resolved, self._flow)
        if self._columns.can_replay(plan):
            level = np.full(self._trace.rows, read_level(resolved))
            return self._held(policy, self._columns.replay(plan), level)
        rows = list(replay(plan, self._manifest, self._trace))
        names = ("exit", "index", "cost", "compute_ms")
        ends = Ends(reason=np.array([REASONS.index(row.reason) for row in rows]),
                    **{name: np.array([getattr(row, name) for row in rows]) for name in names})  # fmt: skip
        return self._held(policy, ends, np.array([row.level for row in rows]))

    def _held(self, policy: Mapping[str, Any], ends: Ends, level: np.ndarray) -> Held:
        rows, known = self._trace.rows, self._trace.label >= 0
        right = ends.index == self._labels[level, np.arange(rows)]
        counts = np.bincount(ends.reason, minlength=len(REASONS))
        shares = {reason: float(count / rows) for reason, count in zip(REASONS, counts, strict=True) if count}
        return Held(
            policy,
            accuracy=float(right[known].mean()) if known.any() else None,
            cost=float(ends.cost.mean()),
            ms=float(ends.compute_ms.mean()),
            exit_shares=tuple((np.bincount(ends.exit, minlength=self._flow.exits + 1)[1:] / rows).tolist()),
            reasons=dict(sorted(shares.items(), key=lambda share: -share[1])),
        )


def hold(policy: Mapping[str, Any], manifest: Manifest, flow: Flow, trace: Trace) -> Held:
    """``Ground.hold``, once. The trace has at least one row."""
    return Ground(manifest, flow, trace).hold(policy)


def level_labels(manifest: Manifest, label: np.ndarray) -> list[np.ndarray]:
    """(rows,) right labels, -1 where unknown -> the right label at each level, finest first, -1 where unknown."""
    found = [label]
    for level in (manifest.levels or ())[:-1]:
        found.append(np.where(found[-1] < 0, -1, np.array(level.parent)[found[-1]]))
    return found


def require_labels(trace: Trace) -> None:
    """Raises ``TracesUnfit`` unless there are rows and every one has a label."""
    unknown = int((trace.label < 0).sum())
    if unknown or not trace.rows:
        lacking = f"{unknown} of {trace.rows} have none" if trace.rows else "there are no rows"
        raise TracesUnfit(
            f"accuracy needs rows with labels, and {lacking}; record them anew, for a row without a label tells nothing"
        )


def require_times(trace: Trace) -> None:
    """Raises ``TracesUnfit`` unless every graph was timed in some row."""
    if np.isnan(trace.ms).all(axis=0).any() or not typical_ms(trace.ms).sum() > 0.0:
        raise TracesUnfit(
            "the traces do not time every graph: some was never timed, and milliseconds are asked; record them anew"
        )
