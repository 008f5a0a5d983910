"""What passes between the routes and the engine: a request's rows in, events per row out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anytime.policy import Answer, Reason
from anytime.service.errors import ServiceError


class RowTrace(NamedTuple):
    """What was recorded of one row: (exit, head output name -> raw values) in order, and (stage, part, ms) per graph."""

    heads: tuple[tuple[int, Mapping[str, np.ndarray]], ...]
    graphs: tuple[tuple[int, str, float], ...]


class RowAnswer(NamedTuple):
    """A row's prediction: one exit's while ``reason`` is None, the final one else.

    ``depth``: the deepest exit whose head had finished. ``cost``: share of full depth's multiply-adds.
    """

    row: int
    answer: Answer
    depth: int
    cost: float
    compute_ms: float
    reason: Reason | None
    trace: RowTrace | None = None


@dataclass(frozen=True, slots=True)
class RowFailure:
    """A row that ended without an answer."""

    row: int
    error: ServiceError


Event = RowAnswer | RowFailure


class Work(NamedTuple):
    """One request as the engine takes it.

    ``tensors``: input name -> (rows, ...), C-contiguous, already of the manifest's dtype and checked against its shapes.
    ``arrived``: ``time.perf_counter()`` at the request's head; its deadline counts from there.
    ``streams``: the caller wants each exit's prediction as an event; else only what ends a row is told.
    """

    tensors: Mapping[str, np.ndarray]
    rows: int
    arrived: float
    streams: bool = False
    traces: bool = False
