"""Wide residual networks (Zagoruyko and Komodakis 2016): few layers, many channels, activations before convolutions."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from anytime.training.models.backbone import Backbone, Shape
from anytime.training.models.he import he_
from anytime.training.models.resnet import pooled_classifier

_STEM = 16
"""Channels of the stem, and of the three stages at width 1 times 1, 2 and 4."""


class WideBlock(nn.Module):
    """BN, ReLU, 3 x 3, BN, ReLU, dropout, 3 x 3 and a shortcut (figure 1d); nothing after the sum.

    Where the shape changes the shortcut is a 1 x 1 convolution of the first activation, as in the authors' networks.
    """

    def __init__(self, before: int, channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(before), nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        changes = before != channels or stride != 1
        self.shortcut = nn.Conv2d(before, channels, 1, stride=stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, H, W) -> (N, channels, H / stride, W / stride)"""
        active = functional.relu(self.bn1(x))
        residual = self.conv2(self.dropout(functional.relu(self.bn2(self.conv1(active)))))
        return residual + (x if self.shortcut is None else self.shortcut(active))


def wide_resnet(
    labels: int, input_shape: Shape, *, per_stage: int = 5, width: int = 4, dropout: float = 0.3, stem_stride: int = 1
) -> Backbone:  # fmt: skip
    """``per_stage`` blocks at each of 16, 32 and 64 times ``width`` channels.

    The default is what SDN calls WRN-32-4: 15 blocks, though the paper's 6n + 4 makes that a depth of 34. The paper's
    WRN-40-4 has 6 per stage, its WRN-28-10 has 4. ``stem_stride``: 2 for 64 x 64, as SDN has it.
    """
    stem = nn.Conv2d(input_shape[0], _STEM, 3, stride=stem_stride, padding=1, bias=False)
    blocks: list[nn.Module] = []
    before = _STEM
    for stage in range(3):
        channels = _STEM * 2**stage * width
        for index in range(per_stage):
            blocks.append(WideBlock(before, channels, 2 if stage and index == 0 else 1, dropout))
            before = channels
    blocks[0] = nn.Sequential(stem, blocks[0])
    activation = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU())
    network = Backbone(blocks, nn.Sequential(activation, *pooled_classifier(before, labels)))
    he_(network)
    return network
