"""The manifest's ``calibration`` by a trace that nothing was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from anytime.model_store import Flow, Manifest
from anytime.model_store.manifest import Calibration
from anytime.policy import Trace
from anytime.training.calibration.gain import gain_table
from anytime.training.calibration.held import Ground, level_labels, require_labels
from anytime.training.calibration.points import base_cost, candidate_thresholds, choose_points, losing_at_most, search
from anytime.training.calibration.temperature import fit_temperature

LOSSLESS = "accuracy-0"
"""The operating point that becomes the default policy."""


def calibrate(manifest: Manifest, flow: Flow, trace: Trace) -> dict[str, Any]:
    """Temperatures, what each exit is worth, the gain table, operating points and default policy, as JSON-able data.

    ``accuracy-1`` and its like (0, 0.5, 1, 2, 5) are the cheapest policies here that lose at most so many points of full
    depth's accuracy; ``cost-50`` and its like (25, 50, 75, 100) the most accurate ones whose mean multiply-adds are at most
    that percentage of ``base_macs`` (heads count as what is spent, not in what it is a share of; without ``base_macs``:
    of full depth's). Their ``cost`` is over ``macs_full``, as every cost. One that nothing reaches is left out. No promise
    yet: on other rows they lose a little more or less. The default policy is ``accuracy-0``.
    Raises ``TracesUnfit`` unless every row has a label.
    """
    require_labels(trace)
    measured = measure_exits(manifest, flow, trace)
    known = with_calibration(manifest, measured)
    ground = Ground(known, flow, trace)
    tried = search(ground, candidate_thresholds(known, trace))
    points = choose_points(tried, ground.hold({}), base_cost(manifest, flow))
    return {
        **measured,
        "gain": gain_table(known, trace),
        "operating_points": [held.as_point(name) for name, held in points.items()],
        "default_policy": dict(points[LOSSLESS].policy),
    }


def cheapest_policy(manifest: Manifest, flow: Flow, trace: Trace, loss: float) -> Mapping[str, Any]:
    """The policy that ``calibrate`` would store as ``accuracy-<loss>``, for any ``loss`` in points, 0 to 100.

    ``manifest`` holds the temperatures already. Raises ``TracesUnfit`` unless every row has a label.
    """
    require_labels(trace)
    ground = Ground(manifest, flow, trace)
    held = losing_at_most(search(ground, candidate_thresholds(manifest, trace)), ground.hold({}), loss)
    assert held is not None, "among those tried is never to stop, which loses nothing"
    return held.policy


def measure_exits(manifest: Manifest, flow: Flow, trace: Trace) -> dict[str, Any]:
    """``temperature``, ``accuracy``, ``cost`` and ``ms`` per exit of the manifest's calibration, as JSON-able data.

    Cost and milliseconds are of a row that is stopped at that exit and has consulted every one before it; without a time
    of every graph there are no milliseconds.
    """
    logits, exits = trace.outputs["logits"], range(1, flow.exits + 1)
    levels = list(zip(manifest.logits_names, level_labels(manifest, trace.label), strict=True))
    passed = [[node.index for node in flow.nodes if node.stage <= exit] for exit in exits]
    return {
        "temperature": [[fit_temperature(trace.outputs[name][:, exit - 1], label) for name, label in levels]
                        for exit in exits],
        "accuracy": [float((logits[:, exit - 1].argmax(axis=1) == trace.label).mean()) for exit in exits],
        "cost": [sum(flow.nodes[index].macs for index in here) / flow.macs_full for here in passed],
        "ms": None if np.isnan(trace.ms).any() else [float(np.median(trace.ms[:, here].sum(axis=1))) for here in passed],
    }  # fmt: skip


def with_calibration(manifest: Manifest, calibration: Mapping[str, Any]) -> Manifest:
    """The manifest as it will be once this calibration is written."""
    return manifest.model_copy(update={"calibration": Calibration.model_validate_json(json.dumps(calibration))})
