"""Features that are computed anew at every step."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from anytime.training.exits import Cached, Fresh, Reading
from anytime.training.loop import choose_device
from anytime.training.models.registry import make_backbone

CPU = choose_device("cpu", "float32")
LABEL = np.arange(6) % 4


@pytest.fixture
def fresh():
    """Six rows, brighter by one each epoch."""
    torch.manual_seed(0)
    backbone = make_backbone("resnet-8", labels=4, input_shape=(3, 16, 16), width=4)
    x = np.random.default_rng(0).normal(size=(6, 3, 16, 16)).astype(np.float32)
    return Fresh(backbone, [1, 3], lambda epoch: lambda rows: x[rows] + np.float32(epoch), LABEL, CPU, 3)


def test_a_view_is_what_a_cache_would_hold(fresh):
    """The same tensors in the same places, by the network in eval mode, which stays in the mode that it was in."""
    fresh.backbone.train()
    state = {name: value.clone() for name, value in fresh.backbone.state_dict().items()}
    view = fresh[0]
    found = view.tensors(np.array([4, 1]))
    assert fresh.backbone.training and not any(one.requires_grad for one in found)
    assert all(torch.equal(value, state[name]) for name, value in fresh.backbone.state_dict().items())
    with torch.no_grad():
        features, base = fresh.backbone.eval().forward_exits(torch.from_numpy(view.take(np.arange(6))), [1, 3])
    cached = Cached(tuple(one.numpy() for one in features), base.numpy(), LABEL)
    for ours, theirs in zip(found, cached.tensors(np.array([4, 1])), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)
    whole = [torch.cat(parts) for parts in zip(*view.in_order(4), strict=True)]
    for ours, theirs in zip(whole, cached.tensors(slice(None)), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)


def test_heads_get_what_they_read(fresh):
    """As from a cache: a linear head the mean of a map, though it is computed anew."""
    whole = fresh[1].tensors(np.arange(3))
    view = dataclasses.replace(fresh, readings=[Reading(1, "mean"), Reading(1)])[1]
    _, _, pooled, same = view.tensors(np.arange(3))
    torch.testing.assert_close(pooled, whole[2].mean(dim=(2, 3)))
    assert same.equal(whole[3])


def test_every_epoch_has_a_view_of_its_own(fresh):
    """As many as epochs, each on its own pictures, and some of them as a slice."""
    rows = np.arange(6)
    assert len(fresh) == 3 and len(fresh[0]) == 6
    np.testing.assert_allclose(fresh[2].take(rows), fresh[0].take(rows) + 2, rtol=1e-6)
    np.testing.assert_array_equal(fresh[1:][0].take(rows), fresh[1].take(rows))
    assert len(fresh[:2]) == 2 and len(list(fresh)) == 3
