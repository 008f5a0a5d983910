"""A run's folder on a network so small that it takes a second: for tests of what reads such folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anytime.training.add_exits import ExitOptions, add_exits
from anytime.training.attach import choose_cuts, find_cuts
from anytime.training.examples import read_examples
from anytime.training.loop import choose_device
from anytime.training.methods.schedules import Schedule
from tests.training.attach.networks import mlp

QUICK = ExitOptions(heads=Schedule(2, 1e-3, batch=32), ensembles=Schedule(2, 5e-4, batch=32))


def make_run(folder: Path, options: ExitOptions = QUICK, network=None) -> Path:
    """The folder of a run, and beside it ``data.npz``."""
    folder.mkdir(parents=True, exist_ok=True)
    network = network or mlp().read(folder, "y")
    rows = network.inputs.random(network.inputs.typical(90), seed=1)
    label = np.random.default_rng(0).integers(0, network.classes, 90)
    np.savez(folder / "data.npz", **rows, label=label)
    examples = read_examples(str(folder / "data.npz"), network.inputs, network.classes)
    cuts = choose_cuts(network, find_cuts(network), count=3)
    add_exits("net", network, cuts, examples, options, folder / "run", device=choose_device("cpu", "float32"))
    return folder / "run"
