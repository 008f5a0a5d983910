"""A graph as ONNX Runtime runs it fastest where it is one stage of several: maps that come in get its own layout at once.

On x86-64 ONNX Runtime computes convolutions in a layout of its own, channels in blocks of 8 or 16. A whole network is laid
out once, but each stage begins anew, and a map that comes in is laid out only for the convolutions that read it. Where an
Add or Concat reads it too, that operator runs in the plain layout: its other side is laid back, the sum or the Relu behind
it is not joined to a convolution, and the result is laid out once more. A max pool of one pixel gives the map as it is and
is computed in blocks; where it comes first, all that reads the map stays there.
"""

from __future__ import annotations

import platform
from pathlib import Path

import onnx
from onnx import helper

from anytime.model_store.external import has_external_data
from anytime.model_store.onnx_file import parse_model

_BLOCK = 16
"""Channels in a block with AVX-512; with AVX2 half as many. Maps of other multiples cannot stay in blocks, and lose."""
_COMPUTED = frozenset({"Conv", "BatchNormalization"})
_JOINING = frozenset({"Add", "Sum", "Concat"})


def runnable(location: Path, path: str) -> Path | bytes:
    """What to make a session of: the ONNX file itself, or its model with maps laid out at once where that helps.

    Messages call it ``path``. Both compute the same but for rounding, which follows the layout; a -inf in such a map counts
    as the least float32. A model with weights in other files stays as it is. Raises ``GraphUnreadable``.
    """
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return location
    data = location.read_bytes()
    model = parse_model(data, path)
    maps = [value.name for value in model.graph.input if _is_blockable(value) and _is_joined(value.name, model.graph)]
    if not maps or has_external_data(model):
        return location
    for number, name in enumerate(maps):
        _pool_first(name, _unused(f"map{number}", data), model.graph)
    laid_out: bytes = model.SerializeToString()
    return laid_out


def _is_blockable(value: onnx.ValueInfoProto) -> bool:
    """A float32 map (rows, channels, height, width) whose channels fill blocks."""
    tensor = value.type.tensor_type
    dims = tensor.shape.dim
    return (
        tensor.elem_type == onnx.TensorProto.FLOAT
        and len(dims) == 4
        and dims[1].dim_value > 0
        and dims[1].dim_value % _BLOCK == 0
    )


def _is_joined(name: str, graph: onnx.GraphProto) -> bool:
    kinds = {node.op_type for node in graph.node if name in node.input and node.domain in ("", "ai.onnx")}
    return bool(kinds & _COMPUTED and kinds & _JOINING)


def _pool_first(name: str, pooled: str, graph: onnx.GraphProto) -> None:
    for node in graph.node:
        for place, read in enumerate(node.input):
            if read == name:
                node.input[place] = pooled
    graph.node.insert(0, helper.make_node("MaxPool", [name], [pooled], kernel_shape=[1, 1]))


def _unused(name: str, data: bytes) -> str:
    """A name that the model has nowhere, subgraphs included."""
    while name.encode() in data:
        name += "_"
    return name
