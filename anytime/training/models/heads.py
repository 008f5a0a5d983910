"""Exit heads: from a map or a vector, and from what earlier exits said, to logits. Which head reads which is a method's.

A head is a reduction of the feature to a vector, and a linear layer over it and the ``extra`` numbers beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from anytime.model_store.nearest import nearest
from anytime.training.errors import BadOption
from anytime.training.models.backbone import Shape
from anytime.training.models.pooling import MixedPool, Pool

HeadKind = Literal["conv", "pool", "linear"]
Tokens = Literal["mean", "first"]
_CHOICES = {"kind": get_args(HeadKind), "pool": get_args(Pool), "tokens": get_args(Tokens)}
_LARGE = 8
"""Maps with a larger side on both axes are what ``stride`` is for."""


@dataclass(frozen=True)
class HeadOptions:
    """What heads are made of; the defaults are the CIFAR ones of Zero Time Waste (appendix A.1).

    ``kind``, for maps: ``conv`` (3 x 3 convolution and ReLU, mixed pool, linear), ``pool`` (the same without the
    convolution, as SDN's own) or ``linear`` (mean over the map, linear: next to no multiply-adds, where ``conv`` heads
    after every block cost half a network). A vector (D,) is read as it is, then linear; so are tokens, of which the head
    gets what ``tokens`` says, their mean or the first.
    ``stride``: of the convolution on maps larger than 8 x 8, 2 for Tiny ImageNet and ImageNet. ``shrink``: input over
    output channels of the convolution, 4 for ImageNet. Raises ``BadOption``.
    """

    kind: HeadKind = "conv"
    pool: Pool = "adaptive"
    stride: int = 1
    shrink: int = 1
    tokens: Tokens = "mean"

    def __post_init__(self) -> None:
        for field in fields(self):
            value, choices = getattr(self, field.name), _CHOICES.get(field.name)
            if choices is not None and value not in choices:
                raise BadOption(f"a head's {field.name} is {value!r}; {nearest(value, choices)}")
            if choices is None and (not isinstance(value, int) or value < 1):
                raise BadOption(f"a head's {field.name} is {value!r}; wanted a whole number from 1")


class Head(nn.Module):
    """A feature (N, *shape), and with ``extra`` what was said before (N, extra), to logits (N, labels).

    ``reduce`` turns the feature into (N, width); it has no parameters in a linear head, so there its output can be cached.
    """

    def __init__(self, reduce: nn.Module, width: int, labels: int, extra: int = 0, *, layer_norm: bool = False) -> None:
        super().__init__()
        self.extra = extra
        self.reduce = reduce
        self.norm: nn.Module = nn.LayerNorm(extra) if layer_norm and extra else nn.Identity()
        self.linear = nn.Linear(width + extra, labels)

    def forward(self, feature: Tensor, before: Tensor | None = None) -> Tensor:
        assert (before is None) == (self.extra == 0), "a head without a cascade input reads none"
        reduced = self.reduce(feature)
        if before is not None:
            reduced = torch.cat([reduced, self.norm(before)], dim=1)
        return self.linear(reduced)


def make_head(
    options: HeadOptions | HeadKind, feature_shape: Shape, labels: int, extra: int = 0, *, layer_norm: bool = False
) -> Head:
    """The head for a feature of this shape, with torch's default initialisation: seed it from outside.

    ``options``: a bare kind means the defaults; ``extra``: how many numbers of earlier exits stand beside the feature;
    ``layer_norm``: normalise those first, as for ImageNet. Raises ``BadOption`` for a feature of another rank.
    """
    if not isinstance(options, HeadOptions):
        options = HeadOptions(options)
    reduce, width = _reduction(options, feature_shape)
    return Head(reduce, width, labels, extra, layer_norm=layer_norm)


def _reduction(options: HeadOptions, shape: Shape) -> tuple[nn.Module, int]:
    """What makes a vector of a feature, and how long it is."""
    match shape:
        case (width,):
            return nn.Identity(), width
        case (channels, _, _) if options.kind == "linear":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), channels
        case (channels, height, width) if options.kind == "pool":
            return _pooled([], channels, height, width, options.pool)
        case (channels, height, width):
            return _convolved(options, channels, height, width)
    raise BadOption(f"a feature of shape {shape} has no head; wanted (channels, height, width) or (width,)")


def _convolved(options: HeadOptions, channels: int, height: int, width: int) -> tuple[nn.Module, int]:
    inner = max(channels // options.shrink, 1)
    stride = options.stride if min(height, width) > _LARGE else 1
    height, width = -(-height // stride), -(-width // stride)
    conv = nn.Conv2d(channels, inner, 3, stride=stride, padding=1)
    return _pooled([conv, nn.ReLU()], inner, height, width, options.pool)


def _pooled(
    before: list[nn.Module], channels: int, height: int, width: int, pool: Pool
) -> tuple[nn.Module, int]:  # fmt: skip
    mixed = MixedPool(height, width, pool)
    return nn.Sequential(*before, mixed, nn.Flatten()), channels * mixed.size[0] * mixed.size[1]
