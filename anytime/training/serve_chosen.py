"""A finished run made anew with fewer exits, and what that saves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from anytime.model_store import Bundle
from anytime.policy import Trace
from anytime.training.add_exits import Made, add_exits, renamed
from anytime.training.attach import Network, choose_cuts, find_cuts
from anytime.training.calibration import Held, cheapest_policy, hold
from anytime.training.examples import Examples, gather
from anytime.training.exits import Fresh
from anytime.training.finished import Finished
from anytime.training.loop import Device, Progress
from anytime.training.record import record

_TIMED_ROWS = 60
_ROUNDS = 3


@dataclass(frozen=True)
class Measured:
    """One bundle on the test rows. Milliseconds are of one row; every graph counts with its median time."""

    exits: int
    accuracy: float
    """At full depth."""
    full_ms: float
    """A row that hears every exit and goes on to the last."""
    overhead_ms: float
    """Of that, the heads before the last exit and the boundaries."""
    policy: Mapping[str, Any]
    """The cheapest that loses at most what may be lost, as found on the calibration rows."""
    policy_accuracy: float
    policy_ms: float

    @property
    def overhead(self) -> float:
        """Over what bodies and last head take."""
        return self.overhead_ms / (self.full_ms - self.overhead_ms)


@dataclass(frozen=True)
class Gain:
    """A run's bundle with all its exits, and the one made of it, timed in turns on the same rows and machine."""

    loss: float
    """Points of accuracy, in percent, that may be lost against full depth."""
    before: Measured
    after: Measured

    @property
    def saved(self) -> float:
        """Milliseconds under each one's policy, as a part of what they were."""
        return 1.0 - self.after.policy_ms / self.before.policy_ms


def serve_chosen(
    run: Finished, exits: tuple[int, ...], network: Network, examples: Examples, folder: Path, *, name: str,
    device: Device, progress: Progress | None = None, say: Callable[[str], None] = lambda text: None,
    fresh: Fresh | None = None,
) -> Made:  # fmt: skip
    """Train the heads of these exits of ``run`` anew, in ``folder``; what lies between them becomes one body.

    The last of ``exits`` is the network itself. Features come from the run, or are ``fresh``, those of ``read_fresh`` at the
    others. Raises as ``add_exits``, where ``network`` and ``examples`` are those of ``find_again``.
    """
    at = [run.cuts[exit - 1] for exit in exits[:-1]]
    cuts = choose_cuts(network, find_cuts(network), at=at)
    said = json.loads(run.bundle.manifest.provenance.recipe or "{}")
    recipe = json.dumps({**said, "planned": {"exits": list(exits), "of": len(run.cuts) + 1}}, sort_keys=True)
    return add_exits(
        name, network, cuts, examples, run.options, folder, device=device, progress=progress,
        say=say, recipe=recipe, features_home=run.features, fresh=fresh,
    )  # fmt: skip


def measure_gain(
    run: Finished, made: Made, network: Network, examples: Examples, *, loss: float, boundary_ms: float
) -> Gain:  # fmt: skip
    """Both bundles on their test traces, each under its cheapest policy that loses at most ``loss`` points.

    Times are measured now, for a run's may be of another day and machine: 180 rows, the bundles in turns.
    """
    bundles = (run.bundle, made.bundle)
    rows = renamed(network, gather(examples.test, _TIMED_ROWS)[0])
    rounds = [[record(bundle, rows).ms for bundle in bundles] for _ in range(_ROUNDS)]
    found = []
    for bundle, traces, ms in zip(bundles, (run.traces, made.traces), zip(*rounds, strict=True), strict=True):
        test = traces["test"]
        timed = replace(test, ms=np.tile(np.median(np.concatenate(ms), axis=0), (test.rows, 1)))
        policy = cheapest_policy(bundle.manifest, bundle.flow, traces["calibration"], loss)
        found.append(measure(bundle, timed, policy, boundary_ms))
    return Gain(loss, *found)


def measure(bundle: Bundle, trace: Trace, policy: Mapping[str, Any], boundary_ms: float) -> Measured:
    """At full depth and under ``policy`` on a trace, with ``boundary_ms`` for every stage that a row runs."""
    manifest, flow = bundle.manifest, bundle.flow
    ms = np.median(trace.ms, axis=0)
    early = sum(float(ms[node.index]) for node in flow.heads[:-1])
    full, held = (hold(one, manifest, flow, trace) for one in ({}, policy))
    boundaries = boundary_ms * flow.exits
    return Measured(
        exits=flow.exits, accuracy=_known(full), full_ms=float(ms.sum()) + boundaries, overhead_ms=early + boundaries,
        policy=policy, policy_accuracy=_known(held), policy_ms=held.ms + boundary_ms * _stages(held),
    )  # fmt: skip


def _known(held: Held) -> float:
    assert held.accuracy is not None, "a run's traces are labelled"
    return held.accuracy


def _stages(held: Held) -> float:
    """How many stages a row runs on the mean."""
    return float(sum(exit * share for exit, share in enumerate(held.exit_shares, start=1)))
