"""A backbone as an ONNX file whose places have names, so that it can be cut there: exported once, like anybody's network."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from anytime.model_store.manifest import LOGITS
from anytime.model_store.tensors import ROW_AXIS
from anytime.training.errors import ExportFailed
from anytime.training.exporter import quiet
from anytime.training.models.backbone import Backbone, Shape, evaluating, one_row

INPUT = "image"


def place_name(place: int) -> str:
    """The tensor after block ``place``, from 1: what to cut at."""
    return f"block_{place}"


def export_backbone(backbone: Backbone, places: Sequence[int], input_shape: Shape, path: Path) -> None:
    """Write the network in eval mode with open rows: ``image`` in; ``block_k`` for each place, and ``logits``, out.

    Batch normalisations are folded into the convolutions before them. The file appears whole or not at all. Raises
    ``ExportFailed`` where torch cannot export the network.
    """
    row = one_row(backbone, input_shape)
    names = [*map(place_name, places), LOGITS]
    temp = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with evaluating(backbone), quiet():
            program = torch.onnx.export(
                _Exits(backbone, places).eval(), (torch.cat([row, row]),), dynamo=True, verbose=False,
                dynamic_shapes=({0: torch.export.Dim(ROW_AXIS)},), input_names=[INPUT], output_names=names,
            )  # fmt: skip
            assert program is not None, "torch gives a program where it gets no file"
            program.save(temp)
        os.replace(temp, path)
    except torch.onnx.OnnxExporterError as error:
        first = str(error.__cause__ or error).strip().splitlines()[0][:300]
        raise ExportFailed(f"torch cannot export {type(backbone).__name__}: {first}") from error
    finally:
        temp.unlink(missing_ok=True)


class _Exits(nn.Module):
    def __init__(self, backbone: Backbone, places: Sequence[int]) -> None:
        super().__init__()
        self.backbone = backbone
        self.places = tuple(places)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features, logits = self.backbone.forward_exits(image, self.places)
        return (*features, logits)
