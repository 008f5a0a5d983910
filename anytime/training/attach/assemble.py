"""A network's pieces and an exit's head behind each cut, as a bundle about to be written. Knows no training method."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from anytime.model_store import Bundle, write_bundle
from anytime.model_store.build import Content
from anytime.model_store.manifest import LOGITS
from anytime.model_store.nearest import nearest
from anytime.model_store.tensors import ROW_AXIS, Shape
from anytime.training.attach.network import Network
from anytime.training.attach.pieces import Piece, input_states
from anytime.training.attach.session import INLINE_BYTES, weight_bytes
from anytime.training.errors import BadOption
from anytime.training.weights import part_weights

BASE_LOGITS = "base_logits"
"""The state that holds the network's own logits where a head of its own ends the last stage."""


@dataclass(frozen=True)
class ExitHead:
    """An exit's head: a graph, and what it reads and writes."""

    model: onnx.ModelProto
    reads: Mapping[str, str]
    """ONNX input: state; that of the cut before it is ``Piece.state``."""
    writes: Mapping[str, str]
    """ONNX output: ``logits``, or a state that a later head reads."""
    macs: int | None = None
    """Where they are known better than counted."""


@dataclass(frozen=True)
class ExtraState:
    """A tensor that heads hand on, such as the log-probabilities so far."""

    name: str
    shape: Shape
    """The rows, ``batch``, first."""
    dtype: str = "float32"
    start: str | None = None
    """``zeros`` where the first head reads it too."""


@dataclass(frozen=True)
class Attached:
    """A bundle about to be written: more may be added to the draft, such as a calibration."""

    draft: Mapping[str, Any]
    files: Mapping[str, Content] = field(repr=False)

    def write(self, folder: Path, **more: object) -> Bundle:
        """Write the bundle to a new folder, with ``more`` fields of the manifest. Raises as ``write_bundle`` does."""
        return write_bundle(folder, {**self.draft, **more}, self.files)


def assemble(
    name: str,
    network: Network,
    pieces: Sequence[Piece],
    heads: Sequence[ExitHead],
    *,
    states: Sequence[ExtraState] = (),
    last: ExitHead | None = None,
    labels: Sequence[str] | None = None,
    preprocess: Mapping[str, Mapping[str, object]] | None = None,
    method: str = "attach",
) -> Attached:
    """The bundle of a cut network: a stage per piece, and the piece itself as the last one's head.

    ``heads`` has one for each cut. With ``last`` the last piece writes the state ``base_logits`` instead, which that
    head reads. ``labels`` are the classes' names; without them the file's own, or numbers. ``preprocess`` goes by input
    name. Weights stay in the graphs, or go to a file beside each where the network's own did, or where they are large.
    Raises ``BadOption``.
    """
    if len(heads) != len(pieces) - 1:
        raise BadOption(f"{len(heads)} heads for {len(pieces) - 1} cuts; give one per cut, shallowest first")
    files: dict[str, Content] = {}
    parted = network.has_other_files
    stages: list[dict[str, Any]] = []
    for number, (piece, head) in enumerate(zip(pieces, heads, strict=False), start=1):
        stages.append({"body": _piece(f"stages/{number}-body.onnx", piece, str(piece.state), parted, files),
                       "head": _head(f"stages/{number}-head.onnx", head, files)})  # fmt: skip
    number, end = len(pieces), pieces[-1]
    if last is None:
        stages.append({"head": _piece(f"stages/{number}-head.onnx", end, LOGITS, parted, files)})
    else:
        stages.append({"body": _piece(f"stages/{number}-body.onnx", end, BASE_LOGITS, parted, files),
                       "head": _head(f"stages/{number}-head.onnx", last, files)})  # fmt: skip
        states = [*states, ExtraState(BASE_LOGITS, (ROW_AXIS, network.classes))]
    draft = {
        "name": name,
        "method": method,
        "task": "classification",
        "inputs": _inputs(network, preprocess or {}),
        "axes": {axis: size.model_dump() for axis, size in network.inputs.axes.items()},
        "labels": list(_labels(network, labels)),
        "state": _states(pieces, states),
        "stages": stages,
        "base_macs": network.macs,
        "provenance": {
            "versions": {package: importlib.metadata.version(package) for package in ("onnx", "onnxruntime")}
        },
    }
    return Attached(draft, {**files, "card.md": _card(name, network, pieces).encode()})


def _piece(file: str, piece: Piece, writes: str, parted: bool, files: dict[str, Content]) -> dict[str, Any]:
    """A piece as the manifest says it; its files are added to ``files``."""
    model = piece.model
    if parted or weight_bytes(model) > INLINE_BYTES:
        model = onnx.ModelProto()
        model.CopyFrom(piece.model)
        weights = f"{Path(file).stem}.weights"
        data = part_weights(model, weights)
        if data:
            files[f"stages/{weights}"] = data
    files[file] = model
    return {"file": file, "reads": dict(piece.reads), "writes": {piece.output: writes}, "macs": piece.macs}


def _head(file: str, head: ExitHead, files: dict[str, Content]) -> dict[str, Any]:
    files[file] = head.model
    said = {"file": file, "reads": dict(head.reads), "writes": dict(head.writes)}
    return said if head.macs is None else {**said, "macs": head.macs}


def _inputs(network: Network, preprocess: Mapping[str, Mapping[str, object]]) -> list[dict[str, Any]]:
    names = input_states(network)
    for name in preprocess:
        if name not in names:
            raise BadOption(f"preprocess is given for {name!r}, which is no input; {nearest(name, sorted(names))}")
    return [
        {"name": names[entry.name], "dtype": entry.dtype, "shape": list(entry.shape),
         **({"preprocess": dict(preprocess[entry.name])} if entry.name in preprocess else {})}
        for entry in network.inputs.tensors
    ]  # fmt: skip


def _states(pieces: Sequence[Piece], more: Sequence[ExtraState]) -> list[dict[str, Any]]:
    passing = {piece.state: {"name": piece.state, "dtype": piece.cut.dtype, "shape": list(piece.cut.shape)}
               for piece in pieces if piece.cut is not None}  # fmt: skip
    further = [{"name": one.name, "dtype": one.dtype, "shape": list(one.shape),
                **({} if one.start is None else {"start": one.start})} for one in more]  # fmt: skip
    return [*passing.values(), *further]


def _labels(network: Network, given: Sequence[str] | None) -> Sequence[str]:
    if given is not None and len(given) != network.classes:
        raise BadOption(
            f"{len(given)} labels are given and {network.name} tells {network.classes} classes; give a label per class"
        )
    return given or network.labels or tuple(str(index) for index in range(network.classes))


def _card(name: str, network: Network, pieces: Sequence[Piece]) -> str:
    lines = [
        f"# {name}", "",
        f"The trained network {network.name} (SHA-256 {network.sha256}), cut into {len(pieces)} pieces, with an exit "
        f"behind each. The last exit is the network itself.", "",
        "| exit | reads | of the network's multiply-adds |", "| --- | --- | --- |",
    ]  # fmt: skip
    spent = 0
    for exit, piece in enumerate(pieces, start=1):
        spent += piece.macs
        lines.append(f"| {exit} | {piece.output} | {spent / max(network.macs, 1):.1%} |")
    return "\n".join(lines) + "\n"
