"""Rows as exits see them: what passes the cuts, what the network itself says, and what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anytime.training.errors import BadLabel, DataMisfit

CHUNK = 512
"""Rows at a time where nothing is trained."""


@dataclass(frozen=True, eq=False)
class Cached:
    """The same N rows everywhere, in memory or mapped from a file."""

    features: tuple[np.ndarray, ...]
    """(N, *shape) of each cut, shallowest first."""
    base: np.ndarray
    """(N, labels) float32: the network's own logits."""
    target: np.ndarray
    """(N,) int64 labels; or (N, labels) float32 distributions, where the network itself is imitated."""

    def __post_init__(self) -> None:
        counts = [len(one) for one in (*self.features, self.base, self.target)]
        if len(set(counts)) != 1:
            raise DataMisfit(
                f"features, logits and targets are of {counts} rows; wanted the same number: compute them anew"
            )
        if self.target.ndim == 1 and len(self.target):
            low, high, labels = int(self.target.min()), int(self.target.max()), self.base.shape[1]
            if not 0 <= low <= high < labels:
                raise BadLabel(
                    f"labels reach from {low} to {high}; the network tells {labels} classes: 0 to {labels - 1}"
                )

    def __len__(self) -> int:
        return len(self.base)

    @property
    def is_distilled(self) -> bool:
        """Whether the target is another network's opinion and not the truth."""
        return self.target.ndim == 2

    def tensors(self, rows: np.ndarray | slice) -> tuple[Tensor, ...]:
        """base, target, then each feature, of some rows; features in float32."""
        features = (np.asarray(one[rows], dtype=np.float32) for one in self.features)
        parts = (self.base[rows], self.target[rows], *features)
        return tuple(torch.from_numpy(np.require(one, requirements=["C", "W"])) for one in parts)

    def in_order(self, size: int = CHUNK) -> Iterator[tuple[Tensor, ...]]:
        """All rows once, as ``tensors``."""
        for start in range(0, len(self), size):
            yield self.tensors(slice(start, start + size))


def imitated(base: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(N, labels) logits -> the target that imitates them: softmax(logits / T), float32 (Hinton et al. 2015, equation 1)."""
    z = base.astype(np.float64) / temperature
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return (z / z.sum(axis=1, keepdims=True)).astype(np.float32)
