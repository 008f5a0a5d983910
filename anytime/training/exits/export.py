"""Trained exits as the graphs that a bundle serves: a head each, and the states that they hand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
import torch
from torch import Tensor, nn

from anytime.model_store.manifest import LOGITS
from anytime.model_store.tensors import ROW_AXIS
from anytime.training.apart import TOLERANCE, apart
from anytime.training.attach import BASE_LOGITS, ExitHead, ExtraState, Inputs, Piece
from anytime.training.attach.session import open_session, run_session
from anytime.training.errors import ExportFailed, ParityBroken
from anytime.training.exits.tasks import Method
from anytime.training.exporter import quiet
from anytime.training.methods.ztw import Ztw, ZtwExit

_ROWS = (1, 3)
FEATURE = "feature"
"""What the graph of every head calls the tensor of its cut."""
_BEFORE, _SCORES, _LOG_P = "before", "scores", "log_p"


@dataclass(frozen=True)
class Exported:
    """What ``assemble`` takes: a head per cut, the tensors between them, and the last exit's own head if it has one."""

    heads: tuple[ExitHead, ...]
    states: tuple[ExtraState, ...]
    last: ExitHead | None


def export_exits(method: Method, pieces: Sequence[Piece], inputs: Inputs, labels: int) -> Exported:
    """The exits behind the cuts of ``pieces``, each compared with torch at several numbers of rows.

    Nothing that no later exit reads is written. Raises ``ExportFailed`` or ``ParityBroken``.
    """
    method = method.cpu().eval()
    exits: list[nn.Module] = [_exit(method, number) for number in range(1, len(pieces))]
    if isinstance(method, Ztw) and method.options.ensemble_final:
        exits.append(_exit(method, len(pieces)))
    read = {name for number, one in enumerate(exits, start=1) for name in _reads(one, number, FEATURE).values()}
    states = [name for number in range(1, len(exits) + 1) for name in (f"{_SCORES}_{number}", f"{_LOG_P}_{number}")
              if name in read]  # fmt: skip
    heads = []
    for number, (one, piece) in enumerate(zip(exits, pieces, strict=False), start=1):
        feature = _sample(piece, inputs, labels)
        reads = _reads(one, number, BASE_LOGITS if piece.state is None else piece.state)
        writes = {name: LOGITS if name == LOGITS else f"{name}_{number}" for name in _outputs(one)}
        writes = {name: state for name, state in writes.items() if state == LOGITS or state in states}
        heads.append(ExitHead(_export(_Some(one, list(writes)), list(reads), feature, labels, number), reads, writes))
    last = heads.pop() if len(heads) == len(pieces) else None
    return Exported(tuple(heads), tuple(ExtraState(name, (ROW_AXIS, labels)) for name in states), last)


class _Some(nn.Module):
    """An exit, of whose outputs only some are asked for; float32 whatever the feature is."""

    def __init__(self, exit: nn.Module, wanted: Sequence[str]) -> None:
        super().__init__()
        self.exit = exit
        self.names, self.wanted = list(_outputs(exit)), list(wanted)

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        said = self.exit(*(one.float() for one in given))
        found = dict(zip(self.names, said if isinstance(said, tuple) else (said,), strict=True))
        # Where one tensor goes by two names, each output is still one of its own.
        return tuple(found[name] if name == LOGITS else found[name] + 0.0 for name in self.wanted)


@dataclass(frozen=True)
class _Sample:
    """A cut's tensor for trying out: what each axis after the rows is called or measures, and a size for it."""

    sizes: tuple[int, ...]
    open_axes: Mapping[int, str]
    dtype: str


def _exit(method: Method, number: int) -> nn.Module:
    return method.exit(number)


def _outputs(exit: nn.Module) -> tuple[str, ...]:
    return exit.outputs if isinstance(exit, ZtwExit) else (LOGITS,)


def _reads(exit: nn.Module, number: int, feature: str) -> dict[str, str]:
    """ONNX input: state."""
    names = exit.inputs if isinstance(exit, ZtwExit) else (FEATURE,)
    return {name: feature if name == FEATURE else f"{_SCORES}_{number - 1}" if name == _BEFORE else name
            for name in names}  # fmt: skip


def _sample(piece: Piece, inputs: Inputs, labels: int) -> _Sample:
    if piece.cut is None:  # the last exit reads the network's logits
        return _Sample((labels,), {}, "float32")
    axes = piece.cut.shape[1:]
    sizes = tuple(one if isinstance(one, int) else inputs.axes[one].typical for one in axes)
    return _Sample(sizes, {k: one for k, one in enumerate(axes, start=1) if isinstance(one, str)}, piece.cut.dtype)


def _export(exit: _Some, names: Sequence[str], feature: _Sample, labels: int, number: int) -> onnx.ModelProto:
    given = _draw(feature, labels, len(names) - 1, rows=2, seed=number)
    rows = torch.export.Dim(ROW_AXIS)
    open_axes = {axis: torch.export.Dim(name, min=2) for axis, name in feature.open_axes.items()}
    shapes = (({0: rows, **open_axes}, *({0: rows} for _ in names[1:])),)
    try:
        with quiet():
            program = torch.onnx.export(
                exit.eval(), given, dynamo=True, verbose=False, dynamic_shapes=shapes, input_names=list(names),
                output_names=exit.wanted,
            )  # fmt: skip
        assert program is not None, "torch gives a program where it gets no file"
        model = program.model_proto
    except torch.onnx.OnnxExporterError as error:
        first = str(error.__cause__ or error).strip().splitlines()[0][:300]
        raise ExportFailed(f"torch cannot export the head of exit {number}: {first}") from error
    for rows_given in _ROWS:
        _compare(exit, model, names, _draw(feature, labels, len(names) - 1, rows_given, seed=number), number)
    return model


def _draw(feature: _Sample, labels: int, beside: int, rows: int, seed: int) -> tuple[Tensor, ...]:
    """A feature, and log-probabilities for whatever else is read."""
    draw = torch.Generator().manual_seed(seed)
    first = torch.randn((rows, *feature.sizes), generator=draw).to(getattr(torch, feature.dtype))
    return first, *(torch.log_softmax(torch.randn((rows, labels), generator=draw), dim=1) for _ in range(beside))


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
