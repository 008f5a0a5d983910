"""The contract of every network here: a row of blocks, and a classifier behind the last one.

A backbone knows nothing of exits, heads or methods: these read what its blocks hand on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]
"""Of one row: (channels, height, width) or (width,)."""


class Backbone(nn.Module):
    """``blocks``, the first of which includes the stem, then ``classifier``: whatever turns the last feature into logits.

    The feature after block k is the one tensor that block k + 1 reads; nothing changes it in place. Blocks count from 1.
    """

    def __init__(self, blocks: Iterable[nn.Module], classifier: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """(N, *input shape) -> logits (N, labels)"""
        for block in self.blocks:
            x = block(x)
        return self.classifier(x)

    def forward_features(self, x: Tensor) -> list[Tensor]:
        """(N, *input shape) -> the feature after each block, (N, *its shape)."""
        features = []
        for block in self.blocks:
            x = block(x)
            features.append(x)
        return features

    def forward_exits(self, x: Tensor, places: Sequence[int]) -> tuple[list[Tensor], Tensor]:
        """The features after the blocks ``places``, and the logits: what the heads of a method read."""
        features = self.forward_features(x)
        return [features[place - 1] for place in places], self.classifier(features[-1])

    def feature_shapes(self, input_shape: Shape) -> list[Shape]:
        """The shape after each block, without the row axis, by running one row of zeros."""
        with torch.no_grad(), evaluating(self):
            return [tuple(feature.shape[1:]) for feature in self.forward_features(one_row(self, input_shape))]


def one_row(network: nn.Module, input_shape: Shape) -> Tensor:
    """(1, *input shape) of zeros, where the network's parameters are."""
    parameter = next(network.parameters())
    return torch.zeros((1, *input_shape), dtype=parameter.dtype, device=parameter.device)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards each module is in the mode that it was in."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
