"""A plan made ready to run: which tensors each graph is fed, what is fetched, kept and dropped.

The unit of choice is a *piece*: the graphs of one stage that a row needs before the next boundary, its body and its head.
Pieces are shared by all programs of a bundle, so that rows under different policies can share a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from anytime.model_store import Flow
from anytime.model_store.flow import Node, Nodes
from anytime.model_store.tensors import Dims, row_bytes
from anytime.policy import Plan

Call = Callable[[Mapping[str, np.ndarray]], tuple[list[np.ndarray], float]]
"""Feeds by ONNX input -> the outputs, each (rows, ...), and the seconds that they took."""
_PIECES = 4096
"""Pieces remembered per bundle."""
_PEAKS = 256
"""Sets of axis sizes whose peak a program remembers."""


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """One run of one graph."""

    node: Node
    call: Call
    """Runs the graph and fetches, in order, what ``keeps`` and ``says`` name."""
    feeds: tuple[tuple[str, int], ...]
    """(ONNX input, slot)"""
    keeps: tuple[int, ...]
    """The slots that the first outputs become."""
    says: tuple[str, ...]
    """The head outputs that the rest are: only of the head whose exit is consulted."""
    drops: tuple[int, ...]
    """The slots that no later graph of the row can read."""


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """The steps of one stage, run without a choice in between. Equal pieces of a bundle are one object."""

    steps: tuple[Step, ...]
    batch_limit: int
    """The most rows that pay to run together."""


@dataclass(frozen=True)
class Program:
    """A plan's pieces, one tuple per leg; ``starts`` are the slots a row needs from the beginning."""

    plan: Plan
    legs: tuple[tuple[Piece, ...], ...]
    starts: tuple[int, ...]
    outcome_bytes: int = 0
    """Of what one exit says, which a row keeps until it ends."""
    _peaks: dict[tuple[int, ...], int] = field(default_factory=dict, repr=False, compare=False)

    def peak_bytes(self, dims: Dims) -> int:
        """The most bytes that one row holds at any time. ``dims``: in a fixed order.

        Inputs count until the row ends, for the rows of a request share their arrays; outcomes add up.
        """
        key = tuple(dims.values())
        peak = self._peaks.get(key)
        if peak is None:
            if len(self._peaks) >= _PEAKS:
                self._peaks.clear()
            peak = self._peaks[key] = self._peak_bytes(dims)
        return peak

    def _peak_bytes(self, dims: Dims) -> int:
        slots = self.plan.flow.slots
        steps = [step for leg in self.legs for piece in leg for step in piece.steps]
        held = {slot: row_bytes(slots[slot].dtype, slots[slot].shape, dims) for slot in self.starts}
        peak = sum(held.values())
        for step in steps:
            held |= {slot: row_bytes(slots[slot].dtype, slots[slot].shape, dims) for slot in step.keeps}
            peak = max(peak, sum(held.values()))
            for slot in step.drops:
                if slots[slot].source != "input":
                    held.pop(slot, None)
        return peak + len(self.legs) * self.outcome_bytes


class Compiler:
    """Makes programs of one bundle, interning their pieces."""

    def __init__(
        self,
        flow: Flow,
        prepare: Callable[[str, Sequence[str]], Call],
        batch_limit: Callable[[Iterable[Node]], int],
        outcome_bytes: int = 0,
    ) -> None:
        """``prepare(file, fetches)``: a call of a graph. ``batch_limit(nodes)``: the most rows that pay for them."""
        self._flow = flow
        self._outcome_bytes = outcome_bytes
        self._prepare = prepare
        self._batch_limit = batch_limit
        self._pieces: dict[tuple[object, ...], Piece] = {}

    def compile(self, plan: Plan) -> Program:
        """The program of a plan."""
        last_reader = {slot: node.index for leg in plan.legs for node in leg.nodes for _, slot in node.reads}
        drops: dict[int, list[int]] = {}
        for slot, index in last_reader.items():
            drops.setdefault(index, []).append(slot)
        planned = plan.nodes
        legs = []
        for leg in plan.legs:
            steps = [self._step(node, planned, drops.get(node.index, []), node is leg.nodes[-1]) for node in leg.nodes]
            legs.append(tuple(self._piece(tuple(part)) for _, part in groupby(steps, lambda step: step.node.stage)))
        starts = tuple(slot for slot in sorted(last_reader) if self._flow.slots[slot].source != "graph")
        return Program(plan, tuple(legs), starts, self._outcome_bytes)

    def _step(self, node: Node, planned: Nodes, drops: list[int], says: bool) -> Step:
        kept = [(tensor, slot) for tensor, slot in node.writes if self._flow.readers(slot) & planned]
        said = node.outputs if says else ()
        call = self._prepare(node.graph.file, [tensor for tensor, _ in (*kept, *said)])
        return Step(node, call, node.reads, tuple(s for _, s in kept), tuple(name for _, name in said), tuple(drops))

    def _piece(self, steps: tuple[Step, ...]) -> Piece:
        key = tuple((step.node.index, step.keeps, step.says, step.drops) for step in steps)
        piece = self._pieces.get(key)
        if piece is None:
            if len(self._pieces) >= _PIECES:  # odd masks of thresholds: pieces made anew only share fewer runs
                self._pieces.clear()
            piece = self._pieces[key] = Piece(steps, self._batch_limit(step.node for step in steps))
        return piece
