"""Shapes said anew: where a graph asks a tensor how long it is, it may ask another one that is as long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from anytime.model_store.tensors import ROW_AXIS, Axis, Shape
from anytime.training.prune import tensors_read


def restate_shapes(
    model: onnx.ModelProto, known: Mapping[str, Shape], sources: Mapping[str, Shape], *, one_row: bool
) -> onnx.ModelProto:
    """A copy of ``model`` in which no Shape of a ``known`` tensor is taken, as far as ``sources`` have its open axes.

    The numbers are the same; what only such a Shape needed, nodes and inputs alike, goes. With ``one_row`` the row axis
    is 1.
    """
    restated = onnx.ModelProto()
    restated.CopyFrom(model)
    graph = restated.graph
    axes = _Axes(graph, sources, one_row)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        shape = known.get(node.input[0]) if node.op_type == "Shape" else None
        nodes.extend([node] if shape is None else axes.said(node, shape) or [node])
    del graph.node[:]
    graph.node.extend(_needed([*axes.nodes, *nodes], {value.name for value in graph.output}))
    _drop_unread(graph)
    return restated


class _Axes:
    """The open axes of a graph as tensors of one number, made where they are first asked for."""

    def __init__(self, graph: onnx.GraphProto, sources: Mapping[str, Shape], one_row: bool) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._taken = {name for node in graph.node for name in (*tensors_read(node), *node.output)}
        self._where: dict[Axis, tuple[str, int]] = {}
        for tensor, shape in sources.items():
            for index, axis in enumerate(shape):
                if isinstance(axis, str):
                    self._where.setdefault(axis, (tensor, index))
        self._ones = {ROW_AXIS} if one_row else set[str]()
        self._made: dict[object, str] = {}

    def said(self, node: onnx.NodeProto, shape: Shape) -> list[onnx.NodeProto]:
        """What gives the output of a Shape node instead; nothing where an axis is as long as no source."""
        bounds = {attribute.name: attribute.i for attribute in node.attribute}
        asked = [1 if axis in self._ones else axis for axis in shape[bounds.get("start", 0) : bounds.get("end")]]
        if any(isinstance(axis, str) and axis not in self._where for axis in asked):
            return []
        if all(isinstance(axis, int) for axis in asked):
            return [_constant(node.output[0], [axis for axis in asked if isinstance(axis, int)])]
        parts = [self._size(axis) for axis in asked]
        return [helper.make_node("Concat", parts, list(node.output), name=node.name or node.output[0], axis=0)]

    def _size(self, axis: Axis) -> str:
        if axis not in self._made:
            name = self._fresh(f"axis_{axis}")
            if isinstance(axis, int):
                self.nodes.append(_constant(name, [axis]))
            else:
                tensor, index = self._where[axis]
                if tensor not in self._made:
                    self._made[tensor] = self._fresh(f"shape_of_{tensor}")
                    self.nodes.append(helper.make_node("Shape", [tensor], [self._made[tensor]]))
                place = self._fresh(f"place_of_{axis}")
                self.nodes.append(_constant(place, [index]))
                self.nodes.append(helper.make_node("Gather", [self._made[tensor], place], [name], axis=0))
            self._made[axis] = name
        return self._made[axis]

    def _fresh(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _constant(name: str, values: Sequence[int]) -> onnx.NodeProto:
    """As a node: an initializer would count among the parameters."""
    tensor = numpy_helper.from_array(np.array(values, np.int64))
    return helper.make_node("Constant", [], [name], name=name, value=tensor)


def _needed(nodes: Sequence[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    asked, kept = set(outputs), []
    for node in reversed(nodes):
        if asked.intersection(node.output):
            asked.update(tensors_read(node))
            kept.append(node)
    return kept[::-1]


def _drop_unread(graph: onnx.GraphProto) -> None:
    read = {name for node in graph.node for name in tensors_read(node)} | {value.name for value in graph.output}
    seen = read | {name for node in graph.node for name in node.output}
    for field, names in (("input", read), ("initializer", read), ("value_info", seen)):
        kept = [one for one in getattr(graph, field) if one.name in names]
        graph.ClearField(field)
        getattr(graph, field).extend(kept)
