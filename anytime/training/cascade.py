"""Several trained classifiers as one bundle, cheap to dear, without training: each exit is a model of its own.

A stage is a head that starts again from the input. As a committee, each exit is the average of the models so far.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anytime.model_store import Bundle, write_bundle
from anytime.model_store.build import Content
from anytime.model_store.manifest import LOGITS, SCALAR_OUTPUTS
from anytime.model_store.tensors import ROW_AXIS
from anytime.training.classifier import Classifier
from anytime.training.errors import BadOption, ModelsDiffer
from anytime.training.head import COMMITTEE, Head, Member, make_head

Answer = Literal["latest", "most_confident"]
_INPUT = "input"
"""What the bundle's input is called where the models do not agree on a name."""


@dataclass(frozen=True)
class Cascade:
    """A bundle about to be written: more may be added to the draft, such as a calibration."""

    draft: Mapping[str, Any]
    files: Mapping[str, Content]

    def write(self, folder: Path, **more: object) -> Bundle:
        """Write the bundle to a new folder, with ``more`` fields of the manifest. Raises as ``write_bundle`` does."""
        return write_bundle(folder, {**self.draft, **more}, self.files)


def make_cascade(
    name: str,
    classifiers: Sequence[Classifier],
    *,
    labels: Sequence[str] | None = None,
    preprocess: Mapping[str, object] | None = None,
    committee: bool = False,
    keep_order: bool = False,
    answer: Answer = "latest",
) -> Cascade:
    """The bundle of some classifiers: an exit each, the fewest multiply-adds first unless ``keep_order``.

    ``labels`` are the classes' names; without them the models' own, or numbers. Raises ``ModelsDiffer``, ``BadOption``
    or ``BadClassifier``.
    """
    if not classifiers:
        raise BadOption("a cascade of no models; give at least one ONNX file, better two or more")
    _check_alike(classifiers)
    ordered = list(classifiers) if keep_order else sorted(classifiers, key=lambda one: one.macs)
    names = _labels(ordered, labels)
    heads = [make_head(one, Member(number, number == len(ordered)) if committee else None)
             for number, one in enumerate(ordered, start=1)]  # fmt: skip
    entry = _input(ordered, preprocess)
    total = {"name": COMMITTEE, "dtype": "float32", "shape": [ROW_AXIS, len(names)], "start": "zeros"}
    files: dict[str, Content] = {}
    stages = [{"head": _stage(number, one, head, entry["name"], files)}
              for number, (one, head) in enumerate(zip(ordered, heads, strict=True), start=1)]  # fmt: skip
    draft = {
        "name": name,
        "method": "committee" if committee else "cascade",
        "task": "classification",
        "inputs": [entry],
        "labels": list(names),
        "state": [total] if committee else [],
        "stages": stages,
        "answer": answer,
        "base_macs": max(one.macs for one in ordered) or None,
        "provenance": {
            "versions": {package: importlib.metadata.version(package) for package in ("onnx", "onnxruntime")}
        },
    }
    return Cascade(draft, {**files, "card.md": _card(name, ordered, committee).encode()})


def _stage(number: int, one: Classifier, head: Head, entry: str, files: dict[str, Content]) -> dict[str, Any]:
    """The head of a stage as the manifest says it; its files are added to ``files``."""
    file = f"stages/{number}-head.onnx"
    files[file] = head.model
    if one.weights is not None:
        location, data = one.weights
        files[f"stages/{location}"] = data
    reads, writes = {one.input: entry}, {head.logits: LOGITS}
    if head.sum_read is not None:
        reads[head.sum_read] = COMMITTEE
    if head.sum_written is not None:
        writes[head.sum_written] = COMMITTEE
    return {"file": file, "reads": reads, "writes": writes, "macs": one.macs}


def _check_alike(classifiers: Sequence[Classifier]) -> None:
    first = classifiers[0]
    for other in classifiers[1:]:
        for what, mine, theirs in (
            ("takes the dtype", first.dtype, other.dtype),
            ("takes rows of the shape", list(first.row_shape), list(other.row_shape)),
            ("gives the classes", first.classes, other.classes),
        ):
            if mine != theirs:
                raise ModelsDiffer(
                    f"{first.name} {what} {mine} and {other.name} {theirs}; all models of a cascade take the same "
                    f"input and tell the same classes: export one of them anew"
                )


def _labels(classifiers: Sequence[Classifier], given: Sequence[str] | None) -> Sequence[str]:
    classes = classifiers[0].classes
    if given is not None:
        if len(given) != classes:
            raise BadOption(
                f"{len(given)} labels are given and the models tell {classes} classes; give a label per class"
            )
        return given
    knowing = [one for one in classifiers if one.labels is not None]
    for one in knowing[1:]:
        if one.labels != knowing[0].labels:
            raise ModelsDiffer(
                f"{knowing[0].name} names the classes {_shown(knowing[0].labels)} and {one.name} {_shown(one.labels)}; "
                f"class k must mean the same in both: train on the same labels, or give --labels if only names differ"
            )
    known = knowing[0].labels if knowing else None
    return known or tuple(str(index) for index in range(classes))


def _shown(labels: Sequence[str] | None) -> str:
    listed = list(labels or ())
    return f"{listed[:5]}{f' and {len(listed) - 5} more' if len(listed) > 5 else ''}"


def _input(classifiers: Sequence[Classifier], preprocess: Mapping[str, object] | None) -> dict[str, Any]:
    """The bundle's one input, under the models' name for it if they have but one."""
    names = {one.input for one in classifiers}
    reserved = {COMMITTEE, LOGITS, *SCALAR_OUTPUTS}
    name = names.pop() if len(names) == 1 and not names & reserved else _INPUT
    entry: dict[str, Any] = {
        "name": name,
        "dtype": classifiers[0].dtype,
        "shape": [ROW_AXIS, *classifiers[0].row_shape],
    }
    return entry if preprocess is None else {**entry, "preprocess": dict(preprocess)}


def _card(name: str, classifiers: Sequence[Classifier], committee: bool) -> str:
    exits = "the average of the probabilities of the models so far" if committee else "the model of its row"
    lines = [
        f"# {name}", "",
        f"A {'committee' if committee else 'cascade'} of {len(classifiers)} classifiers, trained apart and put "
        f"together as they were. Each exit is {exits}.", "",
        "| exit | model | gives | multiply-adds | SHA-256 of the file |", "| --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    lines += [
        f"| {exit} | {one.name} | {one.kind} ({one.scores_dtype}) | {one.macs:,} | {one.sha256} |"
        for exit, one in enumerate(classifiers, start=1)
    ]
    return "\n".join(lines) + "\n"
