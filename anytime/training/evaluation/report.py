"""What an evaluation found out about one bundle, and how: from its traces alone."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

import numpy as np

from anytime.model_store import Flow, Manifest, indices
from anytime.model_store.flow import Nodes
from anytime.policy import Trace, TraceError
from anytime.policy.columns import known_ms, top_probabilities
from anytime.training.evaluation.budgets import Base, Family, confidences, measure_base, measure_family, patiences
from anytime.training.hindsight import (
    destructive_overthinking,
    hindsight_improvability,
    oracle_accuracy,
    wasteful_overthinking,
)
from anytime.training.reliability import auroc, calibration_error, reliability_bins

EXAMPLES = 10
"""Of confident and wrong rows."""


@dataclass(frozen=True)
class Bin:
    """Rows whose confidence fell into one of 15 equal bins: how sure they were on average, and how often right."""

    rows: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Exit:
    """One exit on all test rows. ``macs`` and ``ms``: of a row that is stopped here and heard every exit before."""

    exit: int
    accuracy: float
    macs: int
    ms: float
    temperature: float
    hindsight_improvability: float
    oracle_accuracy: float
    """Of whoever picks, with hindsight, the best of the exits up to here."""
    auroc: float | None
    """Of (confidence, correct); None where all rows are right, or none."""
    calibration_error: float
    bins: tuple[Bin, ...]
    """Those that are not empty, from the least sure on."""


@dataclass(frozen=True)
class Example:
    """A wrong answer. ``row``: of the test trace, from 0; ``label`` and ``predicted`` are names."""

    row: int
    exit: int
    label: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class Report:
    """One bundle. All figures are of the test rows; thresholds were chosen on the calibration rows alone."""

    name: str
    version: int
    method: str
    calibration_rows: int
    test_rows: int
    macs_full: int
    base: Base
    exits: tuple[Exit, ...]
    wasteful_overthinking: float
    destructive_overthinking: float
    families: tuple[Family, ...]
    confident_and_wrong: tuple[Example, ...]
    notes: tuple[str, ...] = ()
    """What a reader should know about the data."""

    def to_json(self) -> str:
        """The same report, the same text."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"


def evaluate(manifest: Manifest, flow: Flow, calibration: Trace, test: Trace, notes: tuple[str, ...] = ()) -> Report:
    """The report of a bundle. Its temperatures are taken as they are; nothing is fitted here but thresholds.

    Raises ``TraceError`` where a trace has no rows, no times, rows without a label or exits that were not recorded.
    """
    top = _checked(manifest, calibration, "calibration")
    confidence = _checked(manifest, test, "test")
    correct = test.outputs["logits"].argmax(axis=2) == test.label[:, np.newaxis]
    return Report(
        name=manifest.name,
        version=manifest.version,
        method=manifest.method,
        calibration_rows=calibration.rows,
        test_rows=test.rows,
        macs_full=flow.macs_full,
        base=measure_base(manifest, flow, test),
        exits=_exits(manifest, flow, test, confidence, correct),
        wasteful_overthinking=wasteful_overthinking(correct),
        destructive_overthinking=destructive_overthinking(correct),
        families=(
            measure_family(manifest, flow, "confidence", confidences(top), calibration, test),
            measure_family(manifest, flow, "patience", patiences(flow.exits), calibration, test),
        ),
        confident_and_wrong=_confident_and_wrong(manifest, test, confidence, correct),
        notes=notes,
    )


def _checked(manifest: Manifest, trace: Trace, split: str) -> np.ndarray:
    """(rows, exits) the top probabilities of a trace that can be evaluated."""
    if not trace.rows:
        raise TraceError(f"the {split} trace has no rows; record some")
    unknown = int((trace.label < 0).sum())
    if unknown:
        raise TraceError(f"{unknown} of {trace.rows} rows of the {split} trace have no label; record it with labels")
    never = np.isnan(trace.ms).all(axis=0)
    if never.any():
        raise TraceError(f"{int(never.sum())} graphs of the {split} trace were never timed; record it again")
    top = top_probabilities(manifest, trace)
    if np.isnan(top).any():
        row, exit = (int(one[0]) for one in np.nonzero(np.isnan(top)))
        raise TraceError(f"row {row} of the {split} trace has no probabilities at exit {exit + 1}; record it again")
    return top


def _exits(
    manifest: Manifest, flow: Flow, test: Trace, confidence: np.ndarray, correct: np.ndarray
) -> tuple[Exit, ...]:
    improvability, oracle = hindsight_improvability(correct), oracle_accuracy(correct)
    ms = known_ms(test)
    found = []
    heard: Nodes = 0
    for k in range(flow.exits):
        heard |= flow.needs(k + 1)
        area = auroc(confidence[:, k], correct[:, k])
        found.append(
            Exit(
                exit=k + 1,
                accuracy=float(correct[:, k].mean()),
                macs=flow.macs(heard),
                ms=float(ms[:, list(indices(heard))].sum(axis=1).mean()),
                temperature=manifest.temperature(k + 1),
                hindsight_improvability=float(improvability[k]),
                oracle_accuracy=float(oracle[k]),
                auroc=None if math.isnan(area) else area,
                calibration_error=calibration_error(confidence[:, k], correct[:, k]),
                bins=_filled(confidence[:, k], correct[:, k]),
            )
        )
    return tuple(found)


def _filled(confidence: np.ndarray, correct: np.ndarray) -> tuple[Bin, ...]:
    bins = zip(*reliability_bins(confidence, correct), strict=True)
    return tuple(Bin(int(rows), float(said), float(right)) for rows, said, right in bins if rows)


def _confident_and_wrong(
    manifest: Manifest, test: Trace, confidence: np.ndarray, correct: np.ndarray
) -> tuple[Example, ...]:
    """Of each row its surest wrong exit; of the rows the surest. Ties: the earliest exit, the first row."""
    wrong = np.where(correct, -1.0, confidence)
    exits = wrong.argmax(axis=1)
    surest = wrong[np.arange(len(wrong)), exits]
    predicted = test.outputs["logits"].argmax(axis=2)
    rows = [int(row) for row in np.argsort(-surest, kind="stable")[:EXAMPLES] if surest[row] >= 0.0]
    return tuple(
        Example(
            row=row,
            exit=int(exits[row]) + 1,
            label=manifest.labels[test.label[row]],
            predicted=manifest.labels[predicted[row, exits[row]]],
            confidence=float(surest[row]),
        )
        for row in rows
    )
