"""The multiply-adds of one ONNX node, from the shapes around it: a formula per operator.

A node that is not in ``FORMULAS`` counts nothing: elementwise work, pooling and normalisation are no multiply-adds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx

from anytime.model_store.errors import Uncountable
from anytime.model_store.shapes import PRODUCTS, Shapes, flag

Size = tuple[int, ...]


class Seen:
    """A node and the shapes that it sees; asking for one that is unknown raises ``Uncountable``."""

    def __init__(self, node: onnx.NodeProto, shapes: Shapes) -> None:
        self.node = node
        self._shapes = shapes

    def has(self, index: int) -> bool:
        return index < len(self.node.input) and self.node.input[index] != ""

    def input(self, index: int) -> Size:
        return self._known(self.node.input[index] if self.has(index) else "")

    def output(self) -> Size:
        return self._known(self.node.output[0])

    def flag(self, name: str, default: int = 0) -> int:
        return flag(self.node, name, default)

    def refuse(self, why: str) -> Uncountable:
        return Uncountable(f"{self.node.op_type} node {self.node.name or self.node.output[0]!r}: {why}")

    def _known(self, name: str) -> Size:
        shape = self._shapes.get(name)
        if shape is None:
            raise self.refuse(f"the shape of {name!r} is unknown; export the model with shapes, or with known axes")
        return shape


def _convolution(weight: int) -> Callable[[Seen], int]:
    """Each output element is a sum over a group's input channels and the kernel: weight (M, C / groups, ...)."""
    return lambda seen: math.prod(seen.output()) * math.prod(seen.input(weight)[1:])


def _transposed(seen: Seen) -> int:
    """Each input element is spread over a group's output channels and the kernel: weight (C, M / groups, ...)."""
    return math.prod(seen.input(0)) * math.prod(seen.input(1)[1:])


def _gemm(seen: Seen) -> int:
    return math.prod(seen.output()) * seen.input(0)[0 if seen.flag("transA") else 1]


def _matmul(seen: Seen) -> int:
    """Batched and broadcast: each output element is a sum over the last axis of the first input."""
    return math.prod(seen.output()) * seen.input(0)[-1]


def _contributed(seen: Seen) -> int:
    first = seen.input(PRODUCTS[seen.node.op_type][0])
    return math.prod(seen.output()) * first[-2 if seen.flag("transA") else -1]


def _recurrent(seen: Seen) -> int:
    """X (sequence, batch, inputs), or (batch, sequence, inputs); W and R (directions, gates x hidden, ...)."""
    steps, rows = seen.input(0)[:2]
    directions = math.prod(seen.input(1)) + math.prod(seen.input(2))
    return steps * rows * directions


def _einsum(seen: Seen) -> int:
    equation = next(one.s.decode() for one in seen.node.attribute if one.name == "equation").replace(" ", "")
    terms = equation.split("->")[0].split(",")
    if "." in equation:
        raise seen.refuse("an ellipsis in its equation is not counted; write the axes out")
    sizes = {axis: size for index, term in enumerate(terms) for axis, size in zip(term, seen.input(index), strict=True)}
    return math.prod(sizes.values()) * (len(terms) - 1)


def _attention(seen: Seen) -> int:
    """ONNX opset 23: Q, K, V as (batch, heads, length, size) or (batch, length, heads x size); past keys count too."""
    query, key, value = (seen.input(index) for index in range(3))
    if len(query) == 4:
        rows, heads, asked, size = query
        held, value_size = key[2], value[3]
    else:
        rows, asked, width = query
        heads, groups = seen.flag("q_num_heads"), seen.flag("kv_num_heads")
        if not heads or not groups:
            raise seen.refuse("three axes need q_num_heads and kv_num_heads; export the model anew")
        size, held, value_size = width // heads, key[1], value[2] // groups
    past = seen.input(4)[2] if seen.has(4) else 0
    return rows * heads * asked * (past + held) * (size + value_size)


def _packed_attention(seen: Seen) -> int:
    """ONNX Runtime's Attention: input (batch, length, width), weight (width, query + key + value)."""
    rows, length, width = seen.input(0)
    columns = seen.input(1)[1]
    sizes = next((list(one.ints) for one in seen.node.attribute if one.name == "qkv_hidden_sizes"), [columns // 3] * 3)
    past = seen.input(4)[3] if seen.has(4) else 0
    return rows * length * width * columns + rows * length * (past + length) * (sizes[0] + sizes[2])


def _linear(seen: Seen) -> int:
    """One row of a linear or support vector model: every coefficient and every number of a support vector once."""
    return sum(len(one.floats) for one in seen.node.attribute if one.name in ("coefficients", "support_vectors"))


def _many_headed(seen: Seen) -> int:
    """ONNX Runtime's MultiHeadAttention: query (batch, length, width), key and value likewise, without projections."""
    query = seen.input(0)
    if len(query) != 3 or not seen.has(2) or len(seen.input(2)) != 3:
        raise seen.refuse("only separate queries, keys and values of three axes are counted; export the model so")
    rows, length, width = query
    past = seen.input(6)[2] if seen.has(6) else 0
    return rows * length * (past + seen.input(1)[1]) * (width + seen.input(2)[2])


_LINEAR = ("LinearClassifier", "LinearRegressor", "SVMClassifier", "SVMRegressor")

FORMULAS: dict[tuple[str, str], Callable[[Seen], int]] = {
    ("", "Conv"): _convolution(1),
    ("", "ConvInteger"): _convolution(1),
    ("", "QLinearConv"): _convolution(3),
    ("", "ConvTranspose"): _transposed,
    ("", "Gemm"): _gemm,
    ("", "MatMul"): _matmul,
    ("", "MatMulInteger"): _matmul,
    ("", "QLinearMatMul"): _matmul,
    ("", "Einsum"): _einsum,
    ("", "Attention"): _attention,
    **{("", name): _recurrent for name in ("LSTM", "GRU", "RNN")},
    **{("ai.onnx.ml", name): _linear for name in _LINEAR},
    **{("com.microsoft", name): _contributed for name in PRODUCTS},
    ("com.microsoft", "FusedConv"): _convolution(1),
    ("com.microsoft", "QLinearConv"): _convolution(3),
    ("com.microsoft", "Attention"): _packed_attention,
    ("com.microsoft", "MultiHeadAttention"): _many_headed,
}
"""By (operator domain, operator)."""
