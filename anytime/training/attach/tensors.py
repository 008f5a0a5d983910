"""The dtype and shape of tensors inside a network, its axes named: from two runs at different sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from anytime.model_store.shapes import Shapes, graph_shapes, skeleton
from anytime.model_store.tensors import DTYPES, ROW_AXIS, Dims, Shape
from anytime.training.attach.inputs import Inputs
from anytime.training.attach.session import open_session, run_session, with_outputs


@dataclass(frozen=True)
class Described:
    """A tensor whose axes are fixed, or as long as the rows or an open axis of the inputs."""

    dtype: str
    shape: Shape

    @property
    def has_rows_first(self) -> bool:
        """And nowhere else: only such a tensor can be a state."""
        return self.shape[:1] == (ROW_AXIS,) and ROW_AXIS not in self.shape[1:]


def describe(model: onnx.ModelProto, inputs: Inputs, tensors: Sequence[str], said: str) -> Mapping[str, Described]:
    """Those of ``tensors`` that a bundle has words for; the others are not dense, or as long as no axis with a name.

    Raises ``BadClassifier`` or ``UnsupportedOperator`` where the model does not run.
    """
    if not tensors:
        return {}
    session = open_session(with_outputs(model, tensors), said)
    first, second = inputs.two_sizes()
    runs = [run_session(session, tensors, inputs.random(dims), said) for dims in (first, second)]
    found = {name: _described(a, b, first, second) for name, a, b in zip(tensors, *runs, strict=True)}
    return {name: one for name, one in found.items() if one is not None}


def shapes_of_one_row(model: onnx.ModelProto, inputs: Inputs, said: str) -> Shapes:
    """Of every dense tensor of the main graph, at the axes' usual sizes: inferred, or from a run where ONNX cannot.

    Raises as ``describe``, and ``Uncountable`` where the model is none that ONNX can infer shapes of.
    """
    known = graph_shapes(skeleton(model, {}, inputs.shapes()).graph, {})
    missing = [name for node in model.graph.node for name in node.output if name and name not in known]
    if not missing:
        return known
    session = open_session(with_outputs(model, missing), said)
    found: list[object] = [*run_session(session, missing, inputs.random(inputs.typical(1)), said)]
    seen = {name: one.shape for name, one in zip(missing, found, strict=True) if isinstance(one, np.ndarray)}
    return {**known, **seen}


def _described(a: object, b: object, first: Dims, second: Dims) -> Described | None:
    if not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray) or str(a.dtype) not in DTYPES:
        return None
    if a.ndim != b.ndim:
        return None
    axes = [_axis(sizes, first, second) for sizes in zip(a.shape, b.shape, strict=True)]
    if first[ROW_AXIS] == second[ROW_AXIS] and axes[:1] == [1]:
        axes[0] = ROW_AXIS
    named = [axis for axis in axes if axis is not None]
    return Described(str(a.dtype), tuple(named)) if len(named) == len(axes) else None


def _axis(sizes: tuple[int, int], first: Dims, second: Dims) -> int | str | None:
    """A size that is the same in both runs, or the axis that has both sizes."""
    if sizes[0] == sizes[1]:
        return sizes[0]
    return next((axis for axis in first if (first[axis], second[axis]) == sizes), None)
