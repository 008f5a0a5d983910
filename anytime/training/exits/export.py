"""Trained exits as the graphs that a bundle serves: a head each, and the states that they hand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
import torch
from torch import Tensor, nn

from anytime.model_store.manifest import LOGITS
from anytime.model_store.tensors import ROW_AXIS, Shape
from anytime.training.apart import TOLERANCE, apart
from anytime.training.attach import BASE_LOGITS, ExitHead, ExtraState, Inputs, Piece
from anytime.training.attach.session import open_session, run_session
from anytime.training.errors import ExportFailed, ParityBroken
from anytime.training.exits.reading import Reading
from anytime.training.exits.tasks import Method
from anytime.training.exporter import quiet
from anytime.training.methods.ztw import Ztw, ZtwExit

_ROWS = (1, 3)
FEATURE = "feature"
"""What the graph of every head calls the tensor of its cut."""
MASK = "mask"
"""And the input that says which places of it count, where it is read with one."""
_BEFORE, _SCORES, _LOG_P = "before", "scores", "log_p"


@dataclass(frozen=True)
class Exported:
    """What ``assemble`` takes: a head per cut, the tensors between them, and the last exit's own head if it has one."""

    heads: tuple[ExitHead, ...]
    states: tuple[ExtraState, ...]
    last: ExitHead | None


def export_exits(
    method: Method, pieces: Sequence[Piece], readings: Sequence[Reading], inputs: Inputs, labels: int
) -> Exported:  # fmt: skip
    """The exits behind the cuts of ``pieces``, a reading for each, compared with torch at several numbers of rows.

    Nothing that no later exit reads is written. Raises ``ExportFailed`` or ``ParityBroken``.
    """
    method = method.cpu().eval()
    exits: list[nn.Module] = [_exit(method, number) for number in range(1, len(pieces))]
    if isinstance(method, Ztw) and method.options.ensemble_final:
        exits.append(_exit(method, len(pieces)))
    read = {_state(name, number) for number, one in enumerate(exits, start=1) for name in _inputs(one)}
    states = [name for number in range(1, len(exits) + 1) for name in (f"{_SCORES}_{number}", f"{_LOG_P}_{number}")
              if name in read]  # fmt: skip
    heads = []
    for number, (one, piece) in enumerate(zip(exits, pieces, strict=False), start=1):
        reading = Reading(1) if piece.cut is None else readings[number - 1]
        given = [*_of_the_network(piece, reading, inputs, labels),
                 *(_Given(name, _state(name, number), (labels,)) for name in _inputs(one)[1:])]  # fmt: skip
        writes = {name: LOGITS if name == LOGITS else f"{name}_{number}" for name in _outputs(one)}
        writes = {name: state for name, state in writes.items() if state == LOGITS or state in states}
        model = _export(_Some(one, reading, list(writes)), given, inputs, number)
        heads.append(ExitHead(model, {entry.name: entry.state for entry in given}, writes))
    last = heads.pop() if len(heads) == len(pieces) else None
    return Exported(tuple(heads), tuple(ExtraState(name, (ROW_AXIS, labels)) for name in states), last)


class _Some(nn.Module):
    """An exit behind its reading, of whose outputs only some are asked for; float32 whatever the feature is."""

    def __init__(self, exit: nn.Module, reading: Reading, wanted: Sequence[str]) -> None:
        super().__init__()
        self.exit, self.reading = exit, reading
        self.names, self.wanted = list(_outputs(exit)), list(wanted)

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        feature, *beside = given
        mask = beside.pop(0) if self.reading.mask is not None else None
        said = self.exit(self.reading(feature.float(), mask), *beside)
        found = dict(zip(self.names, said if isinstance(said, tuple) else (said,), strict=True))
        # Where one tensor goes by two names, each output is still one of its own.
        return tuple(found[name] if name == LOGITS else found[name] + 0.0 for name in self.wanted)


@dataclass(frozen=True)
class _Given:
    """A tensor that a head reads: what the graph calls it and which state it is, its axes behind the rows, its dtype."""

    name: str
    state: str
    shape: Shape
    dtype: str = "float32"


