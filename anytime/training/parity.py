"""Whether the stages and the whole network of a bundle say the same, on the same rows, in batches of several sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from anytime.model_store import Bundle
from anytime.model_store.manifest import LOGITS
from anytime.training.apart import TOLERANCE, apart
from anytime.training.attach.inputs import Batch, Inputs, NetworkInput
from anytime.training.attach.session import open_session, run_session
from anytime.training.errors import ParityBroken
from anytime.training.record import open_sessions, starts, walk
from anytime.training.whole import MODEL, output_name, runs_one_row

BATCHES = (1, 3, 8)
"""Rows that run together."""
STAGES, WHOLE = "stages together and row by row", "whole network and stages"
Outputs = Sequence[Mapping[str, np.ndarray]]
"""Of each exit, by head output: (rows, columns)."""


@dataclass(frozen=True)
class Difference:
    """How far two are apart in one output of one exit, for some rows that ran together."""

    between: str
    rows: int
    exit: int
    output: str
    apart: float
    """In parts of the largest number where that is above 1; NaN where either is none."""

    @property
    def is_small(self) -> bool:
        return self.apart <= TOLERANCE


def inputs_of(bundle: Bundle) -> Inputs:
    """What a bundle takes, to read or to draw rows for it."""
    entries = tuple(NetworkInput(entry.name, entry.dtype, entry.shape) for entry in bundle.manifest.inputs)
    return Inputs(entries, bundle.manifest.axes, runs_one_row(bundle))


def batch_sizes(rows: int, *, one_row: bool = False) -> tuple[int, ...]:
    """Those of ``BATCHES`` that so many rows allow; of fewer than the largest, all of them as well."""
    return (1,) if one_row else tuple(sorted({min(size, rows) for size in BATCHES}))


def compare_whole(bundle: Bundle, model: onnx.ModelProto, inputs: Batch) -> list[Difference]:
    """The stages in batches against the same row by row, and the whole network in batches against these stages.

    ``inputs``: rows by input name. Raises ``BadClassifier`` or ``UnsupportedOperator`` where ONNX Runtime cannot run the
    whole.
    """
    expects = inputs_of(bundle)
    rows = min(expects.check(inputs), max(BATCHES))
    stages, session = _Stages(bundle), open_session(model, MODEL)
    alone = [stages.run(_rows(inputs, row, row + 1)) for row in range(rows)]
    by_stages: list[Difference] = []
    by_whole: list[Difference] = []
    for size in batch_sizes(rows, one_row=expects.one_row):
        batch = _rows(inputs, 0, size)
        together = stages.run(batch)
        names = [(exit, name) for exit, said in enumerate(together, start=1) for name in said]
        said = run_session(session, [output_name(*one) for one in names], batch, MODEL)
        values = dict(zip(names, said, strict=True))
        whole = [{name: values[exit, name] for name in outputs} for exit, outputs in enumerate(together, start=1)]
        by_stages += differences(STAGES, size, _joined(alone[:size]), together)
        by_whole += differences(WHOLE, size, together, whole)
    return [*by_stages, *by_whole]


def differences(between: str, rows: int, wanted: Outputs, found: Outputs) -> Iterator[Difference]:
    """One for each output of each exit that ``wanted`` has."""
    for exit, (ours, theirs) in enumerate(zip(wanted, found, strict=True), start=1):
        for name, values in ours.items():
            yield Difference(between, rows, exit, name, apart(values, theirs[name]))


def require_parity(found: Sequence[Difference]) -> None:
    """Raises ``ParityBroken``, naming the largest difference, unless all are small."""
    broken = [one for one in found if not one.is_small]
    if broken:
        worst = max(broken, key=lambda one: np.inf if np.isnan(one.apart) else one.apart)
        output = "" if worst.output == LOGITS else f" ({worst.output})"
        raise ParityBroken(
            f"{worst.between} are {worst.apart:.1e} apart at exit {worst.exit}{output}, {worst.rows} rows together; "
            f"wanted at most {TOLERANCE:g}: nothing was written"
        )


class _Stages:
    """Every graph in the bundle's order, all rows in each run."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle, self._sessions = bundle, open_sessions(bundle)

    def run(self, inputs: Batch) -> Outputs:
        found: list[dict[str, np.ndarray]] = [{} for _ in range(self._bundle.flow.exits)]
        try:
            for node, said, _ in walk(self._bundle.flow, self._sessions, starts(self._bundle, inputs)):
                found[node.stage - 1] |= said
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types here
            rows = len(next(iter(inputs.values())))
            first = str(error).strip().splitlines()[0][:300]
            raise ParityBroken(f"the stages cannot run {rows} rows together: {first}; export them anew") from error
        return found


def _joined(alone: Sequence[Outputs]) -> Outputs:
    """Rows that ran one by one, as a batch."""
    return [{name: np.concatenate([row[index][name] for row in alone]) for name in said}
            for index, said in enumerate(alone[0])]  # fmt: skip


def _rows(inputs: Batch, start: int, stop: int) -> dict[str, np.ndarray]:
    return {name: values[start:stop] for name, values in inputs.items()}
