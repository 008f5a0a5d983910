"""Writing an ONNX graph down operator by operator, as its formula reads; nothing here knows bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR = 9

Spec = tuple[str, Sequence[int | str]]
"""Dtype and shape of a graph's input or output, such as ``("float32", ("batch", 4))``."""


class Sketch:
    """A graph under way. Tensors are known by name; an array given where a name is wanted becomes a weight."""

    def __init__(self, **inputs: Spec) -> None:
        self._inputs = inputs
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str | np.ndarray, to: str | None = None, **attributes: object) -> str:
        """Add one node; returns the name of its output, ``to`` if given."""
        names = [each if isinstance(each, str) else self._weight(np.asarray(each)) for each in inputs]
        output = to or f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, names, [output], **attributes))
        return output

    def cast(self, x: str, dtype: str) -> str:
        """``Cast``, whose attribute is called ``to`` as well."""
        output = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node("Cast", [x], [output], to=_element(dtype)))
        return output

    def gemm(self, x: str, weight: np.ndarray, bias: np.ndarray, to: str | None = None) -> str:
        """x (N, I), weight (I, O), bias (O,) -> (N, O)."""
        return self.op("Gemm", x, weight, bias, to=to)

    def pooled(self, x: str) -> str:
        """Mean over the map: (N, C, H, W) -> (N, C)."""
        return self.op("Flatten", self.op("GlobalAveragePool", x))

    def model(self, **outputs: Spec) -> onnx.ModelProto:
        graph = helper.make_graph(self._nodes, "graph", _values(self._inputs), _values(outputs), self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _weight(self, value: np.ndarray) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(value, name))
        return name


def _values(specs: Mapping[str, Spec]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, _element(dtype), list(shape)) for name, (dtype, shape) in specs.items()]


def _element(dtype: str) -> TensorProto.DataType:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
