"""Random numbers by a seed that is given: what is drawn inside depends on nothing outside, and changes nothing there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch draws on the CPU as after ``torch.manual_seed(seed)``, and goes on afterwards as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
