"""Multilayer perceptrons: a block per hidden layer, linear and ReLU, and a linear classifier.

The default, 784-150-100-50-10 on 28 x 28 pixels, is the one whose size QuickNets' Table 1 states.
"""

from __future__ import annotations

import math

from torch import nn

from anytime.training.models.backbone import Backbone, Shape
from anytime.training.models.he import he_


def mlp(labels: int, input_shape: Shape, *, hidden: tuple[int, ...] = (150, 100, 50)) -> Backbone:
    """``hidden``: the units of each layer. Rows of any shape are flattened by the first block."""
    blocks: list[nn.Module] = []
    width = math.prod(input_shape)
    for units in hidden:
        flatten = [] if blocks else [nn.Flatten()]
        blocks.append(nn.Sequential(*flatten, nn.Linear(width, units), nn.ReLU()))
        width = units
    network = Backbone(blocks, nn.Linear(width, labels))
    he_(network, "fan_in")
    return network
