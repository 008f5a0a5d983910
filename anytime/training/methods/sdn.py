"""Shallow-Deep Networks (Kaya et al. 2019) on a frozen backbone: heads that know nothing of each other.

Patience-based early exit (PBEE) uses the same heads, and differs only in its policy.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from anytime.training.models.backbone import Shape
from anytime.training.models.heads import Head, HeadKind, HeadOptions, make_head
from anytime.training.seeding import seeded


class Sdn(nn.Module):
    """A head per feature; the last exit is the base network's own output."""

    def __init__(
        self, feature_shapes: Sequence[Shape], labels: int, head: HeadOptions | HeadKind = "conv", *, seed: int = 0
    ) -> None:  # fmt: skip
        super().__init__()
        with seeded(seed):
            self.heads = nn.ModuleList(make_head(head, shape, labels) for shape in feature_shapes)

    def forward(self, features: Sequence[Tensor], base: Tensor) -> list[Tensor]:
        """M features (N, *shape) and the base network's logits (N, labels) -> the logits of M + 1 exits, base's as given."""
        return [*(head(feature) for head, feature in zip(self.heads, features, strict=True)), base]

    def exit(self, number: int) -> Head:
        """The head of exit ``number``, from 1, as a served graph holds it: feature -> logits."""
        head = self.heads[number - 1]
        assert isinstance(head, Head)
        return head
