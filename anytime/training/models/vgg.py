"""VGG (Simonyan and Zisserman 2015), with batch normalisation and small linear layers for CIFAR as in SDN."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from anytime.training.errors import BadOption
from anytime.training.models.backbone import Backbone, Shape
from anytime.training.models.he import he_

_STAGES: Mapping[int, tuple[tuple[int, ...], ...]] = {
    11: ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    16: ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
}
"""Table 1, columns A and D: the channels of each convolution; a 2 x 2 max pool ends each stage."""


def conv_block(before: int, channels: int, *, batch_norm: bool, is_last: bool) -> nn.Sequential:
    """3 x 3 convolution, ReLU, and the max pool if it is the stage's last: (N, before, H, W) -> (N, channels, ...)."""
    layers: list[nn.Module] = [nn.Conv2d(before, channels, 3, padding=1)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(channels))
    layers.append(nn.ReLU())
    if is_last:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def vgg(
    labels: int, input_shape: Shape, *, depth: int = 16, hidden: tuple[int, ...] = (512, 512), batch_norm: bool = True,
    dropout: float = 0.5,
) -> Backbone:  # fmt: skip
    """A block per convolution and per linear layer but the last two: VGG-16 with two of ``hidden`` has 14 blocks.

    ``hidden``: units of the linear layers, each with ReLU and dropout; (4096, 4096) is the paper's, made for 224 x 224.
    Raises ``BadOption`` for a depth other than 11 and 16, or where five max pools leave no map.
    """
    if depth not in _STAGES:
        raise BadOption(f"VGG comes in depths of 11 and 16 here, got {depth}; take one of them")
    if not hidden:
        raise BadOption(
            "VGG has linear layers behind its convolutions, got hidden = (); give the units of at least one"
        )
    height, width = input_shape[1] // 32, input_shape[2] // 32
    if height < 1 or width < 1:
        raise BadOption(
            f"VGG halves a map five times, got rows of {input_shape}; give at least 32 x 32 pixels, or take a resnet"
        )
    blocks: list[nn.Module] = []
    before = input_shape[0]
    for stage in _STAGES[depth]:
        for index, channels in enumerate(stage):
            is_last = index == len(stage) - 1
            blocks.append(conv_block(before, channels, batch_norm=batch_norm, is_last=is_last))
            before = channels
    before *= height * width
    linear: list[nn.Module] = []
    for units in hidden:
        flatten = [] if linear else [nn.Flatten()]
        linear.append(nn.Sequential(*flatten, nn.Linear(before, units), nn.ReLU(), nn.Dropout(dropout)))
        before = units
    network = Backbone([*blocks, *linear[:-1]], nn.Sequential(linear[-1], nn.Linear(before, labels)))
    he_(network)
    return network
