"""ONNX models with weights in other files: read whole, and parted again into a graph and one file of weights."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import external_data_helper, inliner

from anytime.model_store.errors import GraphUnreadable
from anytime.model_store.onnx_file import parse_model
from anytime.training.errors import BadClassifier

ALIGNMENT = 64
"""Bytes: each tensor starts at a multiple, as kernels like it."""
LEAST_BYTES = 1024
"""Tensors below it stay in the graph: shapes and scalars, which readers of a graph look at."""


def read_whole(path: Path, data: bytes) -> tuple[onnx.ModelProto, bool]:
    """The model in ``data``, which was read from ``path``, with its weights in memory, and whether any lay elsewhere.

    Functions of its own, as torch's exporter writes them, are inlined. Raises ``BadClassifier``.
    """
    try:
        model = parse_model(data, path.name)
    except GraphUnreadable as error:
        raise BadClassifier(str(error)) from error
    model = _inlined(model, path.name)
    if not any(external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer):
        return model, False
    try:
        external_data_helper.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # a missing file, a path that leaves the folder, an offset: onnx raises a type for each
        raise BadClassifier(
            f"{path.name} keeps weights in other files and they cannot be read: {error}; put them beside the model"
        ) from error
    return model, True


def _inlined(model: onnx.ModelProto, said: str) -> onnx.ModelProto:
    """Before the weights are read: the inliner copies the whole model, and cannot copy more than 2 GB."""
    if not model.functions:
        return model
    try:
        return inliner.inline_local_functions(model, convert_version=True)
    except (RuntimeError, ValueError) as error:
        raise BadClassifier(f"{said}: its functions cannot be inlined: {error}; export it anew without") from error


def part_weights(model: onnx.ModelProto, location: str) -> bytes:
    """Move large initializers out of ``model``, in place, to a file that it will find at ``location``: its bytes."""
    weights = bytearray()
    for tensor in model.graph.initializer:
        if not tensor.HasField("raw_data") or len(tensor.raw_data) < LEAST_BYTES:
            continue
        weights.extend(bytes(-len(weights) % ALIGNMENT))
        length = len(tensor.raw_data)
        external_data_helper.set_external_data(tensor, location, offset=len(weights), length=length)
        weights.extend(tensor.raw_data)
        tensor.ClearField("raw_data")
    return bytes(weights)
