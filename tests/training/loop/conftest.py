"""A small task for the loop: a line through points, with a dropout so that random numbers of a step count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn


class Points:
    """Rows x (N, 4) with y = x.w; every row in an order by (seed, epoch)."""

    name = "points"

    def __init__(self, rows: int = 70) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))
        self.x = torch.randn(rows, 4)
        self.y = self.x.sum(dim=1, keepdim=True)
        self.rows = rows
        self.seen: list[tuple[int, int]] = []
        self.stop_after: int | None = None

    def batches(self, epoch: int, size: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        order = np.random.default_rng((7, epoch)).permutation(self.rows)
        for number in range(start, -(-self.rows // size)):
            if self.stop_after is not None and len(self.seen) == self.stop_after:
                raise KeyboardInterrupt
            self.seen.append((epoch, number))
            rows = torch.from_numpy(order[number * size : (number + 1) * size])
            yield self.x[rows], self.y[rows]

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        x, y = batch
        return nn.functional.mse_loss(self.module(x), y)

    def evaluate(self) -> Mapping[str, float]:
        return {"held.error": float((self.module(self.x) - self.y).square().mean())}


@pytest.fixture
def points() -> type[Points]:
    return Points
