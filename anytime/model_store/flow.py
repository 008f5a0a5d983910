"""Who reads what, written by whom: a manifest's stages as a dataflow of graphs in single assignment.

The order of a bundle is body 1, head 1, body 2, head 2, ... A name may be written again; a reader gets the latest write
before it *in that order*, however late it runs. So each write gets a slot of its own, and a reader names slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from anytime.model_store.errors import StateUnwritten
from anytime.model_store.manifest import Graph, Manifest, State
from anytime.model_store.tensors import Shape

Nodes = int
"""A set of graphs as a bit mask: bit i is the graph with ``index`` i."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One write of one name: an input, a start value, or what one graph wrote."""

    index: int
    name: str
    dtype: str
    shape: Shape
    source: Literal["input", "start", "graph"]


@dataclass(frozen=True, slots=True)
class Node:
    """One graph at its place in the order. ``stage`` counts from 1."""

    index: int
    stage: int
    part: Literal["body", "head"]
    graph: Graph
    reads: tuple[tuple[str, int], ...]
    """(ONNX input, slot index)"""
    writes: tuple[tuple[str, int], ...]
    """(ONNX output, slot index)"""
    outputs: tuple[tuple[str, str], ...]
    """(ONNX output, head output name)"""
    needs: Nodes
    """Itself and, transitively, every graph that wrote what it reads."""

    @property
    def macs(self) -> int:
        return self.graph.macs


@dataclass(frozen=True)
class Flow:
    """The dataflow of one bundle. ``heads[k]`` is the node of exit k + 1."""

    nodes: tuple[Node, ...]
    slots: tuple[Slot, ...]
    heads: tuple[Node, ...]

    @property
    def exits(self) -> int:
        return len(self.heads)

    def needs(self, exit: int) -> Nodes:
        """The graphs that the head of ``exit`` (from 1) cannot do without, itself included."""
        return self.heads[exit - 1].needs

    def macs(self, nodes: Nodes) -> int:
        """Multiply-adds of one row over a set of graphs, repeated steps counted each time."""
        return sum(self.nodes[i].macs for i in indices(nodes))

    @cached_property
    def macs_full(self) -> int:
        """What the last head and all that it needs cost a row: the denominator of ``cost``."""
        return self.macs(self.needs(self.exits))

    def readers(self, slot: int) -> Nodes:
        """The graphs that read a slot."""
        return self._readers[slot]

    @cached_property
    def _readers(self) -> tuple[Nodes, ...]:
        masks = [0] * len(self.slots)
        for node in self.nodes:
            for _, slot in node.reads:
                masks[slot] |= 1 << node.index
        return tuple(masks)


def indices(nodes: Nodes) -> Iterator[int]:
    """The members of a set of graphs, in the bundle's order."""
    while nodes:
        low = nodes & -nodes
        yield low.bit_length() - 1
        nodes ^= low


def build_flow(manifest: Manifest) -> Flow:
    """The dataflow of a manifest.

    Raises ``StateUnwritten`` where a graph reads a state that nothing wrote before it and that has no start.
    """
    return _Builder(manifest).build()


class _Builder:
    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._states: dict[str, State] = {state.name: state for state in manifest.state}
        self._slots: list[Slot] = []
        self._nodes: list[Node] = []
        self._latest: dict[str, int] = {}
        self._writer: dict[int, Nodes] = {}

    def build(self) -> Flow:
        for entry in self._manifest.inputs:
            self._states[entry.name] = State(name=entry.name, dtype=entry.dtype, shape=entry.shape)
            self._add_slot(entry.name, "input", writer=0)
        for state in self._manifest.state:
            if state.start is not None:
                self._add_slot(state.name, "start", writer=0)
        heads = []
        for number, stage in enumerate(self._manifest.stages, start=1):
            if stage.body is not None:
                self._add_node(number, "body", stage.body)
            heads.append(self._add_node(number, "head", stage.head))
        return Flow(tuple(self._nodes), tuple(self._slots), tuple(heads))

    def _add_slot(self, name: str, source: Literal["input", "start", "graph"], writer: Nodes) -> int:
        state = self._states[name]
        index = len(self._slots)
        self._slots.append(Slot(index, name, state.dtype, state.shape, source))
        self._latest[name] = index
        self._writer[index] = writer
        return index

    def _add_node(self, stage: int, part: Literal["body", "head"], graph: Graph) -> Node:
        index = len(self._nodes)
        reads = tuple((tensor, self._slot_read(name, stage, part)) for tensor, name in graph.reads.items())
        needs = _union(self._writer[slot] for _, slot in reads) | 1 << index
        outputs = self._manifest.head_outputs
        writes = tuple(
            (tensor, self._add_slot(name, "graph", needs))
            for tensor, name in graph.writes.items()
            if name not in outputs
        )
        said = tuple((tensor, name) for tensor, name in graph.writes.items() if name in outputs)
        node = Node(index, stage, part, graph, reads, writes, said, needs)
        self._nodes.append(node)
        return node

    def _slot_read(self, name: str, stage: int, part: str) -> int:
        if name not in self._latest:
            raise StateUnwritten(
                f"stage {stage}'s {part} reads state {name!r} before anything writes it; "
                f"give the state a start, or let an earlier graph write it"
            )
        return self._latest[name]


def _union(masks: Iterable[Nodes]) -> Nodes:
    union = 0
    for mask in masks:
        union |= mask
    return union