def _exit(method: Method, number: int) -> nn.Module:
    return method.exit(number)


def _outputs(exit: nn.Module) -> tuple[str, ...]:
    return exit.outputs if isinstance(exit, ZtwExit) else (LOGITS,)


def _inputs(exit: nn.Module) -> tuple[str, ...]:
    return exit.inputs if isinstance(exit, ZtwExit) else (FEATURE,)


def _state(name: str, number: int) -> str:
    """Of what exit ``number`` reads besides its feature."""
    return f"{_SCORES}_{number - 1}" if name == _BEFORE else name


def _of_the_network(piece: Piece, reading: Reading, inputs: Inputs, labels: int) -> list[_Given]:
    """The feature, or for the last exit the network's logits, and where it is read with one the mask."""
    if piece.cut is None or piece.state is None:
        return [_Given(FEATURE, BASE_LOGITS, (labels,))]
    feature = _Given(FEATURE, piece.state, piece.cut.shape[1:], piece.cut.dtype)
    masks = [entry for entry in inputs.tensors if reading.mask is not None and entry.name == reading.mask.input]
    return [feature, *(_Given(MASK, entry.name, entry.shape[1:], entry.dtype) for entry in masks)]


def _export(exit: _Some, given: Sequence[_Given], inputs: Inputs, number: int) -> onnx.ModelProto:
    rows = torch.export.Dim(ROW_AXIS)
    symbols = {axis: torch.export.Dim(axis, min=2) for one in given for axis in one.shape if isinstance(axis, str)}
    shapes = tuple({0: rows, **{place: symbols[axis] for place, axis in enumerate(one.shape, start=1) if axis in symbols}}
                   for one in given)  # fmt: skip
    try:
        with quiet():
            program = torch.onnx.export(
                exit.eval(), _draw(given, inputs, rows=2, seed=number), dynamo=True, verbose=False,
                dynamic_shapes=(shapes,), input_names=[one.name for one in given], output_names=exit.wanted,
            )  # fmt: skip
        assert program is not None, "torch gives a program where it gets no file"
        model = program.model_proto
    except torch.onnx.OnnxExporterError as error:
        first = str(error.__cause__ or error).strip().splitlines()[0][:300]
        raise ExportFailed(f"torch cannot export the head of exit {number}: {first}") from error
    for rows_given in _ROWS:
        _compare(exit, model, [one.name for one in given], _draw(given, inputs, rows_given, seed=number), number)
    return model


def _draw(given: Sequence[_Given], inputs: Inputs, rows: int, seed: int) -> tuple[Tensor, ...]:
    """A feature, a mask with something on either side of it, and log-probabilities for whatever else is read."""
    draw = torch.Generator().manual_seed(seed)

    def drawn(one: _Given) -> Tensor:
        sizes = [axis if isinstance(axis, int) else max(inputs.axes[axis].typical, 2) for axis in one.shape]
        numbers = torch.randn((rows, *sizes), generator=draw)
        if one.name == MASK:
            numbers[:, 0], numbers[:, 1] = 1.0, -1.0
            return (numbers > 0).to(getattr(torch, one.dtype))
        return numbers.to(getattr(torch, one.dtype)) if one.name == FEATURE else torch.log_softmax(numbers, dim=1)

    return tuple(drawn(one) for one in given)


@torch.no_grad()
def _compare(exit: _Some, model: onnx.ModelProto, names: Sequence[str], given: Sequence[Tensor], number: int) -> None:
    wanted = exit(*given)
    said = f"the head of exit {number}"
    feeds = {name: value.numpy() for name, value in zip(names, given, strict=True)}
    found = run_session(open_session(model, said), exit.wanted, feeds, said)
    for name, ours, theirs in zip(exit.wanted, wanted, found, strict=True):
        difference = apart(ours.numpy(), theirs)
        if not difference <= TOLERANCE:
            raise ParityBroken(
                f"{name} of exit {number} is {difference:.1e} from torch at {len(given[0])} rows; wanted at most "
                f"{TOLERANCE:g}"
            )
