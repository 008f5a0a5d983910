"""A network cut into pieces: each goes from one cut's tensor to the next, the last one to the logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
from onnx import helper

from anytime.model_store.manifest import LOGITS, SCALAR_OUTPUTS
from anytime.model_store.tensors import DTYPES, Shape
from anytime.training.attach.cuts import Cut
from anytime.training.attach.network import Network
from anytime.training.attach.passages import Passages
from anytime.training.attach.restate import restate_shapes
from anytime.training.errors import BadOption
from anytime.training.prune import prune


@dataclass(frozen=True)
class Piece:
    """One piece of a network as a graph of its own. Weights that several pieces need are in each of them."""

    model: onnx.ModelProto
    """Its inputs: the tensor of the cut before it, and such inputs of the network as it needs."""
    reads: Mapping[str, str]
    """ONNX input: state."""
    output: str
    """The ONNX output: the tensor of the cut behind it, or the logits."""
    state: str | None
    """The state that holds the output; ``None``: it is the logits."""
    cut: Cut | None
    """The cut behind it; ``None``: it is the last."""
    macs: int
    """Multiply-adds of a row at the axes' usual sizes."""


def input_states(network: Network) -> Mapping[str, str]:
    """What a bundle calls the network's inputs: as they are called, but for names that mean something else there."""
    reserved = {LOGITS, *SCALAR_OUTPUTS}
    names = {entry.name for entry in network.inputs.tensors}
    return {name: _free(f"{name}_input", names) if name in reserved else name for name in names}


def cut(network: Network, cuts: Sequence[Cut]) -> list[Piece]:
    """The pieces between ``cuts``, shallowest first: one more than there are cuts.

    Chained they compute what the network computes, node for node, from the same weights. IR and operator versions stay.
    What a piece needs of the inputs, such as a mask, it computes again. Raises ``BadOption`` for no cuts,
    or some that are out of order, given twice or of another network.
    """
    _check_order(network, cuts)
    called, states = input_states(network), _states(network, cuts)
    work = {node.output[0]: work.macs for node, work in zip(network.model.graph.node, network.work, strict=True)}
    pieces = []
    for before, behind in pairwise([None, *cuts, None]):
        model = _between(network, before, behind)
        reads = {**called, **({before.tensor: states[before]} if before else {})}
        pieces.append(Piece(
            model=model,
            reads={value.name: reads[value.name] for value in model.graph.input if value.name in reads},
            output=network.scores if behind is None else behind.tensor,
            state=None if behind is None else states[behind], cut=behind,
            macs=sum(work.get(node.output[0], 0) for node in model.graph.node),
        ))  # fmt: skip
    return pieces


def _check_order(network: Network, cuts: Sequence[Cut]) -> None:
    if len({one.tensor for one in cuts}) != len(cuts):
        raise BadOption("a cut is given twice; leave one out")
    passages = Passages(network.model.graph, network.work)
    unknown = [one.tensor for one in cuts if not passages.is_written(one.tensor)]
    if unknown:
        raise BadOption(f"{network.name} computes no tensor {unknown[0]!r}; give cuts of this network")
    if not cuts or not all(passages.leads_to(earlier.tensor, later.tensor) for earlier, later in pairwise(cuts)):
        raise BadOption(f"{len(cuts)} cuts, not in order; give at least one, the shallowest first")


def _between(network: Network, before: Cut | None, behind: Cut | None) -> onnx.ModelProto:
    one_row = network.inputs.one_row
    given = [] if before is None else [_value(before, one_row)]
    model = prune(network.model, network.scores if behind is None else behind.tensor, given)
    if behind is not None:
        del model.graph.output[:]
        model.graph.output.append(_value(behind, one_row))
    if before is None:
        return model
    inputs: Mapping[str, Shape] = {entry.name: entry.shape for entry in network.inputs.tensors}
    return restate_shapes(model, inputs, {before.tensor: before.shape}, one_row=one_row)


def _value(one: Cut, one_row: bool) -> onnx.ValueInfoProto:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(DTYPES[one.dtype]))
    return helper.make_tensor_value_info(one.tensor, element, [1 if one_row else one.shape[0], *one.shape[1:]])


def _states(network: Network, cuts: Sequence[Cut]) -> Mapping[Cut, str]:
    """``h`` where all cuts are of one shape, else ``h1``, ``h2``, ...: a state has one shape."""
    kinds = list(dict.fromkeys((one.dtype, one.shape) for one in cuts))
    names = set(input_states(network).values())
    called = {kind: _free("h" if len(kinds) == 1 else f"h{index}", names) for index, kind in enumerate(kinds, start=1)}
    return {one: called[one.dtype, one.shape] for one in cuts}


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
