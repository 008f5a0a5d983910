"""Recording held-out rows with a bar on the standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

    from anytime.policy import Trace
    from anytime.training.evaluation.held_out import Rows
    from anytime.training.record import Recorder

_PIECE = 64
"""Rows that are made into inputs at once: of large pictures some ten megabytes."""


def recording_bar() -> Progress:
    """A context: a line per split, gone once it is left."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def record_rows(recorder: Recorder, rows: Rows, bar: Progress, title: str) -> Trace:
    """Every row through every graph."""
    import numpy as np

    from anytime.training.record import join

    task = bar.add_task(title, total=len(rows.label))
    pieces = []
    for start in range(0, len(rows.label), _PIECE):
        indices = np.arange(start, min(start + _PIECE, len(rows.label)))
        pieces.append(recorder.record(rows.inputs(indices), rows.label[indices]))
        bar.update(task, advance=len(indices))
    return join(pieces)
