"""Exits trained on features that were computed once, and their graphs. It knows the methods, and no network or data set."""

from anytime.training.exits.cached import Cached
from anytime.training.exits.export import Exported, export_exits
from anytime.training.exits.fit import fit_exits
from anytime.training.exits.reading import Channels, Reading, read_cuts
from anytime.training.exits.tasks import EnsemblesTask, HeadsTask, Method, exit_logits

__all__ = [
    "Cached",
    "Channels",
    "EnsemblesTask",
    "Exported",
    "HeadsTask",
    "Method",
    "Reading",
    "exit_logits",
    "export_exits",
    "fit_exits",
    "read_cuts",
]
