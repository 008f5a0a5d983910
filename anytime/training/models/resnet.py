"""Residual networks (He et al. 2016): those for CIFAR, of depth 6m + 2, and ResNet-50 for pictures of 224 x 224."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from anytime.training.errors import BadOption
from anytime.training.models.backbone import Backbone, Shape
from anytime.training.models.he import he_

_STAGES = 3
_EXPANSION = 4
"""Output channels of a bottleneck over its inner ones."""


def conv_bn(before: int, channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size of the map, up to the stride, and its batch normalisation."""
    conv = nn.Conv2d(before, channels, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels))


class PaddedShortcut(nn.Module):
    """Option A of section 4.2: every stride-th pixel, and zeros for the channels that are new. No parameters."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.new, self.stride = channels - before, stride

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; ReLU after the sum (figure 2)."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv_bn(before, channels, 3, stride)
        self.conv2 = conv_bn(channels, channels, 3)
        same = before == channels and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else PaddedShortcut(before, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, H, W) -> (N, channels, H / stride, W / stride)"""
        residual = self.conv2(functional.relu(self.conv1(x)))
        return functional.relu(residual + self.shortcut(x))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 and a shortcut, projected where the shape changes (figure 5, option B).

    The stride is the 3 x 3's, as in most published weights, not the first 1 x 1's, as in the paper.
    """

    def __init__(self, before: int, inner: int, stride: int) -> None:
        super().__init__()
        channels = _EXPANSION * inner
        self.conv1 = conv_bn(before, inner, 1)
        self.conv2 = conv_bn(inner, inner, 3, stride)
        self.conv3 = conv_bn(inner, channels, 1)
        same = before == channels and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else conv_bn(before, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, H, W) -> (N, 4 inner, H / stride, W / stride)"""
        inner = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        return functional.relu(self.conv3(inner) + self.shortcut(x))


def pooled_classifier(channels: int, labels: int) -> nn.Sequential:
    """Mean over the map, then linear."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, labels))


def resnet(
    labels: int, input_shape: Shape, *, depth: int = 56, width: int = 16, stem_stride: int = 1
) -> Backbone:  # fmt: skip
    """The paper's section 4.2: ``depth`` = 6m + 2, m blocks at each of ``width``, twice and four times as many channels.

    ``stem_stride``: 2 for 64 x 64, as SDN has it. Depth 56 has 27 blocks. Raises ``BadOption`` for another depth.
    """
    if depth < 8 or depth % 6 != 2:
        raise BadOption(
            f"a ResNet for CIFAR has 6m + 2 layers, got a depth of {depth}; take 8, 14, 20, 32, 44, 56 or 110"
        )
    per_stage = (depth - 2) // 6
    stem = nn.Sequential(*conv_bn(input_shape[0], width, 3, stem_stride), nn.ReLU())
    blocks: list[nn.Module] = []
    before = width
    for index in range(_STAGES * per_stage):
        stage, is_first = index // per_stage, index % per_stage == 0
        channels = width * 2**stage
        blocks.append(BasicBlock(before, channels, 2 if stage and is_first else 1))
        before = channels
    blocks[0] = nn.Sequential(stem, blocks[0])
    network = Backbone(blocks, pooled_classifier(before, labels))
    he_(network)
    return network


def resnet_50(labels: int, input_shape: Shape, *, width: int = 64) -> Backbone:
    """Table 1's 50 layers: 3, 4, 6 and 3 bottlenecks, 16 blocks; made for 224 x 224."""
    stem = nn.Sequential(*conv_bn(input_shape[0], width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1))
    blocks: list[nn.Module] = []
    before = width
    for stage, count in enumerate((3, 4, 6, 3)):
        inner = width * 2**stage
        for index in range(count):
            blocks.append(Bottleneck(before, inner, 2 if stage and index == 0 else 1))
            before = _EXPANSION * inner
    blocks[0] = nn.Sequential(stem, blocks[0])
    network = Backbone(blocks, pooled_classifier(before, labels))
    he_(network)
    return network
