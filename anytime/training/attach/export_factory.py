"""A torch network that a function in the user's own file makes, exported once to ONNX. The only part that knows torch."""

from __future__ import annotations

import importlib.util
import inspect
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anytime.model_store.tensors import ROW_AXIS, Dims
from anytime.training.attach.inputs import Inputs, NetworkInput, sized
from anytime.training.attach.session import open_session, run_session
from anytime.training.errors import BadOption, ExportFailed
from anytime.training.exporter import quiet
from anytime.training.weights import read_whole

FILE = "model.onnx"
SCORES = "logits"
WITHIN = 1e-4
"""How far the exported network may be from torch's, relative to its largest score."""


def export_factory(
    factory: str, tensors: Sequence[NetworkInput], folder: Path, axes: Mapping[str, Any] | None = None
) -> Path:
    """Export the network that ``factory`` ("file.py:function", without arguments) makes: the ONNX file, in a new folder.

    The file is run: give only code that you trust. The network is put in eval mode, its rows are open, as are other
    symbols in the shapes of ``tensors``, whose sizes ``axes`` gives. A tensor goes to the parameter of ``forward`` of its
    name, or else all go in order. Scores are a tensor, an attribute or key ``logits``, or the first of several. At two
    sizes the file's scores are compared with torch's. Raises ``BadOption`` for a factory that is not there and
    ``ExportFailed`` for one that fails; then there is no folder.
    """
    inputs = sized(tuple(tensors), axes or {}, one_row=False, said=factory)
    network = _Scores(_made(factory), [entry.name for entry in tensors]).eval()
    if folder.exists():
        raise BadOption(f"{folder} exists already; give a folder that does not, or remove it first")
    temp = folder.parent / f".tmp-{folder.name}-{uuid.uuid4().hex}"
    temp.mkdir(parents=True)
    try:
        _export(network, inputs, temp / FILE, factory)
        _compare(network, inputs, temp / FILE, factory)
        temp.rename(folder)
    finally:
        shutil.rmtree(temp, ignore_errors=True)
    return folder / FILE


class _Scores(torch.nn.Module):
    """A network that gives its scores and nothing else, its inputs taken by name where it knows all of them."""

    def __init__(self, network: torch.nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self._names = tuple(names)
        self._by_name = set(names) <= set(inspect.signature(network.forward).parameters)

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        if self._by_name:
            given = self.network(**dict(zip(self._names, tensors, strict=True)))
        else:
            given = self.network(*tensors)
        if isinstance(given, torch.Tensor):
            return given
        found = given.get(SCORES) if isinstance(given, Mapping) else getattr(given, SCORES, None)
        if found is None and isinstance(given, (tuple, list)):
            found = given[0]
        if not isinstance(found, torch.Tensor):
            raise TypeError(
                f"forward gives {type(given).__name__}; wanted a tensor of scores, or something with logits"
            )
        return found


def _made(factory: str) -> torch.nn.Module:
    file, _, name = factory.rpartition(":")
    if not file or not name.isidentifier():
        raise BadOption(
            f"the factory {factory!r} is not file.py:function; give the file and the name of a function in it"
        )
    path = Path(file)
    if not path.is_file():
        raise BadOption(f"the factory's file {path} is not there; give file.py:function")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise BadOption(f"{path} is no Python file; give file.py:function")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if not callable(getattr(module, name, None)):
            raise BadOption(f"{path} has no function {name!r}; give file.py:function")
        made = getattr(module, name)()
    except BadOption:
        raise
    except Exception as error:  # whatever the user's own code raises
        raise ExportFailed(f"{factory} failed: {type(error).__name__}: {error}; run it by itself first") from error
    if not isinstance(made, torch.nn.Module):
        raise ExportFailed(f"{factory} made {type(made).__name__}; wanted a torch.nn.Module")
    return made


def _export(network: _Scores, inputs: Inputs, path: Path, factory: str) -> None:
    symbols = {ROW_AXIS: torch.export.Dim(ROW_AXIS)}
    symbols |= {axis: torch.export.Dim(axis, min=size.min, max=size.max)
                for axis, size in inputs.axes.items() if size.min < size.max}  # fmt: skip
    shapes = tuple({index: symbols[axis] for index, axis in enumerate(entry.shape)
                    if isinstance(axis, str) and axis in symbols} for entry in inputs.tensors)  # fmt: skip
    try:
        with quiet():
            program = torch.onnx.export(
                network, tuple(_tensors(inputs, inputs.typical(2))), dynamo=True, verbose=False,
                dynamic_shapes={"tensors": shapes}, output_names=[SCORES],
                input_names=[entry.name for entry in inputs.tensors],
            )  # fmt: skip
            assert program is not None, "torch gives a program where it gets no file"
            program.save(path)
    except Exception as error:  # torch raises a dozen unrelated types here
        cause: BaseException = error.__cause__ or error
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()] or [type(cause).__name__]
        raise ExportFailed(
            f"torch cannot export {factory}: {type(cause).__name__}: {lines[0][:300]}; see torch.export's rules on "
            f"control flow and open axes, or export the network yourself and attach the ONNX file"
        ) from error


def _compare(network: _Scores, inputs: Inputs, path: Path, factory: str) -> None:
    model, _ = read_whole(path, path.read_bytes())
    session = open_session(model, factory)
    for dims in (inputs.typical(1), inputs.two_sizes()[1]):
        tensors = _tensors(inputs, dims)
        try:
            with torch.no_grad():
                wanted = network(*tensors).numpy()
        except Exception as error:  # whatever the user's own code raises
            raise ExportFailed(
                f"{factory} does not run in torch for {dims}: {type(error).__name__}: {error}; mend its forward, or give "
                f"the sizes that it takes as axes"
            ) from error
        rows = {entry.name: tensor.numpy() for entry, tensor in zip(inputs.tensors, tensors, strict=True)}
        (got,) = run_session(session, [SCORES], rows, factory)
        if got.shape != wanted.shape:
            raise ExportFailed(
                f"{factory} gives {list(wanted.shape)} in torch and {list(got.shape)} as ONNX for {dims}"
            )
        apart = float(np.abs(got - wanted).max() / max(float(np.abs(wanted).max()), 1e-30))
        if not apart <= WITHIN:
            raise ExportFailed(
                f"{factory} as ONNX is {apart:.1e} from torch, relative to the largest score, for {dims}; wanted "
                f"{WITHIN:.0e}: look for random numbers or branches in forward"
            )


def _tensors(inputs: Inputs, dims: Dims) -> list[torch.Tensor]:
    return [torch.from_numpy(values) for values in inputs.random(dims).values()]
