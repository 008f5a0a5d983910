"""A graph as ONNX Runtime runs it fastest where it is one stage of several: a residual block's map is laid out at once.

On x86-64 ONNX Runtime computes convolutions in a layout of its own, channels in blocks of 8 or 16. A whole network is laid
out once, but each stage begins anew, and a map that comes in is laid out only for the convolutions that read it. A residual
block adds the map to what they make of it, and that sum runs in the plain layout: its other side is laid back, the sum and
the Relu behind it are not joined to a convolution, and the result is laid out once more. An average over one pixel gives the
map as it is and is computed in blocks; where it comes first, the block stays there.
"""

from __future__ import annotations

import platform
from pathlib import Path

import onnx
from onnx import helper

from anytime.model_store.errors import GraphUnreadable
from anytime.model_store.external import has_external_data
from anytime.model_store.onnx_file import parse_model

_BLOCK = 16
"""Channels in a block with AVX-512, and two blocks with AVX2. Maps that do not fill their blocks lose by it."""
_LARGEST = 256 * 1024**2
"""Bytes of a file: its model is held in memory twice more while it is laid out, and little of its time is saved."""
_ELEMENTWISE = frozenset({"BatchNormalization", "Relu", "Clip"})
_STANDARD = ("", "ai.onnx")


def runnable(location: Path) -> Path | bytes:
    """What to make a session of: the ONNX file itself, or its model with residual blocks' maps laid out at once.

    Both compute the same but for rounding, which follows the layout. A model with weights in other files stays as it is, and
    a large one; what is no model is left for the session to refuse. Raises ``OSError`` where the file is gone.
    """
    if platform.machine().lower() not in {"x86_64", "amd64"} or location.stat().st_size > _LARGEST:
        return location
    data = location.read_bytes()
    if b"Conv" not in data:  # tells most graphs without one sooner than they are parsed
        return location
    try:
        model = parse_model(data, location.name)
    except GraphUnreadable:
        return location
    maps = _residual_maps(model.graph)
    if not maps or has_external_data(model):
        return location
    for number, name in enumerate(maps):
        _average_first(name, _unused(f"map{number}", data), model.graph)
    laid_out: bytes = model.SerializeToString()
    return laid_out


def _residual_maps(graph: onnx.GraphProto) -> list[str]:
    """The inputs that are added to what plain convolutions make of them."""
    maps = {value.name for value in graph.input if _is_blockable(value)}
    if not maps:
        return []
    channels = {one.name: one.dims[0] for one in graph.initializer if len(one.dims) == 4}
    made = {node.output[0]: node for node in graph.node if node.output}
    found = set()
    for node in graph.node:
        if node.op_type in ("Add", "Sum") and node.domain in _STANDARD and len(node.input) == 2:
            for name, other in (node.input, reversed(node.input)):
                if name in maps and _follows(other, name, made, channels):
                    found.add(name)
    return sorted(found)


def _is_blockable(value: onnx.ValueInfoProto) -> bool:
    """A float32 map (rows, channels, height, width) whose channels fill blocks."""
    tensor = value.type.tensor_type
    dims = tensor.shape.dim
    return bool(
        tensor.elem_type == onnx.TensorProto.FLOAT
        and len(dims) == 4
        and dims[1].dim_value > 0
        and dims[1].dim_value % _BLOCK == 0
    )


def _follows(tensor: str, name: str, made: dict[str, onnx.NodeProto], channels: dict[str, int]) -> bool:
    """Whether a tensor follows from the map ``name`` by convolutions alone, and what may stand between them.

    ``channels``: that each weight makes. Other operators leave the blocks, and then laying out at once costs more.
    """
    convolved = False
    while tensor in made:
        node = made[tensor]
        plain = node.op_type in _ELEMENTWISE
        if node.op_type == "Conv":
            plain = channels.get(node.input[1], 1) % _BLOCK == 0 and not any(
                one.name == "group" and one.i != 1 for one in node.attribute
            )
            convolved = True
        if not plain or node.domain not in _STANDARD:
            return False
        tensor = node.input[0]
    return convolved and tensor == name


def _average_first(name: str, laid_out: str, graph: onnx.GraphProto) -> None:
    for node in graph.node:
        for place, read in enumerate(node.input):
            if read == name:
                node.input[place] = laid_out
    graph.node.insert(0, helper.make_node("AveragePool", [name], [laid_out], kernel_shape=[1, 1]))


def _unused(name: str, data: bytes) -> str:
    """A name that the model has nowhere, subgraphs included."""
    while name.encode() in data:
        name += "_"
    return name
