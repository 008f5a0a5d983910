import pytest
import torch

from anytime.training.models.resnet import BasicBlock, Bottleneck, PaddedShortcut, resnet, resnet_50


def test_the_shortcut_pads_with_zeros():
    """Option A: every second pixel, the channels that are new are 0, and nothing is learned."""
    shortcut = PaddedShortcut(2, 5, 2)
    x = torch.randn(3, 2, 7, 6)
    found = shortcut(x)
    assert found.shape == (3, 5, 4, 3)
    assert found[:, :2].equal(x[:, :, ::2, ::2]) and not found[:, 2:].any()
    assert not list(shortcut.parameters())


@pytest.mark.parametrize("block", [BasicBlock(4, 8, 2), Bottleneck(8, 2, 1)], ids=["basic", "bottleneck"])
def test_the_sum_comes_before_the_relu(block):
    """With a residual branch that says 0, a block is the ReLU of its shortcut."""
    last = block.conv2 if isinstance(block, BasicBlock) else block.conv3
    torch.nn.init.zeros_(last[1].weight)
    x = torch.randn(2, 4 if isinstance(block, BasicBlock) else 8, 6, 6)
    assert block(x).equal(block.shortcut(x).relu())


def test_maps_halve_and_channels_double_twice():
    """At the first block of the second and third of three stages; a stem of stride 2 halves once more."""
    shapes = resnet(10, (3, 32, 32), depth=14, width=8).feature_shapes((3, 32, 32))
    assert shapes == [(8, 32, 32)] * 2 + [(16, 16, 16)] * 2 + [(32, 8, 8)] * 2
    assert resnet(10, (3, 64, 64), depth=8, width=8, stem_stride=2).feature_shapes((3, 64, 64))[0] == (8, 32, 32)


def test_resnet_50_has_the_papers_maps():
    """Table 1: 56, 28, 14 and 7 pixels, 256 to 2048 channels, after 3, 4, 6 and 3 blocks."""
    with torch.device("meta"):
        shapes = resnet_50(1000, (3, 224, 224)).feature_shapes((3, 224, 224))
    wanted = [(256, 56, 56)] * 3 + [(512, 28, 28)] * 4 + [(1024, 14, 14)] * 6 + [(2048, 7, 7)] * 3
    assert shapes == wanted
