import torch
from torch import nn

from anytime.training.models.wide_resnet import WideBlock, wide_resnet


def test_nothing_follows_the_sum():
    """With a residual branch that says 0, a block hands its input on, negative numbers too."""
    block = WideBlock(4, 4, 1, dropout=0.3)
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 6, 6)
    assert block(x).equal(x)


def test_a_projection_reads_the_first_activation():
    """Where the shape changes: BN and ReLU, then 1 x 1 at the block's stride."""
    block = WideBlock(4, 6, 2, dropout=0.0).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 6, 6)
    assert block(x).equal(block.shortcut(block.bn1(x).relu()))


def test_channels_are_the_width_times_the_papers():
    """16, 32 and 64 times it; the last feature is activated by the classifier."""
    network = wide_resnet(10, (3, 16, 16), per_stage=1, width=2)
    assert network.feature_shapes((3, 16, 16)) == [(32, 16, 16), (64, 8, 8), (128, 4, 4)]
    first = network.classifier[0]
    assert isinstance(first[0], nn.BatchNorm2d)
