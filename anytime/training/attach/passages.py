"""Where one tensor passes through a graph, by its edges alone: knows no shapes and runs nothing.

A value is *light* if it can be had again from inputs and constants without a multiply-add: a mask, a position, a shape.
Light values pass freely, each piece makes them anew; of the others exactly one may pass where a network is cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx

from anytime.model_store.macs import Work
from anytime.model_store.shapes import SMALL
from anytime.training.prune import tensors_read

_DRAWN = frozenset((
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
))  # fmt: skip
"""Operators that say something else when they are run again."""

_SIZES = frozenset(("Shape", "Size"))
_FLOATS = frozenset((onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE))


@dataclass(frozen=True)
class Place:
    """A tensor that passes alone."""

    tensor: str
    node: int
    """The index of the node that writes it."""
    macs: int
    """Multiply-adds up to and with that node."""
    starts_again: bool
    """A multiply-add behind it begins from the inputs and not from this tensor."""


@dataclass(frozen=True)
class Narrows:
    """The heavy tensors that pass together at the narrowest place between two multiply-adds."""

    tensors: tuple[str, ...]
    macs: int


class Passages:
    """The heavy values of a graph, all of whose nodes are needed by its output: where each is born and last read."""

    def __init__(self, graph: onnx.GraphProto, work: Sequence[Work], *, tables_weigh: bool = False) -> None:
        """Time and memory grow with nodes and edges. ``work`` is of each node.

        ``tables_weigh``: what the values of an input are looked up in, or scaled by, is no mask; an embedding is heavy.
        """
        self._nodes = list(graph.node)
        self._work = work
        self._reads = [set(tensors_read(node)) for node in self._nodes]
        self._producer = {name: index for index, node in enumerate(self._nodes) for name in node.output if name}
        self._heavy: set[int] = set()
        self._roots: set[int] = set()
        """The heavy nodes that read nothing heavy: where multiply-adds begin."""
        weights = {one.name for one in graph.initializer}
        tables = {one.name for one in graph.initializer if _is_table(one)} if tables_weigh else set[str]()
        self._weigh({value.name for value in graph.input} - weights, tables)
        self._results = {value.name for value in graph.output}

    def places(self) -> list[Place]:
        """In the graph's order, its output left out. All heavy nodes before a place lead to it."""
        return [
            Place(next(iter(live)), index, macs, starts_again)
            for index, live, macs, starts_again in self._walk()
            if len(live) == 1 and not live & self._results
        ]

    def narrowest(self, least_macs: float, most_macs: float) -> Narrows | None:
        """Where the fewest heavy tensors pass, after so many multiply-adds; ``None`` where no node ends there."""
        within = [(live, macs) for _, live, macs, _ in self._walk() if least_macs <= macs <= most_macs]
        if not within:
            return None
        live, macs = min(within, key=lambda one: len(one[0]))
        return Narrows(tuple(sorted(live)), macs)

    def beside(self, tensor: str) -> list[str]:
        """The heavy tensors on the way to ``tensor`` that are read elsewhere too: they pass beside it."""
        before = self._before(tensor)
        elsewhere = {name for index, reads in enumerate(self._reads) if index not in before for name in reads}
        made = (name for index in sorted(before) if index in self._heavy for name in self._nodes[index].output)
        return [name for name in made if name != tensor and (name in elsewhere or name in self._results)]

    def place(self, tensor: str) -> Place:
        """Of a tensor that some node writes, whatever passes beside it."""
        before = self._before(tensor)
        macs = sum(self._work[index].macs for index in before)
        return Place(tensor, self._producer[tensor], macs, not self._roots <= before)

    def leads_to(self, tensor: str, later: str) -> bool:
        """Whether ``later`` is computed from ``tensor``."""
        return tensor != later and self._producer[tensor] in self._before(later)

    def is_written(self, tensor: str) -> bool:
        return tensor in self._producer

    def is_heavy(self, tensor: str) -> bool:
        return self._producer.get(tensor) in self._heavy

    def _walk(self) -> Iterator[tuple[int, set[str], int, bool]]:
        """After each heavy node: its index, the heavy values read later, multiply-adds so far, whether more begin."""
        last_read = {name: index for index in sorted(self._heavy) for name in self._reads[index]}
        ends: dict[int, list[str]] = {}
        for name, index in last_read.items():
            ends.setdefault(index, []).append(name)
        live: set[str] = set()
        macs, begun = 0, 0
        for index, node in enumerate(self._nodes):
            macs += self._work[index].macs
            if index not in self._heavy:
                continue
            begun += index in self._roots
            live.difference_update(ends.get(index, ()))
            live.update(name for name in node.output if name in last_read or name in self._results)
            yield index, set(live), macs, begun < len(self._roots)

    def _weigh(self, inputs: set[str], tables: set[str]) -> None:
        """A node is heavy that has multiply-adds, or draws numbers, or reads what a heavy node wrote.

        A product over an axis of one number adds nothing up, so it is light; what follows from constants alone is a
        constant, and the runtime folds it.
        """
        varies, told, heavy = set(inputs), set(inputs), set[str]()
        for index, (node, work) in enumerate(zip(self._nodes, self._work, strict=True)):
            reads, drawn = self._reads[index], node.op_type in _DRAWN
            if not drawn and not reads & varies:
                if reads & tables:
                    tables.update(node.output)
                continue
            varies.update(node.output)
            if node.op_type not in _SIZES and reads & told:
                told.update(node.output)
            begins = drawn or work.macs not in (0, work.written) or bool(reads & told and reads & tables)
            if not reads & heavy:
                if not begins:
                    continue
                self._roots.add(index)
            self._heavy.add(index)
            heavy.update(node.output)

    def _before(self, tensor: str) -> set[int]:
        """The nodes that ``tensor`` is computed by."""
        found: set[int] = set()
        asked = [tensor]
        while asked:
            index = self._producer.get(asked.pop())
            if index is not None and index not in found:
                found.add(index)
                asked.extend(self._reads[index])
        return found


def _is_table(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type in _FLOATS and math.prod(tensor.dims) > SMALL
