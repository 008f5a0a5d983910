"""Exits trained on a frozen network, on features stored or computed anew, and their graphs. It knows no data set."""

from anytime.training.exits.cached import Cached
from anytime.training.exits.export import Exported, export_exits
from anytime.training.exits.fit import fit_exits
from anytime.training.exits.fresh import Fresh
from anytime.training.exits.reading import Channels, Reading, read_cuts
from anytime.training.exits.tasks import EnsemblesTask, HeadsTask, Method, exit_logits

__all__ = [
    "Cached",
    "Channels",
    "EnsemblesTask",
    "Exported",
    "Fresh",
    "HeadsTask",
    "Method",
    "Reading",
    "exit_logits",
    "export_exits",
    "fit_exits",
    "read_cuts",
]
