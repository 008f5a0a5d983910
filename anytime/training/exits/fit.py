"""Exits trained from start to end: the heads, and behind them what ensembles there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from anytime.training.exits.cached import Cached
from anytime.training.exits.tasks import EnsemblesTask, HeadsTask, Method, View
from anytime.training.loop import Device, Keeping, Progress, train
from anytime.training.methods.schedules import Schedule
from anytime.training.methods.ztw import Ztw


def fit_exits(
    method: Method, views: Sequence[View], held: Cached, *, heads: Schedule, ensembles: Schedule, seed: int,
    device: Device, keeping: Keeping | None = None, progress: Progress | None = None,
) -> None:  # fmt: skip
    """Train ``method`` in place (paper 001, algorithm 1). ``views``: the training rows as epochs see them, in
    turns.

    With ``keeping`` a killed run goes on, and a finished one is only loaded. Raises as ``train`` does.
    """
    train(
        HeadsTask(method, views, held, seed=seed), heads, seed=seed, device=device, keeping=keeping, progress=progress
    )
    if isinstance(method, Ztw) and method.ensembles is not None:
        task = EnsemblesTask(method, views, held, seed=seed)
        device = replace(device, bf16=False)
        train(task, ensembles, seed=seed, device=device, keeping=keeping, progress=progress)
