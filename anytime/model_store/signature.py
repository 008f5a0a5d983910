"""Whether an ONNX graph takes and gives the tensors that the manifest says it reads and writes."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx.helper import np_dtype_to_tensor_dtype, tensor_dtype_to_np_dtype

from anytime.model_store.errors import GraphMismatch
from anytime.model_store.manifest import SCALAR_OUTPUTS, Graph, Manifest
from anytime.model_store.nearest import nearest
from anytime.model_store.tensors import DTYPES, Axis, Shape

_FLOATS = tuple(np_dtype_to_tensor_dtype(DTYPES[name]) for name in ("float16", "float32", "float64"))


def check_signature(where: str, graph: Graph, proto: onnx.GraphProto, manifest: Manifest) -> None:
    """Raise ``GraphMismatch`` where the ONNX graph and the manifest differ.

    Wanted: the same inputs by name; at least the outputs named; the same dtype, rank and fixed axes. An ONNX axis that
    is symbolic or unknown matches anything, and an ONNX row axis may be fixed at 1.
    """
    weights = {tensor.name for tensor in proto.initializer} | {one.values.name for one in proto.sparse_initializer}
    inputs = {value.name: value for value in proto.input if value.name not in weights}
    outputs = {value.name: value for value in proto.output}
    said = f"{where} ({graph.file})"
    for name in sorted(inputs.keys() ^ graph.reads.keys()):
        fault = "has the input %r, which reads leaves out" if name in inputs else "has no input %r, which reads names"
        raise GraphMismatch(f"{said} {fault % name}; the ONNX graph's inputs: {sorted(inputs)}")
    for name in graph.writes:
        if name not in outputs:
            raise GraphMismatch(f"{said} has no output {name!r}, which writes names; {nearest(name, sorted(outputs))}")
    states = {tensor.name: (tensor.dtype, tensor.shape) for tensor in manifest.tensors}
    columns = _columns(manifest)
    for name, state in graph.reads.items():
        _check_state(f"{said}: input {name!r}", inputs[name], *states[state], manifest)
    for name, target in graph.writes.items():
        if target in columns:
            _check_output(f"{said}: output {name!r}", outputs[name], columns[target])
        else:
            _check_state(f"{said}: output {name!r}", outputs[name], *states[target], manifest)


def _columns(manifest: Manifest) -> Mapping[str, int]:
    """The last axis of each head output: labels of its level, or 1."""
    labels = zip(manifest.logits_names, manifest.level_labels, strict=True)
    return {**dict.fromkeys(SCALAR_OUTPUTS, 1), **{name: len(known) for name, known in labels}}


def _check_state(said: str, value: onnx.ValueInfoProto, dtype: str, shape: Shape, manifest: Manifest) -> None:
    got = _tensor_type(said, value)
    if got.elem_type != np_dtype_to_tensor_dtype(DTYPES[dtype]):
        raise GraphMismatch(f"{said} is {_dtype_name(got.elem_type)}; the manifest says {dtype}: change either")
    bounds: Mapping[str, int] = {name: size.max for name, size in manifest.axes.items() if size.min == size.max}
    _check_axes(said, got, tuple(bounds.get(axis, axis) if isinstance(axis, str) else axis for axis in shape))


def _check_output(said: str, value: onnx.ValueInfoProto, columns: int) -> None:
    got = _tensor_type(said, value)
    if got.elem_type not in _FLOATS:
        raise GraphMismatch(f"{said} is {_dtype_name(got.elem_type)}; a head's output is a float tensor: add a Cast")
    _check_axes(said, got, ("batch", columns))


def _check_axes(said: str, got: onnx.TypeProto.Tensor, wanted: tuple[Axis, ...]) -> None:
    if not got.HasField("shape"):
        return
    stated = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in got.shape.dim]
    fits = len(stated) == len(wanted) and stated[0] in (None, 1)
    if fits:
        pairs = zip(stated[1:], wanted[1:], strict=True)
        fits = all(size is None or size == axis for size, axis in pairs)
    if not fits:
        shown = [dim.dim_param or dim.dim_value or "?" for dim in got.shape.dim]
        raise GraphMismatch(f"{said} has the shape {shown}; the manifest says {list(wanted)}: change either")


def _tensor_type(said: str, value: onnx.ValueInfoProto) -> onnx.TypeProto.Tensor:
    if not value.type.HasField("tensor_type"):
        raise GraphMismatch(
            f"{said} is not a tensor; wanted a dense tensor (for scikit-learn models switch ZipMap off)"
        )
    return value.type.tensor_type


def _dtype_name(elem_type: int) -> str:
    try:
        return str(tensor_dtype_to_np_dtype(elem_type))
    except KeyError:
        return f"ONNX type {elem_type}"
