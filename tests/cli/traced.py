"""A bundle's manifest and traces on disk, without graphs: enough for the commands that run none."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anytime.model_store import Manifest
from anytime.model_store.build import write_manifest
from anytime.policy import Trace
from tests.policy.conftest import make_manifest

SURE = np.array([9.0, 0.0, 0.0])


def make_folder(folder: Path, manifest: Manifest) -> Path:
    """The bundle's folder; no file of it but the manifest is there."""
    folder.mkdir(parents=True)
    write_manifest(folder, manifest)
    return folder


def traced(rows: int, exits: int, *, labelled: bool = True, seed: int = 0) -> Trace:
    """Rows of three labels: exit k is as sure as it is often right, and the deeper the more; 1 ms a graph."""
    draw = np.random.default_rng(seed)
    label = draw.integers(0, 3, rows)
    logits = draw.standard_normal((rows, exits, 3))
    ease = draw.standard_normal((rows, 1)) + np.linspace(0.5, 3.0, exits)
    logits[np.arange(rows)[:, None], np.arange(exits), label[:, None]] += 2 * ease
    outputs = {"logits": logits.astype(np.float32)}
    return Trace(outputs, np.ones((rows, 2 * exits)), label if labelled else np.full(rows, -1))


def make_traced(folder: Path, exits: int = 3, **given: object) -> Path:
    """A bundle of so many exits with ``traces/test.npz`` in its folder."""
    make_folder(folder, make_manifest(exits, **given))
    (folder / "traces").mkdir()
    traced(200, exits).save(folder / "traces" / "test.npz")
    return folder
