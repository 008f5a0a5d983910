"""A torch module as ONNX, by torch's own exporter with the row axis free, and as ONNX Runtime runs that."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn


class _Spread(nn.Module):
    """A module behind one tuple of tensors, so that all have the same form of dynamic shapes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *given):
        return self.inner(*given)


def export(network: nn.Module, example: Sequence[torch.Tensor], inputs: Sequence[str]) -> onnx.ModelProto:
    """In eval mode, simplified; ``inputs``: names."""
    axes = tuple({0: torch.export.Dim("batch")} for _ in example)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's exporter warns of its own code,
        warnings.simplefilter("ignore", UserWarning)  # and that the inputs share their row axis
        program = torch.onnx.export(
            _Spread(network).eval(), tuple(example), dynamo=True, verbose=False, input_names=list(inputs),
            dynamic_shapes=(axes,),
        )  # fmt: skip
    return program.model_proto


def run(model: onnx.ModelProto, rows: Sequence[torch.Tensor], inputs: Sequence[str]) -> list[np.ndarray]:
    """Its outputs on these rows, in order."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {name: one.numpy() for name, one in zip(inputs, rows, strict=True)})
