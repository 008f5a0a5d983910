"""Which axis of a tensor holds the channels: what the graph itself says, by what writes the tensor and what reads it.

Knows no network but its graph, and runs nothing. Axes count from 0, which is the rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import onnx

from anytime.model_store.shapes import Shapes, constants, flag
from anytime.training.prune import tensors_read

_CONVOLVE = frozenset((
    "Conv", "ConvInteger", "ConvTranspose", "DeformConv", "DepthToSpace", "FusedConv", "QLinearConv", "SpaceToDepth",
))  # fmt: skip
"""Operators that make channels, and put them on axis 1."""
_POOL = frozenset((
    "AveragePool", "BatchNormalization", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "GroupNormalization",
    "InstanceNormalization", "LRN", "LpPool", "MaxPool",
))  # fmt: skip
"""Operators that take axis 1 for the channels, and leave them where they are."""
_NORMALISE = frozenset((
    "LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization", "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
))  # fmt: skip
"""Operators over the last axis."""
_MATRICES = {
    "DynamicQuantizeMatMul": (0, 1), "FusedGemm": (0, 1), "FusedMatMul": (0, 1), "Gemm": (0, 1), "MatMul": (0, 1),
    "MatMulInteger": (0, 1), "MatMulIntegerToFloat": (0, 1), "MatMulNBits": (0, 1), "QGemm": (0, 3),
    "QLinearMatMul": (0, 3),
}  # fmt: skip
"""Matrix products, and which of their inputs are the two matrices."""
_LAY_OUT = frozenset(("Flatten", "Reshape", "Squeeze", "Unsqueeze"))
_REDUCE = frozenset(("ReduceL2", "ReduceMax", "ReduceMean", "ReduceSum"))
_UNTOLD = frozenset(("Einsum", "GRU", "If", "LSTM", "Loop", "RNN", "Scan", "Shape", "Size"))
"""Operators whose outputs' axes have nothing to do with the places of their inputs'."""


def channel_axes(graph: onnx.GraphProto, shapes: Shapes) -> Mapping[str, int]:
    """The axis that holds the channels, by tensor name, for those tensors of which the graph tells it.

    ``shapes``: of the tensors for one row; one whose shape is not there is not told of. Forward: a convolution puts
    channels on axis 1, a matrix product with weights or a table on the last; what comes behind keeps them, transposed
    where it transposes. Of what is then still unknown its readers tell: a convolution, a pool or a normalisation of axis
    1, a product or a normalisation of the last, a mean over all axes but one. Where two disagree nothing is told.
    """
    axes = _Axes(graph, shapes)
    for node in graph.node:
        axes.follow(node)
    for node in reversed(graph.node):
        axes.ask(node)
    axes.settle(value.name for value in graph.input)
    return axes.found


class _Axes:
    """The axes found so far."""

    def __init__(self, graph: onnx.GraphProto, shapes: Shapes) -> None:
        self.found: dict[str, int] = {}
        self._shapes = shapes
        self._constants = constants(graph)
        self._asked: dict[str, set[int]] = {}
        weights = {one.name for one in graph.initializer} | {one.values.name for one in graph.sparse_initializer}
        self._varies = {value.name for value in graph.input} - weights

    def follow(self, node: onnx.NodeProto) -> None:
        """From what a node reads to what it writes."""
        if self._varies.isdisjoint(tensors_read(node)):
            return
        self._varies.update(node.output)
        for output in node.output:
            shape = self._shapes.get(output)
            axis = None if shape is None else self._written(node, shape)
            if shape is not None and axis is not None and 0 < axis < len(shape):
                self.found[output] = axis

    def ask(self, node: onnx.NodeProto) -> None:
        """From what a node writes, and from what it is, to what it reads."""
        self.settle(node.output)
        for name, axis in self._read(node):
            if name in self._varies and 0 < axis < len(self._shapes[name]):
                self._asked.setdefault(name, set()).add(axis)

    def settle(self, names: Iterable[str]) -> None:
        """What is not known of tensors all of whose readers were asked."""
        for name in names:
            asked = self._asked.get(name, set())
            if name not in self.found and len(asked) == 1:
                self.found[name] = next(iter(asked))

    def _written(self, node: onnx.NodeProto, shape: tuple[int, ...]) -> int | None:
        first = self.found.get(node.input[0]) if node.input else None
        match node.op_type:
            case op if op in _CONVOLVE:
                return first if first is not None and self._leaves(node, first) else 1
            case op if op in _POOL:
                return 1 if first is None else first
            case op if op in _NORMALISE:
                return self._last(node) if first is None else first
            case op if op in _MATRICES:
                return self._multiplied(node, len(shape))
            case "Gather" if node.input[0] not in self._varies:
                return len(shape) - 1 if flag(node, "axis") == 0 and len(self._shape(node.input[0])) == 2 else None
            case "Transpose":
                return None if first is None else _order(node, len(shape)).index(first)
            case op if op in _UNTOLD:
                return None
        places = {self._moved(name, shape, node.op_type in _LAY_OUT) for name in node.input if name in self.found}
        return places.pop() if len(places) == 1 else None

    def _read(self, node: onnx.NodeProto) -> Iterator[tuple[str, int]]:
        """Tensors of known shapes, and where the node has their channels."""
        names = [name for name in node.input if name in self._shapes]
        axis = next((self.found[name] for name in node.output if name in self.found), None)
        if node.op_type in _CONVOLVE or node.op_type in _POOL:
            yield from ((name, 1) for name in names[:1])
        elif node.op_type in _NORMALISE:
            yield from ((name, last) for name in names[:1] if (last := self._last(node)) is not None)
        elif node.op_type in _MATRICES:
            a, b = (node.input[index] for index in _MATRICES[node.op_type])
            if (a in self._varies) != (b in self._varies):
                name, place = (a, 1) if a in self._varies else (b, 2)
                yield from ((name, len(self._shapes[name]) - place) for name in {name} & set(names))
        elif node.op_type in _REDUCE:
            yield from ((name, left) for name in names[:1] for left in self._left(node))
        elif axis is not None and node.op_type == "Transpose":
            yield from ((name, _order(node, len(self._shapes[name]))[axis]) for name in names)
        elif axis is not None and node.op_type not in _UNTOLD:
            written = next(self._shapes[name] for name in node.output if name in self.found)
            for name in names:
                back = _place(written, self._shapes[name], axis, anew=node.op_type in _LAY_OUT)
                yield from () if back is None else [(name, back)]

    def _shape(self, name: str) -> tuple[int, ...]:
        return self._shapes.get(name, ())

    def _moved(self, name: str, shape: tuple[int, ...], anew: bool) -> int | None:
        return _place(self._shapes[name], shape, self.found[name], anew=anew)

    def _leaves(self, node: onnx.NodeProto, axis: int) -> bool:
        """A convolution over single places of the channels' axis: it mixes tokens, and leaves channels where they are."""
        place = 3 if node.op_type == "QLinearConv" else 1
        return axis > 1 and self._shape("".join(node.input[place : place + 1]))[axis : axis + 1] == (1,)

    def _last(self, node: onnx.NodeProto) -> int | None:
        """The last axis of what is normalised, if over no other."""
        last = len(self._shape(node.input[0])) - 1
        return last if flag(node, "axis", -1) in (-1, last) else None

    def _multiplied(self, node: onnx.NodeProto, rank: int) -> int | None:
        """Channels that are summed over become others in their place; those on another axis stay."""
        a, b = (node.input[index] for index in _MATRICES[node.op_type])
        places = [self.found[name] + rank - len(self._shapes[name]) if name in self.found else None for name in (a, b)]
        if b not in self._varies:
            return rank - 1 if places[0] is None else places[0]
        if a not in self._varies:
            return rank - 2 if places[1] is None else places[1]
        left = {
            place for place, summed in zip(places, (rank - 1, rank - 2), strict=True) if place not in (None, summed)
        }
        return left.pop() if len(left) == 1 else None

    def _left(self, node: onnx.NodeProto) -> list[int]:
        """The one axis but the rows that a reduction leaves, where what is left can only be the channels."""
        rank = len(self._shape(node.input[0]))
        given = next((list(one.ints) for one in node.attribute if one.name == "axes"), None)
        if given is None:
            given = self._constants.get(node.input[1], np.array([], np.int64)).tolist() if len(node.input) > 1 else []
        left = sorted(set(range(1, rank)) - {axis % rank for axis in given}) if rank else []
        is_pool = len(given) == 2 or (len(given) == 1 and not flag(node, "keepdims", 1))
        return left if is_pool and len(left) == 1 else []


def _order(node: onnx.NodeProto, rank: int) -> list[int]:
    given = next((list(one.ints) for one in node.attribute if one.name == "perm"), None)
    return given or list(range(rank))[::-1]


def _place(before: tuple[int, ...], after: tuple[int, ...], axis: int, *, anew: bool) -> int | None:
    """Where an axis of one shape is in another; ``anew``: the numbers are laid out anew, in their order.

    Else axes stay, or are aligned at the last one, as where shapes broadcast. Laid out anew an axis is where as many
    numbers lie behind it as did.
    """
    if not anew and len(before) == len(after):
        return axis
    if not anew and len(before) < len(after):
        return axis + len(after) - len(before)
    behind = math.prod(before[axis + 1 :])
    same = (k for k in range(1, len(after)) if after[k] == before[axis] and math.prod(after[k + 1 :]) == behind)
    return next(same, None)
