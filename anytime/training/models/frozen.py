"""A trained backbone that only computes features, whatever the training around it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from anytime.training.models.backbone import Backbone


class Frozen(nn.Module):
    """The features at ``places`` and the logits of ``backbone``, whose parameters are fixed and have no gradient.

    It stays in eval mode through ``train()`` on itself or on whatever holds it: in train mode its batch normalisations
    would read the batch, and overwrite the statistics that the network was trained with.
    """

    def __init__(self, backbone: Backbone, places: Sequence[int]) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.places = tuple(places)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.backbone.eval()
        return self

    @torch.no_grad()
    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """(N, *input shape) -> the feature at each place, and logits (N, labels)."""
        return self.backbone.forward_exits(x, self.places)
