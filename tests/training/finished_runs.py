"""A small run of attach that has ended: a network written down, rows without labels, exits that imitate it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anytime.training.add_exits import ExitOptions, add_exits
from anytime.training.attach import choose_cuts, find_cuts
from anytime.training.loop import choose_device
from anytime.training.methods.schedules import Schedule
from anytime.training.source import Source
from tests.training.attach.networks import Graph, save

CPU = choose_device("cpu", "float32")
QUICK = ExitOptions(heads=Schedule(2, 1e-3), ensembles=Schedule(2, 5e-4), distil=True)
EXITS = 4


def write_network(path: Path, *, scale: float = 1.0) -> Path:
    """Four layers, x -> a -> b -> c -> y of three classes."""
    graph = Graph(width=16)
    read = graph.add("Mul", ["x", graph.constant("scale", np.array(scale, np.float32))], "scaled")
    for name in "abc":
        read = graph.add("Relu", [graph.linear(read, name)], f"r{name}")
    graph.linear(read, "y", 3)
    return save(path, graph.model("y"))


def write_rows(path: Path, *, seed: int = 0, rows: int = 300) -> Path:
    """Without labels."""
    np.savez(path, x=np.random.default_rng(seed).standard_normal((rows, 16)).astype(np.float32))
    return path


def make_run(folder: Path) -> Path:
    """``net.onnx``, ``rows.npz`` and the run ``run`` in ``folder``."""
    source = Source(write_network(folder / "net.onnx"), str(write_rows(folder / "rows.npz")))
    network = source.read_network()
    examples = source.read_examples(network, labelled=False, seed=0)
    cuts = choose_cuts(network, find_cuts(network), count=EXITS)
    add_exits("net", network, cuts, examples, QUICK, folder / "run", device=CPU)
    source.keep(folder / "run")
    return folder / "run"
