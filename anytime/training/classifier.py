"""One trained ONNX classifier, read and understood: what goes in, which scores come out, what a row costs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
from onnx.helper import tensor_dtype_to_np_dtype

from anytime.model_store import Uncountable, count_macs
from anytime.model_store.tensors import DTYPES
from anytime.training.errors import BadClassifier, MacsUnknown
from anytime.training.probe import Kind, run_random, tell_kind
from anytime.training.prune import prune
from anytime.training.scores import find_labels, find_scores
from anytime.training.weights import part_weights, read_whole

_BATCH_HINT = (
    "export it with a free row axis "
    "(torch.onnx.export: dynamic_axes={'input': {0: 'batch'}}, or dynamic_shapes with dynamo=True)"
)


@dataclass(frozen=True)
class Classifier:
    """A classifier of one input whose graph gives the scores and nothing else."""

    path: Path
    sha256: str
    """Of the file, in hexadecimal; weights in other files are not in it."""
    model: onnx.ModelProto
    weights: tuple[str, bytes] | None
    """Where the model looks for its large weights, and their bytes; ``None``: they are in the model."""
    input: str
    dtype: str
    row_shape: tuple[int, ...]
    one_row: bool
    """The row axis is fixed at 1: it runs one row at a time."""
    scores: str
    scores_dtype: str
    kind: Kind
    classes: int
    labels: tuple[str, ...] | None
    macs: int

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.path.name


def read_classifier(path: Path, outputs: Literal["auto"] | Kind = "auto", macs: int | None = None) -> Classifier:
    """The classifier in an ONNX file.

    ``outputs``: what its scores are; ``auto`` runs it on random rows and looks. ``macs``: multiply-adds of a row, where
    they cannot be counted or are known better. Raises ``BadClassifier`` or ``MacsUnknown``.
    """
    said = path.name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadClassifier(f"{path} cannot be read: {error.strerror or error}; give an ONNX file") from error
    sha256 = hashlib.sha256(data).hexdigest()
    whole, has_other_files = read_whole(path, data)
    scores = find_scores(whole, said)
    model = prune(whole, scores)
    location = f"{sha256[:16]}.weights"
    weights = (location, part_weights(model, location)) if has_other_files else None
    name, dtype, row_shape, one_row = _read_input(model, said)
    counted = _count(model, said) if macs is None else macs
    sample = run_random(model, weights, (name, dtype, row_shape), one_row=one_row, said=said)
    return Classifier(
        path=path, sha256=sha256, model=model, weights=weights,
        input=name, dtype=dtype, row_shape=row_shape, one_row=one_row,
        scores=scores, scores_dtype=str(sample.dtype),
        kind=tell_kind(sample, said) if outputs == "auto" else outputs,
        classes=sample.shape[1], labels=find_labels(whole, sample.shape[1]), macs=counted,
    )  # fmt: skip


def _read_input(model: onnx.ModelProto, said: str) -> tuple[str, str, tuple[int, ...], bool]:
    """(name, dtype, row shape, whether the row axis is fixed at 1)"""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise BadClassifier(f"{said} has {len(inputs)} inputs ({names}); a cascade takes models of one input tensor")
    value = inputs[0]
    tensor = value.type.tensor_type
    dtype = _dtype(tensor.elem_type) if value.type.HasField("tensor_type") else None
    if dtype is None:
        raise BadClassifier(f"{said}: input {value.name!r} is no tensor of {', '.join(DTYPES)}; export it with one")
    if not tensor.HasField("shape") or len(tensor.shape.dim) < 2:
        raise BadClassifier(
            f"{said}: input {value.name!r} has no shape, or only one axis; wanted the rows and at least one axis more"
        )
    rows, *axes = tensor.shape.dim
    if rows.dim_value > 1:
        raise BadClassifier(
            f"{said} takes exactly {rows.dim_value} rows at a time; wanted any number, or 1: {_BATCH_HINT}"
        )
    for axis in axes:
        if axis.dim_value < 1:
            open_axis = axis.dim_param or "unnamed"
            raise BadClassifier(
                f"{said}: input {value.name!r} has the open axis {open_axis!r}; a cascade needs every axis but the "
                f"first fixed: python -m onnxruntime.tools.make_dynamic_shape_fixed --dim_param {open_axis} "
                f"--dim_value N IN OUT"
            )
    return value.name, dtype, tuple(axis.dim_value for axis in axes), rows.dim_value == 1


def _dtype(elem_type: int) -> str | None:
    try:
        dtype = str(tensor_dtype_to_np_dtype(elem_type))
    except KeyError:
        return None
    return dtype if dtype in DTYPES else None


def _count(model: onnx.ModelProto, said: str) -> int:
    wanted = f"give them with --macs {said}=N (a tree ensemble: about the comparisons of a row, trees x depth)"
    if any(node.op_type.startswith("TreeEnsemble") for node in model.graph.node):
        raise MacsUnknown(f"{said} has trees, which have no multiply-adds to count; {wanted}")
    try:
        counted = count_macs(model, {})
    except Uncountable as error:
        raise MacsUnknown(f"{said}: {error}; or {wanted}") from error
    if counted == 0:
        raise MacsUnknown(f"{said} has no multiply-adds that can be counted; {wanted}")
    return counted
