"""The two losses of Zero Time Waste (algorithm 1): of the heads, and of the ensembles over what the trained heads say.

Targets are labels (N,), or distributions (N, labels) where another network is imitated. Means over rows, sums over exits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def heads_loss(logits: Sequence[Tensor], target: Tensor) -> Tensor:
    """The cross-entropies of each head's (N, labels), summed. Give it heads only: the base network is not trained."""
    return torch.stack([functional.cross_entropy(one, target) for one in logits]).sum()


def ensembles_loss(log_q: Sequence[Tensor], target: Tensor) -> Tensor:
    """The negative log-likelihoods of each ensemble's log-probabilities (N, labels), summed.

    Ensembles share no parameters, so the sum trains each as if it were alone.
    """
    return torch.stack([negative_log_likelihood(one, target) for one in log_q]).sum()


def negative_log_likelihood(log_q: Tensor, target: Tensor) -> Tensor:
    """The mean over rows, for labels or distributions."""
    if target.is_floating_point():
        return -(target * log_q).sum(dim=1).mean()
    return functional.nll_loss(log_q, target)
