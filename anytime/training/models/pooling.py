"""The pooling of exit heads: maps of any size to about 4 x 4, mixed from mean and maximum (paper 001, appendix A.1).

Sizes are fixed when a head is made, so an exported graph holds plain pools and slices, and computes no shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

BINS = 4
Pool = Literal["adaptive", "fixed"]


class MixedPool(nn.Module):
    """gamma * mean + (1 - gamma) * maximum, ``gamma`` learned, unbounded, from U[0, 1): (N, C, H, W) -> (N, C, *size).

    ``adaptive``: at most 4 x 4 bins, from floor(iH / 4) up to ceil((i + 1)H / 4); a side below 4 is left as it is, since
    more bins would only repeat it. ``fixed``: windows of floor(H / 4), as in SDN; they give 4 x 4 only where 4 divides H,
    or nearly, and other sizes elsewhere: 7 x 7 for 7, 5 x 5 for 10. Where 4 divides H both are the same.
    """

    def __init__(self, height: int, width: int, pool: Pool = "adaptive") -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(()))
        if pool == "fixed":
            self.window = (max(height // BINS, 1), max(width // BINS, 1))
            self.size = (height // self.window[0], width // self.window[1])
            self.bins = None
        else:
            self.size = (min(height, BINS), min(width, BINS))
            self.window = (height // self.size[0], width // self.size[1])
            divides = height % self.size[0] == 0 and width % self.size[1] == 0
            self.bins = None if divides else (edges(height, self.size[0]), edges(width, self.size[1]))

    def forward(self, x: Tensor) -> Tensor:
        if self.bins is None:
            mean, most = functional.avg_pool2d(x, self.window), functional.max_pool2d(x, self.window)
        else:
            mean, most = _binned(x, self.bins, torch.mean), _binned(x, self.bins, torch.amax)
        return self.gamma * mean + (1 - self.gamma) * most


def edges(length: int, bins: int) -> list[tuple[int, int]]:
    """Where each bin starts and ends; they overlap where ``bins`` does not divide ``length``."""
    return [(index * length // bins, -(-(index + 1) * length // bins)) for index in range(bins)]


def _binned(
    x: Tensor, bins: tuple[list[tuple[int, int]], list[tuple[int, int]]], reduce: Callable[..., Tensor]
) -> Tensor:  # fmt: skip
    """Rows, then columns: eight slices in place of sixteen. torch's own adaptive pool exports to gathers."""
    rows = torch.cat([reduce(x[:, :, start:end], dim=2, keepdim=True) for start, end in bins[0]], dim=2)
    return torch.cat([reduce(rows[:, :, :, start:end], dim=3, keepdim=True) for start, end in bins[1]], dim=3)
