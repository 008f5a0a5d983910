"""The state of a training in one ``npz`` file: nothing is pickled, and the file is whole or the one before it.

module/NAME          parameters and buffers
optimizer/N/NAME     what the optimizer keeps of the N-th trained parameter, such as Adam's moments
position             JSON: the phase, the epoch and batch that come next, and the epoch's loss so far
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from anytime.model_store.npz import read_npz
from anytime.training.errors import RunFailed


@dataclass(frozen=True)
class Position:
    """What comes next: batch ``step`` of ``epoch``. ``loss`` is the sum over the epoch's ``rows`` so far."""

    phase: str
    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    rows: int = 0


def save(path: Path, position: Position, module: nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
    """Raises ``RunFailed`` where the file cannot be written, such as on a full disk; what was there is kept."""
    arrays: dict[str, Any] = {f"module/{name}": _array(value) for name, value in module.state_dict().items()}
    held = {} if optimizer is None else optimizer.state_dict()["state"]
    for number, state in held.items():
        arrays |= {f"optimizer/{number}/{name}": _array(value) for name, value in state.items() if value is not None}
    arrays["position"] = np.array(json.dumps(asdict(position)))
    temp = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temp.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temp, path)
    except OSError as error:
        raise RunFailed(f"{path} cannot be written: {error}; make room, and start the run again: it goes on") from error
    finally:
        temp.unlink(missing_ok=True)


def load(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer | None) -> Position | None:
    """Puts the state back and says where it was; ``None`` where there is no file. Raises ``RunFailed``."""
    if not path.exists():
        return None
    try:
        arrays = read_npz(path)
        position = Position(**json.loads(str(arrays.pop("position"))))
        tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
        module.load_state_dict(_below("module/", tensors))
        if optimizer is not None:
            _restore(optimizer, _below("optimizer/", tensors))
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise RunFailed(
            f"the checkpoint {path} cannot be used: {error}; remove it, and its phase begins anew"
        ) from error
    return position


def _restore(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    states: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition("/")
        states.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _array(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().numpy()
