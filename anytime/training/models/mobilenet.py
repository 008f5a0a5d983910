"""MobileNet (Howard et al. 2017): depthwise and pointwise convolutions in turn; on CIFAR's pictures as in SDN."""

from __future__ import annotations

from torch import nn

from anytime.training.models.backbone import Backbone, Shape
from anytime.training.models.he import he_
from anytime.training.models.resnet import pooled_classifier

_STEM = 32
_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1),
)  # fmt: skip
"""Table 1: channels and stride of each block."""


def separable_block(before: int, channels: int, stride: int) -> nn.Sequential:
    """Figure 3: 3 x 3 depthwise, BN, ReLU, 1 x 1, BN, ReLU; (N, before, H, W) -> (N, channels, H / stride, W / stride)."""
    return nn.Sequential(
        nn.Conv2d(before, before, 3, stride=stride, padding=1, groups=before, bias=False),
        nn.BatchNorm2d(before),
        nn.ReLU(),
        nn.Conv2d(before, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


def mobilenet(labels: int, input_shape: Shape, *, width: float = 1.0, stem_stride: int = 1) -> Backbone:
    """13 blocks. ``width``: the paper's multiplier; ``stem_stride``: 2 for 224 x 224, as in the paper."""
    before = round(_STEM * width)
    stem = nn.Sequential(
        nn.Conv2d(input_shape[0], before, 3, stride=stem_stride, padding=1, bias=False),
        nn.BatchNorm2d(before),
        nn.ReLU(),
    )
    blocks: list[nn.Module] = []
    for channels, stride in _BLOCKS:
        channels = round(channels * width)
        blocks.append(separable_block(before, channels, stride))
        before = channels
    blocks[0] = nn.Sequential(stem, blocks[0])
    network = Backbone(blocks, pooled_classifier(before, labels))
    he_(network, "fan_in")  # by the outputs a depthwise weight, which feeds one channel, would start at almost nothing
    return network
