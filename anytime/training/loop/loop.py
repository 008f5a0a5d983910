"""The loop itself, as one would write it by hand: epochs, batches, a step; the rest is bookkeeping around it.

Everything random in a step follows from (seed, phase, epoch, batch), so that a run that was killed goes on to the very
same result. For several devices there is one place to change: ``_step`` sees a batch, and alone touches gradients.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from anytime.training.errors import RunFailed
from anytime.training.loop import checkpoint
from anytime.training.loop.checkpoint import Position
from anytime.training.loop.device import Device
from anytime.training.loop.log import Log
from anytime.training.loop.task import Task
from anytime.training.methods.schedules import Schedule
from anytime.training.seeding import seeded

REPORTS = 50
"""A phase is evaluated so often at most, spread evenly over its epochs, and after the last."""
SAVE_EVERY_S = 30.0

Progress = Callable[[Position, float], None]
"""Told after every batch: where the phase is, of how many epochs (as a share), to be shown."""


@dataclass(frozen=True)
class Keeping:
    """Where a phase keeps what it needs to go on: a run's folder."""

    folder: Path
    save_every_s: float = SAVE_EVERY_S

    def checkpoint(self, phase: str) -> Path:
        return self.folder / "checkpoints" / f"{phase}.npz"

    @property
    def log(self) -> Log:
        return Log(self.folder / "log.jsonl")


def train(
    task: Task, schedule: Schedule, *, seed: int, device: Device, keeping: Keeping | None = None,
    progress: Progress | None = None,
) -> None:  # fmt: skip
    """Train the parameters of ``task.module`` that have a gradient; it is left in eval mode, on the CPU.

    With ``keeping`` the phase goes on from its checkpoint, to the same result bit for bit on the same machine; one that
    had ended is only loaded. Raises ``RunFailed`` for a loss that is no number, a damaged checkpoint or a full disk.
    """
    phase = _Phase(task, schedule, seed, device, keeping, progress)
    task.module.to(device.name)
    try:
        phase.run()
    finally:
        task.module.to("cpu").eval()


class _Phase:
    def __init__(
        self, task: Task, schedule: Schedule, seed: int, device: Device, keeping: Keeping | None,
        progress: Progress | None,
    ) -> None:  # fmt: skip
        self.task, self.schedule, self.seed, self.device = task, schedule, seed, device
        self.keeping, self.progress = keeping, progress
        self.steps = -(-task.rows // schedule.batch)
        self.saved_at = time.monotonic()

    def run(self) -> None:
        optimizer = _optimizer(self.schedule, self.task.module)
        position = Position(self.task.name)
        if self.keeping is not None:
            path = self.keeping.checkpoint(self.task.name)
            position = checkpoint.load(path, self.task.module, optimizer) or position
            self.keeping.log.rewind(self.task.name, position.epoch)
        while position.epoch < self.schedule.epochs:
            position = self._epoch(position, optimizer)
            if position.epoch == self.schedule.epochs:
                self._save(position, None)

    def _epoch(self, position: Position, optimizer: torch.optim.Optimizer) -> Position:
        epoch, start_s = position.epoch, time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = self.schedule.rate(epoch)
        self.task.module.train()
        for batch in self.task.batches(epoch, self.schedule.batch, position.step):
            rows = len(batch[0])
            loss = self._step(self.device.put(batch), position, optimizer)
            position = replace(
                position, step=position.step + 1, loss=position.loss + loss * rows, rows=position.rows + rows
            )
            if self.progress is not None:
                self.progress(position, (epoch + position.step / self.steps) / self.schedule.epochs)
            if time.monotonic() - self.saved_at > (math.inf if self.keeping is None else self.keeping.save_every_s):
                self._save(position, optimizer)
        self._report(position, time.monotonic() - start_s)
        return Position(self.task.name, epoch + 1)

    def _step(self, batch: tuple[torch.Tensor, ...], position: Position, optimizer: torch.optim.Optimizer) -> float:
        with seeded(_seed(self.seed, position)), self.device.autocast():
            loss = self.task.loss(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise RunFailed(
                f"the loss of phase {position.phase} is {value} at epoch {position.epoch}, batch {position.step}; "
                f"lower its learning rate ({self.schedule.rate(position.epoch):g}), or look for NaN in the data"
            )
        return value

    def _report(self, position: Position, seconds: float) -> None:
        line = {"phase": self.task.name, "epoch": position.epoch, "loss": position.loss / max(position.rows, 1),
                "rate": self.schedule.rate(position.epoch), "seconds": round(seconds, 3)}  # fmt: skip
        every = max(1, self.schedule.epochs // REPORTS)
        if (position.epoch + 1) % every == 0 or position.epoch + 1 == self.schedule.epochs:
            self.task.module.eval()
            with torch.no_grad():
                line |= self.task.evaluate()
        if self.keeping is not None:
            self.keeping.log.append(line)

    def _save(self, position: Position, optimizer: torch.optim.Optimizer | None) -> None:
        if self.keeping is not None:
            checkpoint.save(self.keeping.checkpoint(self.task.name), position, self.task.module, optimizer)
        self.saved_at = time.monotonic()


def _optimizer(schedule: Schedule, module: nn.Module) -> torch.optim.Optimizer:
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if schedule.optimizer == "sgd":
        return torch.optim.SGD(
            trained, schedule.learning_rate, momentum=schedule.momentum, weight_decay=schedule.weight_decay
        )
    return torch.optim.Adam(trained, schedule.learning_rate, weight_decay=schedule.weight_decay)


def _seed(seed: int, position: Position) -> int:
    return zlib.crc32(f"{seed} {position.phase} {position.epoch} {position.step}".encode())
