"""Bundles without files: manifests of any shape, resolved policies, and outcomes with exactly the numbers a test needs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from anytime.model_store import Flow, Manifest, build_flow
from anytime.model_store.checks import check
from anytime.policy import Outcome, Plan, Policy, Resolved, Trace, Verdict, make_plan, parse_policy, resolve

VECTORS = Path(__file__).parent.parent / "vectors"

_FIXED: dict[str, Any] = {
    "format": 1,
    "name": "double",
    "version": 1,
    "method": "none",
    "created": datetime(2026, 1, 1, tzinfo=UTC),
    "task": "classification",
    "inputs": ({"name": "input", "dtype": "float32", "shape": ("batch", 4)},),
    "files": {"graph.onnx": {"sha256": "0" * 64, "bytes": 1}},
}
"""What all these manifests share."""


def load_vector(name: str) -> dict[str, Any]:
    """A published vector, as JSON."""
    return json.loads((VECTORS / f"{name}.json").read_text())


def make_manifest(
    exits: int = 3,
    *,
    body_macs: Sequence[int | None] | int = 100,
    head_macs: Sequence[int] | int = 10,
    restarts: Sequence[int] = (),
    reads_heads: Mapping[int, Sequence[int]] | None = None,
    labels: int = 3,
    levels: Mapping[str, int] | None = None,
    commitment: Sequence[int] | bool = False,
    stop: Sequence[int] | bool = False,
    ood: Sequence[int] | bool = False,
    answer: str = "latest",
    accuracy: Sequence[float] | None = None,
    temperature: Sequence[Sequence[float]] | None = None,
    points: Mapping[str, Mapping[str, Any]] | None = None,
    default_policy: Mapping[str, Any] | None = None,
) -> Manifest:
    """A checked manifest of ``exits`` stages: body k reads the features of body k - 1, head k those of body k.

    A body of None is absent: its head reads what the body before wrote. ``restarts``: stages whose body reads the input.
    ``reads_heads[k]``: earlier heads whose state head k reads too. ``levels``: name to labels, finest (``labels``) first.
    ``commitment``, ``stop``, ``ood``: True, or the exits whose head writes it.
    """
    has = {"commitment": commitment, "stop": stop, "ood": ood}
    stages = _stages(
        list(body_macs) if isinstance(body_macs, Sequence) else [body_macs] * exits,
        list(head_macs) if isinstance(head_macs, Sequence) else [head_macs] * exits,
        restarts,
        reads_heads or {},
        ["logits", *(f"logits.{name}" for name in list(levels or {})[1:])],
        {name: set(range(1, exits + 1)) if value is True else set(value or ()) for name, value in has.items()},
    )
    manifest = Manifest.model_validate(
        {
            **_FIXED,
            "labels": _labels(labels),
            "levels": _levels(levels, labels),
            "state": tuple(
                {"name": f"{name}{k}", "dtype": "float32", "shape": ("batch", 4)}
                for k in range(1, exits + 1)
                for name in ("features", "said")
            ),
            "stages": stages,
            "answer": answer,
            "calibration": {
                "accuracy": None if accuracy is None else tuple(accuracy),
                "temperature": None if temperature is None else tuple(tuple(row) for row in temperature),
                "operating_points": _points(points or {}, exits),
                "default_policy": None if default_policy is None else dict(default_policy),
            },
        }
    )
    check(manifest)
    return manifest


def make_flow(exits: int = 3, **given: Any) -> Flow:
    """The dataflow of ``make_manifest``'s bundle."""
    return build_flow(make_manifest(exits, **given))


def resolved(manifest: Manifest | None = None, **fields: Any) -> Resolved:
    """A policy of these fields on a bundle (by default one of 3 exits)."""
    manifest = manifest or make_manifest()
    return resolve(parse_policy(fields), manifest, build_flow(manifest))


