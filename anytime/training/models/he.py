"""He initialisation: the weights from which all these networks start (He et al. 2015, equations 10 and 14)."""

from __future__ import annotations

from typing import Literal

from torch import nn


def he_(network: nn.Module, mode: Literal["fan_in", "fan_out"] = "fan_out") -> None:
    """Draw, in place, every convolution's and linear layer's weights from N(0, 2 / fan); biases 0, normalisations 1 and 0.

    The last linear layer of a classifier has no ReLU behind it; it starts like torch's own, which keeps first losses low.
    """
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    for module in network.modules():
        if isinstance(module, nn.Conv2d) or module in linear[:-1]:
            assert isinstance(module, nn.Conv2d | nn.Linear)
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
