"""Recording held-out rows with a bar on the standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

    from anytime.policy import Trace
    from anytime.training.examples import Part
    from anytime.training.record import Recorder

_PIECE = 64
"""Rows that are made into inputs at once: of large pictures some ten megabytes."""


def recording_bar() -> Progress:
    """A context: a line per split, gone once it is left."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def record_rows(recorder: Recorder, part: Part, bar: Progress, title: str) -> Trace:
    """Every row through every graph; the labels are known."""
    import numpy as np

    from anytime.training.record import join

    task = bar.add_task(title, total=len(part))
    pieces = []
    for start in range(0, len(part), _PIECE):
        indices = np.arange(start, min(start + _PIECE, len(part)))
        pieces.append(recorder.record(part.rows.take(indices), None if part.label is None else part.label[indices]))
        bar.update(task, advance=len(indices))
    return join(pieces)
