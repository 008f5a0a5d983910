"""A backbone as ONNX, cut at its own places."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anytime.training.attach import choose_cuts, cut, find_cuts, read_network
from anytime.training.attach.features import Chain
from anytime.training.export_backbone import INPUT, export_backbone, place_name
from anytime.training.models.frozen import Frozen
from anytime.training.models.registry import make_backbone

SHAPE = (3, 16, 16)
NETS = {"resnet-8": [1, 2, 3], "mobilenet": [2, 7, 12]}


@pytest.mark.parametrize("name", NETS)
def test_its_pieces_say_what_its_blocks_say(name, tmp_path):
    """Cut at the places, the file's pieces give the features and the logits of the torch network, at several batch sizes."""
    torch.manual_seed(0)
    options = {"width": 4} if name == "resnet-8" else {"width": 0.25}
    net = make_backbone(name, labels=5, input_shape=SHAPE, **options)
    net.train()
    net(torch.randn(8, *SHAPE))  # running statistics that are not those of a new network
    path = tmp_path / "net.onnx"
    export_backbone(net, NETS[name], SHAPE, path)
    assert net.training, "the network is left in the mode that it was in"
    network = read_network(path, output="logits")
    cuts = choose_cuts(network, find_cuts(network), at=[place_name(place) for place in NETS[name]])
    pieces = cut(network, cuts)
    frozen = Frozen(net, NETS[name])
    for rows in (1, 3):
        x = torch.randn(rows, *SHAPE)
        features, logits = frozen(x)
        got = Chain(network, pieces).run({INPUT: x.numpy()})
        for wanted, found in zip([*features, logits], got, strict=True):
            np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4 * max(1.0, float(wanted.abs().max())))
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
