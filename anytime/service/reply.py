"""What the engine said, as the JSON that clients read: a row, a reply, a stream's events. The one place that names fields.

Probabilities and costs are written as they were computed, so that they can be sent back; milliseconds to the microsecond.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson

from anytime.model_store.manifest import Manifest
from anytime.policy import Verdict
from anytime.service.engine.messages import Event, RowAnswer, RowFailure, RowTrace
from anytime.service.errors import error_body

Json = dict[str, Any]

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def dumps(value: object) -> bytes:
    """JSON on one line; arrays as nested lists, NaN as null."""
    return orjson.dumps(value, option=_OPTIONS)


def row_json(manifest: Manifest, row: RowAnswer, top: int = 0) -> Json:
    """A row object; without ``stop_reason`` while the row goes on. ``top``: labels to list, most probable first."""
    answer = row.answer
    outcome, level = answer.outcome, answer.level
    verdict = outcome.verdicts[level]
    labels = manifest.level_labels[level]
    said: Json = {"label": labels[verdict.index], "index": verdict.index, "confidence": verdict.top}
    if top:
        said["top"] = _top(verdict, labels, top)
    said["exit"] = outcome.exit
    said["depth"] = row.depth
    said["exits"] = len(manifest.stages)
    said["cost"] = row.cost
    said["compute_ms"] = _to_microseconds(row.compute_ms)
    if row.reason is not None:
        said["stop_reason"] = row.reason
    if manifest.levels is not None:
        said["level"] = manifest.level_names[level]
        said["levels"] = _levels(manifest, outcome.verdicts)
    if outcome.commitment is not None:
        said["commitment"] = outcome.commitment
    if outcome.ood is not None:
        said["ood"] = outcome.ood
    if row.trace is not None:
        said["trace"] = _trace(row.trace)
    return said


def failure_json(failure: RowFailure) -> Json:
    """``{row, error}``: of a row that ended without an answer."""
    return {"row": failure.row, **error_body(failure.error)}


def event_json(manifest: Manifest, id: str, event: Event, top: int = 0) -> Json:
    """What a stream's ``prediction``, ``final`` or ``error`` event of one row holds: the row object, ``id`` and ``row``."""
    if isinstance(event, RowFailure):
        return {"id": id, **failure_json(event)}
    return {"id": id, "row": event.row, **row_json(manifest, event, top)}


def reply_json(
    manifest: Manifest, id: str, events: Iterable[Event], top: int, *, elapsed_ms: float, queue_ms: float
) -> Json:
    """The reply. ``events``: the one that ended each row, in the rows' order."""
    rows = [
        failure_json(event) if isinstance(event, RowFailure) else row_json(manifest, event, top) for event in events
    ]
    return {
        "id": id,
        "model": manifest.name,
        "version": manifest.version,
        "rows": rows,
        "elapsed_ms": _to_microseconds(elapsed_ms),
        "queue_ms": _to_microseconds(queue_ms),
    }


def done_json(manifest: Manifest, id: str, *, elapsed_ms: float, queue_ms: float) -> Json:
    """What a stream's ``done`` event holds: the reply without its rows."""
    done = reply_json(manifest, id, (), 0, elapsed_ms=elapsed_ms, queue_ms=queue_ms)
    del done["rows"]
    return done


def _to_microseconds(ms: float) -> float:
    """Milliseconds, not negative, to three digits: ``round`` would write them as text and read that."""
    return int(ms * 1e3 + 0.5) / 1e3


def _top(verdict: Verdict, labels: tuple[str, ...], top: int) -> list[Json]:
    p = verdict.probabilities
    best = np.argsort(-p, kind="stable")[:top].tolist()
    return [{"label": labels[index], "index": index, "probability": min(1.0, float(p[index]))} for index in best]


def _levels(manifest: Manifest, verdicts: tuple[Verdict, ...]) -> Json:
    return {
        name: {"label": labels[verdict.index], "index": verdict.index, "confidence": verdict.top}
        for name, labels, verdict in zip(manifest.level_names, manifest.level_labels, verdicts, strict=True)
    }


def _trace(trace: RowTrace) -> Json:
    return {
        "exits": [
            {"exit": exit, "outputs": {name: np.ascontiguousarray(values) for name, values in outputs.items()}}
            for exit, outputs in trace.heads
        ],
        "graphs": [{"stage": stage, "part": part, "ms": ms} for stage, part, ms in trace.graphs],
    }
