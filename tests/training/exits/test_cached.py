"""Rows as exits see them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anytime.training.errors import BadLabel, DataMisfit
from anytime.training.exits import Cached
from anytime.training.exits.cached import imitated

FEATURES = (np.zeros((4, 2, 3, 3), np.float16), np.zeros((4, 7), np.float32))
BASE = np.zeros((4, 3), np.float32)


def test_rows_come_as_tensors():
    """base, target, features in float32; chunks hold every row once."""
    cached = Cached(FEATURES, BASE, np.array([0, 1, 2, 1]))
    base, target, first, second = cached.tensors(np.array([3, 1]))
    assert (base.shape, first.shape, second.shape) == ((2, 3), (2, 2, 3, 3), (2, 7))
    assert first.dtype == second.dtype == torch.float32
    assert target.tolist() == [1, 1]
    assert torch.cat([part[1] for part in cached.in_order(3)]).tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("label", [[0, 1, 2, 3], [0, -1, 2, 2]])
def test_labels_out_of_range_are_refused(label):
    """The message says how far they reach and what is wanted."""
    with pytest.raises(BadLabel, match="tells 3 classes: 0 to 2"):
        Cached(FEATURES, BASE, np.array(label))


def test_other_numbers_of_rows_are_refused():
    """Features, logits and targets go together."""
    with pytest.raises(DataMisfit, match=r"\[4, 4, 4, 3\]"):
        Cached(FEATURES, BASE, np.array([0, 1, 2]))


def test_the_target_that_imitates():
    """softmax(logits / T), as exact numbers, and without overflow."""
    logits = np.array([[0.0, np.log(3.0)], [1000.0, 0.0]], np.float32)
    np.testing.assert_allclose(imitated(logits), [[0.25, 0.75], [1.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(imitated(logits[:1], 2.0), [[1 / (1 + 3**0.5), 3**0.5 / (1 + 3**0.5)]], rtol=1e-6)
