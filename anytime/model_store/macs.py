"""The one counter of multiply-adds and parameters over ONNX graphs, from which every cost in a bundle comes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from anytime.model_store.errors import Uncountable
from anytime.model_store.multiply_adds import FORMULAS, Seen
from anytime.model_store.shapes import Shapes, constants, graph_shapes, skeleton


@dataclass(frozen=True, slots=True)
class Work:
    """What one node does for one row: its multiply-adds, and the numbers that it writes (``None``: nobody knows)."""

    macs: int
    written: int | None


_NOT_PARAMETERS = frozenset((onnx.TensorProto.INT64, onnx.TensorProto.BOOL, onnx.TensorProto.STRING))
"""Element types of shapes, indices, masks and texts rather than of weights."""


def count_macs(
    model: onnx.ModelProto, sizes: Mapping[str, int], inputs: Mapping[str, Sequence[int]] | None = None
) -> int:
    """Multiply-adds of one row of a model; 0 for one that has none.

    ``sizes`` binds the symbolic axes of its inputs, except the first, the rows, which counts 1; ``inputs`` gives whole
    shapes by input name instead, where axes are named otherwise. An If counts its dearer branch; a Scan its body times
    the length it scans; a Loop its body times its trip count, which must be a constant unless the body counts nothing.
    Raises ``Uncountable`` where a shape or a trip count that matters is unknown.
    """
    bound = skeleton(model, sizes, inputs or {})
    return _count(bound.graph, {}, {})


def count_nodes(
    model: onnx.ModelProto, inputs: Mapping[str, Sequence[int]], seen: Mapping[str, tuple[int, ...]]
) -> tuple[Work, ...]:
    """The work of each node of the main graph of a model without functions; the multiply-adds sum to ``count_macs``.

    ``inputs`` gives whole shapes by input name, for one row; ``seen`` those of ``uninferred`` tensors, from a run.
    """
    graph = skeleton(model, {}, inputs).graph
    shapes, known = {**seen, **graph_shapes(graph, {})}, constants(graph)
    written = [shapes.get(node.output[0]) if node.output else None for node in graph.node]
    return tuple(
        Work(_node(node, shapes, known), None if shape is None else math.prod(shape))
        for node, shape in zip(graph.node, written, strict=True)
    )


def uninferred(model: onnx.ModelProto, inputs: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    """The tensors of the main graph whose shapes the counter needs and ONNX cannot infer: only a run tells."""
    graph = skeleton(model, {}, inputs).graph
    shapes = graph_shapes(graph, {})
    counted = [node for node in graph.node if (_domain(node), node.op_type) in FORMULAS]
    needed = [name for node in counted for name in (*node.input, node.output[0]) if name and name not in shapes]
    return tuple(dict.fromkeys(needed))


def count_params(model: onnx.ModelProto) -> int:
    """The elements of a model's weights: initializers, in subgraphs too, of any type but int64, bool and string."""
    graphs = list(_graphs(model.graph))
    dense = [tensor for graph in graphs for tensor in graph.initializer]
    sparse = [one.values for graph in graphs for one in graph.sparse_initializer]
    return sum(math.prod(tensor.dims) for tensor in (*dense, *sparse) if tensor.data_type not in _NOT_PARAMETERS)


def _count(graph: onnx.GraphProto, outer: Shapes, known: Mapping[str, np.ndarray]) -> int:
    shapes = graph_shapes(graph, outer)
    known = {**known, **constants(graph)}
    return sum(_node(node, shapes, known) for node in graph.node)


def _node(node: onnx.NodeProto, shapes: Shapes, known: Mapping[str, np.ndarray]) -> int:
    formula = FORMULAS.get((_domain(node), node.op_type))
    if formula is not None:
        return formula(Seen(node, shapes))
    inner = [_count(attribute.g, shapes, known) for attribute in node.attribute if attribute.HasField("g")]
    most = max(inner, default=0)
    return most * _trips(node, shapes, known) if most else 0


def _domain(node: onnx.NodeProto) -> str:
    return "" if node.domain == "ai.onnx" else node.domain


def _trips(node: onnx.NodeProto, shapes: Shapes, known: Mapping[str, np.ndarray]) -> int:
    """How often a node runs its subgraph, at most."""
    if node.op_type == "If":
        return 1
    if node.op_type == "Loop" and node.input[0] in known:
        return int(known[node.input[0]].item())
    if node.op_type == "Scan":
        scanned = shapes.get(node.input[-1])
        if scanned is not None:
            axes = next((list(one.ints) for one in node.attribute if one.name == "scan_input_axes"), [0])
            return scanned[axes[-1]]
    raise Uncountable(
        f"{node.op_type} node {node.name or node.output[0]!r} has an unknown trip count and multiply-adds inside; "
        f"give it a constant trip count, or give its macs"
    )


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
