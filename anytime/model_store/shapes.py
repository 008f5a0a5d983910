"""The shape of every tensor of an ONNX graph for one row: what the multiply-adds are counted from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx
from onnx import checker, inliner, numpy_helper, shape_inference

from anytime.model_store.errors import Uncountable

Sizes = Mapping[str, int]
Shapes = Mapping[str, tuple[int, ...]]
"""Tensor name: shape, for the tensors whose shape is wholly known."""

SMALL = 1024
"""Elements up to which a constant may be a shape, and keeps its values while shapes are inferred."""
_SAME_AS_FIRST = frozenset((
    "BiasGelu", "FastGelu", "FusedConvAdd", "Gelu", "LayerNormalization", "QLinearLeakyRelu", "QLinearSigmoid",
    "QLinearSoftmax", "QuickGelu", "SimplifiedLayerNormalization", "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization", "MultiHeadAttention",
))  # fmt: skip
_BROADCAST = {"QLinearAdd": (0, 3), "QLinearMul": (0, 3)}
"""Contributed operators of ONNX Runtime, and which of their inputs broadcast together."""


def skeleton(model: onnx.ModelProto, sizes: Sizes, inputs: Mapping[str, Sequence[int]]) -> onnx.ModelProto:
    """The model without its weights' values, its inputs bound to one row, functions inlined, all shapes inferred.

    ``inputs`` gives whole shapes by name and wins over ``sizes``, which binds symbols; an input's first axis is the row
    axis and binds to 1.
    """
    bare = _without_weights(inliner.inline_local_functions(model) if model.functions else model)
    weights = {tensor.name for tensor in bare.graph.initializer}
    for value in bare.graph.input:
        if value.name not in weights and value.type.tensor_type.HasField("shape"):
            _bind(value, sizes, inputs.get(value.name))
    return _inferred(bare)


def graph_shapes(graph: onnx.GraphProto, outer: Shapes) -> Shapes:
    """The known shapes that nodes of ``graph`` see, those of enclosing graphs included."""
    found = dict(outer)
    for value in (*graph.input, *graph.value_info, *graph.output):
        shape = _shape(value)
        if shape is not None:
            found[value.name] = shape
    found.update((tensor.name, tuple(tensor.dims)) for tensor in graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                found[node.output[0]] = tuple(attribute.t.dims)
    return found


def constants(graph: onnx.GraphProto) -> Mapping[str, np.ndarray]:
    """The small initializers and constants of a graph, by name."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                tensors[node.output[0]] = attribute.t
    return {
        name: numpy_helper.to_array(tensor)
        for name, tensor in tensors.items()
        if tensor.data_location != onnx.TensorProto.EXTERNAL and 0 < np.prod(tensor.dims, dtype=np.float64) <= SMALL
    }


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    bare = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = model.graph
    bare.graph.name = graph.name or "graph"
    bare.graph.node.extend(graph.node)
    bare.graph.input.extend(graph.input)
    for tensor in graph.initializer:
        kept = bare.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        kept.data_location = onnx.TensorProto.EXTERNAL
        if np.prod(tensor.dims, dtype=np.float64) <= SMALL and tensor.data_location != onnx.TensorProto.EXTERNAL:
            kept.CopyFrom(tensor)
    for value in graph.output:
        kept_output = bare.graph.output.add(name=value.name, type=value.type)
        kept_output.type.tensor_type.ClearField("shape")
    return bare


