from torch import nn

from anytime.training.models.mobilenet import mobilenet, separable_block


def test_a_block_is_depthwise_then_pointwise():
    """One 3 x 3 filter per channel, at the block's stride, then 1 x 1 over channels."""
    depthwise, pointwise = (layer for layer in separable_block(8, 16, 2) if isinstance(layer, nn.Conv2d))
    assert (depthwise.groups, depthwise.kernel_size, depthwise.stride) == (8, (3, 3), (2, 2))
    assert (pointwise.groups, pointwise.kernel_size, pointwise.stride) == (1, (1, 1), (1, 1))


def test_maps_halve_four_times():
    """From 32 x 32 to 2 x 2, with the paper's channels times the width."""
    shapes = mobilenet(10, (3, 32, 32), width=0.25).feature_shapes((3, 32, 32))
    assert [side for _, side, _ in shapes] == [32, 16, 16, 8, 8, 4, 4, 4, 4, 4, 4, 2, 2]
    assert [channels * 4 for channels, _, _ in shapes] == [64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
