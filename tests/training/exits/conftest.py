"""A small network of this project, cut at two places, and what passes there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from anytime.training.attach import Network, Piece, choose_cuts, cut, features, find_cuts, read_network, rows_of
from anytime.training.exits import Cached
from anytime.training.export_backbone import INPUT, export_backbone, place_name
from anytime.training.models.registry import make_backbone

SHAPE, LABELS = (3, 16, 16), 5


@dataclass(frozen=True)
class Setup:
    network: Network
    pieces: list[Piece]
    cached: Cached
    x: np.ndarray

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [one.shape[1:] for one in self.cached.features]


@pytest.fixture(scope="package")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """300 rows whose label follows from the brightness of a corner."""
    folder: Path = tmp_path_factory.mktemp("net")
    torch.manual_seed(0)
    net = make_backbone("resnet-8", labels=LABELS, input_shape=SHAPE, width=4)
    export_backbone(net, [1, 2], SHAPE, folder / "net.onnx")
    network = read_network(folder / "net.onnx", output="logits")
    cuts = choose_cuts(network, find_cuts(network), at=[place_name(place) for place in (1, 2)])
    pieces = cut(network, cuts)
    draw = np.random.default_rng(0)
    label = draw.integers(0, LABELS, 300)
    x = draw.normal(size=(300, *SHAPE)).astype(np.float32)
    x[:, :, :8, :8] += label[:, None, None, None].astype(np.float32)
    found = features(network, pieces, rows_of({INPUT: x}), folder / "features")
    return Setup(network, pieces, Cached(found.cuts, found.logits, label), x)