def _bind(value: onnx.ValueInfoProto, sizes: Sizes, given: Sequence[int] | None) -> None:
    axes = value.type.tensor_type.shape.dim
    if given is not None and len(given) != len(axes):
        raise Uncountable(
            f"input {value.name!r} has {len(axes)} axes and the manifest says {len(given)}; change either"
        )
    for index, axis in enumerate(axes):
        size = given[index] if given is not None else sizes.get(axis.dim_param)
        if index == 0 and given is None:
            size = 1
        if size is not None:
            axis.dim_value = size


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """Infers, fills in what contributed operators give, and infers again until nothing new is known."""
    known = -1
    while True:
        try:
            model = shape_inference.infer_shapes(model, data_prop=True)
        except (ValueError, RuntimeError, checker.ValidationError, shape_inference.InferenceError) as error:
            raise Uncountable(f"shapes cannot be inferred: {error}; run ONNX's checker on the model") from error
        shapes = graph_shapes(model.graph, {})
        if len(shapes) == known:
            return model
        known = len(shapes)
        _fill_contributed(model.graph, dict(shapes))


def _fill_contributed(graph: onnx.GraphProto, shapes: dict[str, tuple[int, ...]]) -> None:
    outputs = {value.name: value for value in graph.output}
    for node in graph.node:
        if not node.output or node.output[0] in shapes:
            continue
        shape = _contributed(node, [shapes.get(name) for name in node.input])
        if shape is None:
            continue
        shapes[node.output[0]] = shape
        value = outputs.get(node.output[0]) or graph.value_info.add(name=node.output[0])
        elem_type = value.type.tensor_type.elem_type or onnx.TensorProto.FLOAT
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, elem_type, shape))


def _contributed(node: onnx.NodeProto, inputs: Sequence[tuple[int, ...] | None]) -> tuple[int, ...] | None:
    op = node.op_type
    if op in _SAME_AS_FIRST and inputs:
        return inputs[0]
    if op in _BROADCAST:
        pair = [inputs[index] for index in _BROADCAST[op]]
        return np.broadcast_shapes(*(shape for shape in pair if shape is not None)) if None not in pair else None
    if op in PRODUCTS:
        return product_shape(node, inputs)
    return _convolved(node, inputs) if op == "FusedConv" else None


def _convolved(node: onnx.NodeProto, inputs: Sequence[tuple[int, ...] | None]) -> tuple[int, ...] | None:
    """What ONNX says that a Conv without the fused activation would give."""
    if None in inputs[:2]:
        return None
    conv = onnx.helper.make_node("Conv", ["x", "w"], ["y"])
    conv.attribute.extend(attribute for attribute in node.attribute if not attribute.name.startswith("activation"))
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", inputs[0]), ("w", inputs[1]), ("y", None))
    ]
    graph = onnx.helper.make_graph([conv], "conv", values[:2], values[2:])
    return _shape(shape_inference.infer_shapes(onnx.helper.make_model(graph)).graph.output[0])


PRODUCTS = {
    "FusedMatMul": (0, 1), "FusedGemm": (0, 1), "QGemm": (0, 3), "DynamicQuantizeMatMul": (0, 1),
    "MatMulIntegerToFloat": (0, 1),
}  # fmt: skip
"""Contributed matrix products, and which of their inputs are the two matrices."""


def product_shape(node: onnx.NodeProto, inputs: Sequence[tuple[int, ...] | None]) -> tuple[int, ...] | None:
    """The shape that a contributed matrix product gives; ``None`` where an input's shape is unknown."""
    a, b = (inputs[index] for index in PRODUCTS[node.op_type])
    if a is None or b is None or len(a) < 2 or len(b) < 2:
        return None
    rows = a[-1] if flag(node, "transA") else a[-2]
    columns = b[-2] if flag(node, "transB") else b[-1]
    return (*np.broadcast_shapes(a[:-2], b[:-2]), rows, columns)


def flag(node: onnx.NodeProto, name: str, default: int = 0) -> int:
    """An integer attribute of a node."""
    return next((attribute.i for attribute in node.attribute if attribute.name == name), default)


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    if not value.type.tensor_type.HasField("shape"):
        return None
    axes: Iterable[onnx.TensorShapeProto.Dimension] = value.type.tensor_type.shape.dim
    sizes = [axis.dim_value if axis.HasField("dim_value") else None for axis in axes]
    known = [size for size in sizes if size is not None and size >= 0]
    return tuple(known) if len(known) == len(sizes) else None
