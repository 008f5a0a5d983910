"""Multiply-adds and parameters of a network.

``count`` exports it and asks the one counter, that of ``model_store``, as the costs in a bundle are counted; it takes
seconds. ``count_blocks`` is for choosing where exits go, before anything is exported: it watches one forward pass, takes
milliseconds, and says how much each block costs. Tests hold the two equal on every family.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from onnxscript.optimizer import fold_constants
from torch import Tensor, nn

from anytime.model_store.macs import count_macs, count_params
from anytime.training.errors import MacsUnknown
from anytime.training.models.backbone import Backbone, Shape, evaluating, one_row

_NO_MACS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)
_STATISTICS = slice(3, 5)
"""A BatchNormalization's inputs that are no parameters: the running mean and variance."""


@dataclass(frozen=True)
class Count:
    """``macs``: multiply-adds of one row, of convolutions and matrix products; ``params``: numbers that training changes."""

    macs: int
    params: int


def count(network: nn.Module, input_shape: Shape) -> Count:
    """By the one counter, over the exported network, normalisations unfolded. Raises ``Uncountable``."""
    program = _exported(network, input_shape)
    params = _trained(program.model_proto)
    fold_constants(program.model)  # shapes, such as a pad's, are computed in the graph until here
    return Count(count_macs(program.model_proto, {}), params)


def count_blocks(backbone: Backbone, input_shape: Shape) -> list[Count]:
    """Of each block, and last of the classifier, by watching the modules of one forward pass. Raises ``MacsUnknown``."""
    seen: dict[nn.Module, int] = {}
    parts = [*backbone.blocks, backbone.classifier]
    watched = [
        module
        for part in parts
        for module in part.modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    hooks = [module.register_forward_hook(_watch(seen)) for module in watched]
    try:
        with torch.no_grad(), evaluating(backbone):
            backbone(one_row(backbone, input_shape))
    finally:
        for hook in hooks:
            hook.remove()
    return [
        Count(sum(seen.get(module, 0) for module in part.modules()), sum(one.numel() for one in part.parameters()))
        for part in parts
    ]


def _watch(seen: dict[nn.Module, int]) -> Any:
    def hook(module: nn.Module, _: Any, output: Tensor) -> None:
        seen[module] = seen.get(module, 0) + _macs(module, output)

    return hook


def _macs(module: nn.Module, output: Tensor) -> int:
    """Each output element is a sum over what one weight row holds: of a grouped convolution, its group's channels."""
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
        return output.numel() * module.weight[0].numel()
    if isinstance(module, _NO_MACS):
        return 0
    raise MacsUnknown(f"the multiply-adds of a {type(module).__name__} are not known here; count the exported network")


def _trained(model: onnx.ModelProto) -> int:
    """The parameters without running means and variances, which no gradient changes."""
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer}
    normalisations = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    return count_params(model) - sum(sizes[name] for node in normalisations for name in node.input[_STATISTICS])


def _exported(network: nn.Module, input_shape: Shape) -> torch.onnx.ONNXProgram:
    with evaluating(network), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's exporter warns of its own code
        row = (one_row(network, input_shape),)
        program = torch.onnx.export(network, row, dynamo=True, optimize=False, verbose=False)
    assert program is not None, "only the older exporter gives none"
    return program