def planned(manifest: Manifest, *, stream: bool = False, trace: bool = False, **fields: Any) -> Plan:
    """The plan of a row under a policy of these fields."""
    return make_plan(resolved(manifest, **fields), build_flow(manifest), stream=stream, trace=trace)


def policy(**fields: Any) -> Policy:
    """One layer of policy."""
    return parse_policy(fields)


def said(
    exit: int,
    *levels: Sequence[float],
    commitment: float | None = None,
    stop: float | None = None,
) -> Outcome:
    """An outcome whose levels have exactly these probabilities, and these shares as commitment and stop."""
    outputs = {
        name: np.array([_logit(share)])
        for name, share in (("commitment", commitment), ("stop", stop))
        if share is not None
    }
    verdicts = tuple(Verdict(_logs(p)) for p in levels or ([0.5, 0.3, 0.2],))
    return Outcome(exit, outputs, verdicts)


def voted(exit: int, label: int, top: float = 0.5) -> Outcome:
    """An outcome that says one of three labels with a top probability."""
    return said(exit, [top if index == label else (1.0 - top) / 2.0 for index in range(3)])


def make_trace(logits: Any, ms: Any = None, graphs: int | None = None, **scalars: Any) -> Trace:
    """A trace of (rows, exits, labels) logits; 1 ms a graph unless told."""
    logits = np.asarray(logits, dtype=np.float64)
    rows, exits, _ = logits.shape
    times = np.ones((rows, graphs or 2 * exits)) if ms is None else np.asarray(ms, dtype=np.float64)
    return Trace({"logits": logits, **{n: np.asarray(v, dtype=np.float64) for n, v in scalars.items()}}, times)


def _stages(
    bodies: Sequence[int | None],
    heads: Sequence[int],
    restarts: Sequence[int],
    reads_heads: Mapping[int, Sequence[int]],
    logits: Sequence[str],
    has: Mapping[str, set[int]],
) -> tuple[dict[str, Any], ...]:
    stages, latest = [], "input"
    for k, (body_macs, head_macs) in enumerate(zip(bodies, heads, strict=True), 1):
        body = None
        if body_macs is not None:
            source = "input" if k in restarts else latest
            latest = f"features{k}"
            body = _graph({"x": source}, {"y": latest}, body_macs)
        writes = {name: name for name in (*logits, *(scalar for scalar in has if k in has[scalar]))}
        reads = {"x": latest} | {f"h{j}": f"said{j}" for j in reads_heads.get(k, ())}
        stages.append({"body": body, "head": _graph(reads, writes | {"said": f"said{k}"}, head_macs)})
    return tuple(stages)


def _points(points: Mapping[str, Mapping[str, Any]], exits: int) -> tuple[dict[str, Any], ...]:
    shares = (1.0 / exits,) * exits
    return tuple(
        {"name": name, "policy": dict(policy), "accuracy": 0.9, "cost": 0.5, "exit_shares": shares}
        for name, policy in points.items()
    )


def _graph(reads: dict[str, str], writes: dict[str, str], macs: int) -> dict[str, Any]:
    return {"file": "graph.onnx", "reads": reads, "writes": writes, "macs": macs, "params": 0}


def _labels(count: int) -> tuple[str, ...]:
    return tuple(f"label {index}" for index in range(count))


def _levels(levels: Mapping[str, int] | None, labels: int) -> tuple[dict[str, Any], ...] | None:
    if levels is None:
        return None
    counts = list(levels.values())
    assert counts[0] == labels, "the finest level has the bundle's labels"
    parents = [tuple(min(i, coarser - 1) for i in range(finer)) for finer, coarser in pairwise(counts)]
    return tuple(
        {"name": name, "labels": _labels(count), "parent": parent}
        for (name, count), parent in zip(levels.items(), (*parents, None), strict=True)
    )


def _logs(probabilities: Sequence[float]) -> np.ndarray:
    return np.array([math.log(p) if p > 0.0 else -math.inf for p in probabilities])


def _logit(share: float) -> float:
    return math.log(share / (1.0 - share))
