"""A trained classifier in an ONNX file, of any inputs, read and made ready to be cut: one graph that ends in logits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import helper

from anytime.model_store import Uncountable
from anytime.model_store.macs import Work, count_nodes, uninferred
from anytime.model_store.nearest import nearest
from anytime.model_store.tensors import ROW_AXIS
from anytime.training.attach.inputs import Axes, Inputs, NetworkInput, read_inputs, sized
from anytime.training.attach.restate import restate_shapes
from anytime.training.attach.session import open_session, run_session, with_outputs
from anytime.training.attach.tensors import describe
from anytime.training.errors import BadClassifier, BadOption, MacsUnknown
from anytime.training.head import make_head
from anytime.training.probe import ROWS, Kind, tell_kind
from anytime.training.prune import prune
from anytime.training.scores import find_labels, find_scores
from anytime.training.weights import read_whole

_PASSED_ON = frozenset(("Identity", "Cast"))
_FLOATS = ("float16", "float32", "float64")


@dataclass(frozen=True)
class Network:
    """A classifier whose graph gives float32 logits, (rows, classes), and nothing else."""

    path: Path
    sha256: str
    """Of the file, in hexadecimal, and of the weights that it keeps in others."""
    model: onnx.ModelProto
    """Weights in memory, functions inlined."""
    has_other_files: bool
    """The file keeps weights in others; so will what is made from it."""
    inputs: Inputs
    scores: str
    """The tensor of the logits."""
    classes: int
    labels: tuple[str, ...] | None
    work: tuple[Work, ...]
    """Of each node of the graph, for one row at the axes' usual sizes."""

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.path.name

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of one row at the axes' usual sizes."""
        return sum(work.macs for work in self.work)


@dataclass(frozen=True)
class _Scored:
    """A graph and its scores, as ``make_head`` wants them."""

    name: str
    model: onnx.ModelProto
    one_row: bool
    scores: str
    scores_dtype: str
    kind: Kind
    classes: int


def read_network(
    path: Path,
    *,
    output: str | None = None,
    outputs: Literal["auto"] | Kind = "auto",
    axes: Axes | None = None,
) -> Network:
    """The classifier in an ONNX file.

    ``output`` names the scores where several outputs may be; ``outputs`` says what they are, where running it on random
    rows does not tell. Probabilities become logits: what enters their Softmax, or else their logarithm. ``axes`` gives
    sizes to open axes other than the rows. Raises ``BadClassifier``, ``UnsupportedOperator``, ``BadOption`` or
    ``MacsUnknown``.
    """
    said = path.name
    whole, sha256, has_other_files = _read(path)
    scores = find_scores(whole, said) if output is None else _named(whole, output, said)
    entering = scores if outputs == "logits" else _before_softmax(whole, scores)
    if entering != scores:
        scores, outputs = entering, "logits"
    model = prune(whole, scores)
    tensors, one_row = read_inputs(model, said)
    inputs = sized(tensors, axes or {}, one_row, said)
    sample = _sample(model, inputs, scores, said)
    scored = _Scored(
        said, model, one_row, scores, str(sample.dtype),
        kind=tell_kind(sample, said) if outputs == "auto" else outputs, classes=sample.shape[1],
    )  # fmt: skip
    head = make_head(scored)
    rows = 1 if one_row else ROW_AXIS
    typed = helper.make_tensor_value_info(head.logits, onnx.TensorProto.FLOAT, [rows, scored.classes])
    del head.model.graph.output[:]
    head.model.graph.output.append(typed)
    model = _restated(head.model, inputs, said)
    return Network(
        path=path, sha256=sha256, model=model, has_other_files=has_other_files, inputs=inputs,
        scores=head.logits, classes=scored.classes, labels=find_labels(whole, scored.classes),
        work=_work(model, inputs, said),
    )  # fmt: skip


def describe_inputs(path: Path) -> tuple[NetworkInput, ...]:
    """The inputs of an ONNX file, nothing run: to learn which axes are open before giving them sizes."""
    return read_inputs(_read(path)[0], path.name)[0]


def _read(path: Path) -> tuple[onnx.ModelProto, str, bool]:
    """(model, SHA-256, whether weights lay in other files)"""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadClassifier(f"{path} cannot be read: {error.strerror or error}; give an ONNX file") from error
    model, has_other_files = read_whole(path, data)
    digest = hashlib.sha256(data)
    for tensor in model.graph.initializer if has_other_files else ():
        digest.update(tensor.raw_data)
    return model, digest.hexdigest(), has_other_files


def _named(model: onnx.ModelProto, output: str, said: str) -> str:
    known = [value.name for value in model.graph.output]
    if output not in known:
        raise BadOption(f"{said} has no output {output!r}; {nearest(output, known)}")
    return output


def _before_softmax(model: onnx.ModelProto, scores: str) -> str:
    """What enters the Softmax that gives ``scores``, if one does: softmax of it is what the network says."""
    producer = {name: node for node in model.graph.node for name in node.output}
    node = producer.get(scores)
    while node is not None and node.op_type in _PASSED_ON:
        node = producer.get(node.input[0])
    if node is None or node.op_type != "Softmax" or node.domain not in ("", "ai.onnx"):
        return scores
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), -1)
    return node.input[0] if axis in (1, -1) else scores


def _sample(model: onnx.ModelProto, inputs: Inputs, scores: str, said: str) -> np.ndarray:
    """The scores of a few random rows, (rows, classes)."""
    session = open_session(model, said)
    dims = inputs.typical(1 if inputs.one_row else ROWS)
    runs = [run_session(session, [scores], inputs.random(dims, seed), said)[0]
            for seed in range(ROWS if inputs.one_row else 1)]  # fmt: skip
    values = runs[0]
    if str(getattr(values, "dtype", "")) not in _FLOATS:  # the runtime gives lists and dictionaries too
        raise BadClassifier(
            f"{said}: output {scores!r} is no float tensor; wanted the scores of the classes, as float32"
        )
    if values.ndim != 2 or values.shape[0] != dims[ROW_AXIS] or values.shape[1] < 2:
        raise BadClassifier(
            f"{said}: output {scores!r} has the shape {list(values.shape)} for {dims[ROW_AXIS]} rows; "
            f"wanted (rows, classes) with a score for each of two classes or more: name another output"
        )
    return np.concatenate(runs)


def _restated(model: onnx.ModelProto, inputs: Inputs, said: str) -> onnx.ModelProto:
    """Shapes said by the inputs' axes: else a later piece would compute a tensor again just to see how long it is."""
    own = {entry.name: entry.shape for entry in inputs.tensors}
    asked = [node.input[0] for node in model.graph.node if node.op_type == "Shape" and node.input[0] not in own]
    known = describe(model, inputs, list(dict.fromkeys(asked)), said)
    return restate_shapes(model, {name: one.shape for name, one in known.items()}, own, one_row=inputs.one_row)


def _work(model: onnx.ModelProto, inputs: Inputs, said: str) -> tuple[Work, ...]:
    """Counted from the shapes that ONNX infers, and from those of a run where it cannot, as behind a sliced table."""
    shapes = inputs.shapes()
    try:
        asked = uninferred(model, shapes)
        seen: dict[str, tuple[int, ...]] = {}
        if asked:
            session = open_session(with_outputs(model, asked), said)
            found = run_session(session, asked, inputs.random(inputs.typical(1)), said)
            seen = {name: np.shape(values) for name, values in zip(asked, found, strict=True)}
        return count_nodes(model, shapes, seen)
    except Uncountable as error:
        raise MacsUnknown(f"{said}: {error}") from error
