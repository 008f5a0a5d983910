"""Where in an ONNX classifier the scores of the classes are, and what it says about the classes' names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import numpy_helper
from onnx.helper import get_attribute_value

from anytime.training.errors import BadClassifier

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
_NAMES = ("probabilities", "logits", "output_probability", "scores")
"""What exporters call the scores, where there are several float outputs; the first that is there is taken."""
_LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


def find_scores(model: onnx.ModelProto, said: str) -> str:
    """The tensor (rows, classes) of probabilities or logits.

    Of scikit-learn's outputs the label is passed over and a ZipMap, which makes a list of dictionaries, is undone.
    ``said`` names the model in messages. Raises ``BadClassifier`` where there is none, or more than one.
    """
    maps: dict[str, str] = {name: node.input[0] for node in _nodes(model, "ZipMap") for name in node.output}
    outputs: list[str] = [maps.get(value.name, value.name) for value in model.graph.output
               if value.name in maps or _may_be_scores(value)]  # fmt: skip
    if len(outputs) == 1:
        return outputs[0]
    named = [name for name in _NAMES if name in outputs]
    if named:
        return named[0]
    known = ", ".join(f"{value.name} ({_described(value)})" for value in model.graph.output)
    if not outputs:
        raise BadClassifier(
            f"{said} has no output with a score per class; wanted one float tensor (rows, classes); it has: {known}; "
            f"a scikit-learn model is exported with options={{'zipmap': False}}"
        )
    raise BadClassifier(
        f"{said} has several outputs that may be the scores: {known}; "
        f"name the right one 'probabilities' or 'logits', or leave the others out of the export"
    )


def find_labels(model: onnx.ModelProto, classes: int) -> tuple[str, ...] | None:
    """The names of the classes, where a classifier made from scikit-learn carries them, else ``None``."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in _LABELS and len(values := get_attribute_value(attribute)) == classes:
                return tuple(_text(value) for value in values)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in _nodes(model, "ArrayFeatureExtractor"):
        held = weights.get(node.input[0])
        if held is not None and held.data_type not in _FLOATS and list(held.dims) == [classes]:
            return tuple(_text(value) for value in numpy_helper.to_array(held).tolist())
    return None


def _nodes(model: onnx.ModelProto, op_type: str) -> Iterator[onnx.NodeProto]:
    return (node for node in model.graph.node if node.domain == "ai.onnx.ml" and node.op_type == op_type)


def _may_be_scores(value: onnx.ValueInfoProto) -> bool:
    """A float tensor of two axes; what is not stated may be."""
    kind = value.type
    if kind.WhichOneof("value") is None:
        return True
    if not kind.HasField("tensor_type") or kind.tensor_type.elem_type not in _FLOATS:
        return False
    return not kind.tensor_type.HasField("shape") or len(kind.tensor_type.shape.dim) == 2


def _described(value: onnx.ValueInfoProto) -> str:
    kind = value.type
    if not kind.HasField("tensor_type"):
        return (kind.WhichOneof("value") or "unknown").removesuffix("_type")
    axes: Iterable[onnx.TensorShapeProto.Dimension] = kind.tensor_type.shape.dim
    shape = [axis.dim_param or axis.dim_value or "?" for axis in axes]
    return f"{onnx.TensorProto.DataType.Name(kind.tensor_type.elem_type).lower()} {shape}"


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
