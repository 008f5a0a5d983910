"""What held-out traces say about a bundle: temperatures, what each exit is worth, and thresholds that hold a promise."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from anytime.model_store import Flow, Manifest
from anytime.model_store.manifest import Calibration
from anytime.policy import Trace, make_plan, parse_policy, replay, resolve

_COLDEST, _HOTTEST = 0.05, 20.0
"""The bounds of a fitted temperature."""
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Held:
    """What a policy did on a trace with labels: all are means over its rows, ``exit_shares`` per exit that answered."""

    policy: Mapping[str, Any]
    accuracy: float
    cost: float
    ms: float
    exit_shares: tuple[float, ...]

    def as_point(self, name: str) -> dict[str, Any]:
        """The operating point of the manifest."""
        return {"name": name, "policy": dict(self.policy), "accuracy": self.accuracy, "cost": self.cost,
                "ms": self.ms, "exit_shares": list(self.exit_shares)}  # fmt: skip


def fit_temperature(logits: np.ndarray, label: np.ndarray) -> float:
    """The T > 0 with the least negative log-likelihood of softmax(logits / T): Guo et al., 2017, section 4.2.

    ``logits``: (rows, labels); ``label``: (rows,). Searched by golden section over log T, within 0.05 and 20: the loss has
    one minimum.
    """
    scaled = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        z = scaled / np.exp(log_temperature)
        z -= z.max(axis=1, keepdims=True)
        return float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), label]).mean())

    return float(np.exp(_minimum(loss, np.log(_COLDEST), np.log(_HOTTEST))))


def calibrate(manifest: Manifest, flow: Flow, trace: Trace) -> dict[str, Any]:
    """The manifest's ``calibration`` by a trace that nothing was trained on, as JSON-able data.

    Operating points are single confidence thresholds: ``accuracy-1`` loses at most one point of full depth's accuracy,
    ``cost-50`` spends at most half of full depth, ``cost-10`` a tenth; one that no threshold reaches is left out. The
    default policy is the cheapest that loses nothing here.
    """
    measured = measure_exits(manifest, flow, trace)
    known = with_calibration(manifest, measured)
    tried = [hold(policy, known, flow, trace) for policy in confidence_policies(known, trace)]
    full = measured["accuracy"][-1]
    points = {"accuracy-1": cheapest(tried, full - 0.01)}
    points |= {f"cost-{share}": best for share in (50, 10) if (best := most_accurate(tried, share / 100)) is not None}
    return {
        **measured,
        "operating_points": [held.as_point(name) for name, held in points.items() if held is not None],
        "default_policy": None if (lossless := cheapest(tried, full)) is None else dict(lossless.policy),
    }


def measure_exits(manifest: Manifest, flow: Flow, trace: Trace) -> dict[str, Any]:
    """``temperature``, ``accuracy``, ``cost`` and ``ms`` per exit of the manifest's calibration, as JSON-able data.

    Cost and milliseconds are of a row that is stopped at that exit and has consulted every one before it.
    """
    logits, exits = trace.outputs["logits"], range(1, flow.exits + 1)
    levels = list(zip(manifest.logits_names, _level_labels(manifest, trace.label), strict=True))
    passed = [[node.index for node in flow.nodes if node.stage <= exit] for exit in exits]
    return {
        "temperature": [[fit_temperature(trace.outputs[name][:, exit - 1], label) for name, label in levels]
                        for exit in exits],
        "accuracy": [float((logits[:, exit - 1].argmax(axis=1) == trace.label).mean()) for exit in exits],
        "cost": [sum(flow.nodes[index].macs for index in here) / flow.macs_full for here in passed],
        "ms": [float(np.median(trace.ms[:, here].sum(axis=1))) for here in passed],
    }  # fmt: skip


def with_calibration(manifest: Manifest, calibration: Mapping[str, Any]) -> Manifest:
    """The manifest as it will be once this calibration is written."""
    return manifest.model_copy(update={"calibration": Calibration.model_validate_json(json.dumps(calibration))})


def hold(policy: Mapping[str, Any], manifest: Manifest, flow: Flow, trace: Trace) -> Held:
    """What a policy does on a trace, by the service's own walk."""
    plan = make_plan(resolve(parse_policy(policy), manifest, flow), flow)
    ends = list(replay(plan, manifest, trace))
    exits, indices = np.array([end.exit for end in ends]), np.array([end.index for end in ends])
    return Held(
        policy,
        accuracy=float(np.mean(indices == trace.label)),
        cost=float(np.mean([end.cost for end in ends])),
        ms=float(np.mean([end.compute_ms for end in ends])),
        exit_shares=tuple(float(np.mean(exits == exit)) for exit in range(1, flow.exits + 1)),
    )


def confidence_policies(manifest: Manifest, trace: Trace, steps: int = 50) -> list[Mapping[str, Any]]:
    """One confidence threshold for all exits, to choose from: from always stopping at exit 1 to never before full depth.

    Between these lie evenly spaced quantiles of what the exits before the last said, with four digits.
    """
    early = range(1, trace.outputs["logits"].shape[1])
    said = [confidence(trace.outputs["logits"][:, exit - 1], manifest.temperature(exit)) for exit in early]
    between = np.quantile(np.concatenate(said), np.linspace(0, 1, steps)) if said else np.empty(0)
    return [{"confidence": float(one)} for one in np.unique([0.0, *between.round(4), 1.0])]


def cheapest(held: Iterable[Held], accuracy: float) -> Held | None:
    """The least mean cost with at least this accuracy; of equals the most accurate."""
    able = [one for one in held if one.accuracy >= accuracy]
    return min(able, key=lambda one: (one.cost, -one.accuracy)) if able else None


def most_accurate(held: Iterable[Held], cost: float) -> Held | None:
    """The best accuracy with at most this mean cost; of equals the cheapest."""
    able = [one for one in held if one.cost <= cost]
    return max(able, key=lambda one: (one.accuracy, -one.cost)) if able else None


def confidence(logits: np.ndarray, temperature: float) -> np.ndarray:
    """(rows, labels) -> (rows,): the top probability."""
    z = logits.astype(np.float64) / temperature
    return 1.0 / np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)


def _level_labels(manifest: Manifest, label: np.ndarray) -> list[np.ndarray]:
    """The right label at each level, finest first."""
    found = [label]
    for level in (manifest.levels or ())[:-1]:
        found.append(np.array(level.parent)[found[-1]])
    return found


def _minimum(loss: Callable[[float], float], low: float, high: float, steps: int = 40) -> float:
    """Golden section: each step keeps 0.618 of the interval."""
    a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_a, at_b = loss(a), loss(b)
    for _ in range(steps):
        if at_a < at_b:
            high, b, at_b = b, a, at_a
            a = high - _GOLDEN * (high - low)
            at_a = loss(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + _GOLDEN * (high - low)
            at_b = loss(b)
    return (low + high) / 2
