"""The graph edits that make a classifier a stage's head: probabilities become logits, logits a committee's average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import helper, numpy_helper

from anytime.training.errors import BadClassifier
from anytime.training.probe import Kind

TINY = np.float32(np.finfo(np.float32).tiny)
"""The least probability whose logarithm is taken, 1.2e-38: a class that a tree rules out stays finite, at -87."""
COMMITTEE = "committee"
"""The state that holds the sum of the members' probabilities so far."""
_OLDEST = 8
"""The first version of ONNX's operators with the Max that is appended here."""


@dataclass(frozen=True)
class Member:
    """A seat in a committee: the ``number``-th, from 1, to speak; the last one keeps the sum to itself."""

    number: int
    is_last: bool


class Scored(Protocol):
    """A graph that gives the scores of a classifier, and what is known about them."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> onnx.ModelProto: ...
    @property
    def one_row(self) -> bool: ...
    @property
    def scores(self) -> str: ...
    @property
    def scores_dtype(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def classes(self) -> int: ...


@dataclass(frozen=True)
class Head:
    """A graph, and which ONNX output is ``logits``; of a committee's also its ends of the running sum."""

    model: onnx.ModelProto
    logits: str
    sum_read: str | None = None
    sum_written: str | None = None


def make_head(classifier: Scored, member: Member | None = None) -> Head:
    """The classifier as a head that writes float32 logits; IR version, operator versions and weights stay as they are.

    The logits of probabilities p are log p, so that softmax gives p again; those of a committee's k-th member the log
    of the mean of softmax(logits) over the first k, as in a deep ensemble. Raises ``BadClassifier`` for operators too
    old to add to.
    """
    if classifier.kind == "logits" and classifier.scores_dtype == "float32" and member is None:
        return Head(classifier.model, classifier.scores)
    tail = _Tail(classifier)
    logits = tail.float32(classifier.scores)
    if classifier.kind == "probabilities":
        logits = tail.log(logits)
    if member is None:
        return Head(tail.finished(logits), logits)
    read = tail.input("committee")
    total = tail.add("Add", [read, tail.add("Softmax", [logits], axis=1)])
    mean = tail.add("Mul", [total, tail.constant(np.float32(1.0 / member.number))])
    logits = tail.log(mean)
    if member.is_last:
        return Head(tail.finished(logits), logits, read)
    return Head(tail.finished(logits, total), logits, read, total)


class _Tail:
    """Nodes put behind a copy of a classifier's graph, under names that it does not use."""

    def __init__(self, classifier: Scored) -> None:
        self._classifier = classifier
        self._model = onnx.ModelProto()
        self._model.CopyFrom(classifier.model)
        self._graph = self._model.graph
        self._taken = {name for node in self._graph.node for name in (*node.input, *node.output)}
        self._taken |= {value.name for value in (*self._graph.input, *self._graph.output)}
        self._check_operators()

    def add(self, op_type: str, inputs: list[str], **attributes: Any) -> str:
        output = self._fresh(op_type.lower())
        self._graph.node.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
        return output

    def constant(self, value: np.ndarray | np.generic) -> str:
        """As a node: an initializer would count among the parameters."""
        return self.add("Constant", [], value=numpy_helper.from_array(np.asarray(value)))

    def input(self, name: str) -> str:
        """A further input, (rows, classes)."""
        name = self._fresh(name)
        self._graph.input.append(self._value(name))
        return name

    def float32(self, scores: str) -> str:
        """The scores as float32."""
        if self._classifier.scores_dtype == "float32":
            return scores
        return self.add("Cast", [scores], to=onnx.TensorProto.FLOAT)

    def log(self, probabilities: str) -> str:
        """log(max(p, tiny))"""
        return self.add("Log", [self.add("Max", [probabilities, self.constant(TINY)])])

    def finished(self, *outputs: str) -> onnx.ModelProto:
        """The model, with these tensors (rows, classes) as its outputs."""
        del self._graph.output[:]
        self._graph.output.extend(self._value(name) for name in outputs)
        return self._model

    def _value(self, name: str) -> onnx.ValueInfoProto:
        rows = 1 if self._classifier.one_row else None
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [rows, self._classifier.classes])

    def _fresh(self, name: str) -> str:
        found, count = f"exit_{name}", 1
        while found in self._taken:
            count += 1
            found = f"exit_{name}_{count}"
        self._taken.add(found)
        return found

    def _check_operators(self) -> None:
        versions = [one.version for one in self._model.opset_import if one.domain in ("", "ai.onnx")]
        if not versions:
            self._model.opset_import.append(helper.make_opsetid("", _OLDEST))
        elif versions[0] < _OLDEST:
            raise BadClassifier(
                f"{self._classifier.name} uses version {versions[0]} of ONNX's operators; wanted {_OLDEST} or later: "
                f"convert it with onnx.version_converter.convert_version"
            )
