"""Checkpoints: whole or the one before, and nothing pickled in them."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch

from anytime.training.errors import RunFailed
from anytime.training.loop import checkpoint
from anytime.training.loop.checkpoint import Position


def trained(points):
    task = points()
    optimizer = torch.optim.Adam(task.module.parameters())
    task.loss(next(task.batches(0, 16))).backward()
    optimizer.step()
    return task.module, optimizer


def test_what_is_saved_comes_back(points, tmp_path):
    """Module, moments and position are the same after a round trip, from a file without pickles."""
    module, optimizer = trained(points)
    path = tmp_path / "a.npz"
    position = Position("points", 2, 3, 0.1 + 0.2, 48)
    checkpoint.save(path, position, module, optimizer)
    other = points().module
    torch.nn.init.zeros_(other[0].weight)
    fresh = torch.optim.Adam(other.parameters())
    assert checkpoint.load(path, other, fresh) == position
    assert torch.equal(other[0].weight, module[0].weight)
    for one, two in zip(optimizer.state_dict()["state"].values(), fresh.state_dict()["state"].values(), strict=True):
        assert all(torch.equal(one[key], two[key]) for key in one)
    with np.load(path, allow_pickle=False) as stored:
        assert not any(stored[name].dtype.hasobject for name in stored.files)


def test_nothing_there_is_no_checkpoint(points, tmp_path):
    """None, and the module is left as it is."""
    assert checkpoint.load(tmp_path / "a.npz", points().module, None) is None


@pytest.mark.parametrize("damage", [b"", b"no zip", None])
def test_a_damaged_file_says_what_to_do(points, tmp_path, damage):
    """Empty, foreign and cut short alike."""
    module, optimizer = trained(points)
    path = tmp_path / "a.npz"
    checkpoint.save(path, Position("points"), module, optimizer)
    path.write_bytes(path.read_bytes()[:-200] if damage is None else damage)
    with pytest.raises(RunFailed, match="remove it, and its phase begins anew"):
        checkpoint.load(path, module, optimizer)


def test_one_of_another_network_is_refused(points, tmp_path):
    """Names or shapes that do not fit are a clear error."""
    module, optimizer = trained(points)
    checkpoint.save(tmp_path / "a.npz", Position("points"), module, optimizer)
    with pytest.raises(RunFailed, match="cannot be used"):
        checkpoint.load(tmp_path / "a.npz", torch.nn.Linear(3, 3), None)


def test_a_full_disk_leaves_the_checkpoint_before(points, tmp_path, monkeypatch):
    """The error says so; the file that was there is whole, and nothing lies beside it."""
    module, optimizer = trained(points)
    path = tmp_path / "a.npz"
    checkpoint.save(path, Position("points", 1), module, optimizer)

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFailed, match="No space left on device.*it goes on"):
        checkpoint.save(path, Position("points", 2), module, optimizer)
    assert checkpoint.load(path, module, optimizer) == Position("points", 1)
    assert list(tmp_path.iterdir()) == [path]
