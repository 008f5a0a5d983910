import pytest
import torch
from torch import nn

from anytime.training.errors import BadOption
from anytime.training.models.heads import HeadOptions, make_head

LABELS = 5


@pytest.mark.parametrize(
    ("options", "shape", "width"),
    [
        ("conv", (6, 8, 8), 6 * 16),
        ("conv", (6, 2, 2), 6 * 4),
        (HeadOptions("conv", pool="fixed"), (6, 10, 10), 6 * 25),
        (HeadOptions("conv", stride=2, shrink=4), (8, 14, 14), 2 * 16),
        ("pool", (6, 8, 8), 6 * 16),
        ("linear", (6, 8, 8), 6),
        ("linear", (9,), 9),
    ],
    ids=str,
)
@pytest.mark.parametrize("extra", [0, LABELS])
def test_a_map_or_a_vector_becomes_logits(options, shape, width, extra):
    """Of any size; beside the reduced feature stands what was said before."""
    head = make_head(options, shape, LABELS, extra)
    assert head.linear.in_features == width + extra
    feature, before = torch.randn(3, *shape), torch.randn(3, extra) if extra else None
    assert head(feature, before).shape == (3, LABELS)


def test_the_convolution_keeps_the_channels():
    """3 x 3 with bias, stride 1, then ReLU: nothing below 0 reaches the pool."""
    conv, relu, *_ = make_head("conv", (6, 8, 8), LABELS).reduce
    assert isinstance(conv, nn.Conv2d) and isinstance(relu, nn.ReLU)
    assert (conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride) == (6, 6, (3, 3), (1, 1))
    assert conv.bias is not None and conv(torch.randn(1, 6, 8, 8)).shape == (1, 6, 8, 8)


@pytest.mark.parametrize(("side", "stride"), [(9, 2), (8, 1)])
def test_the_stride_is_for_large_maps(side, stride):
    """Maps of 8 x 8 and below are convolved at stride 1 all the same."""
    conv, *_ = make_head(HeadOptions(stride=2), (6, side, side), LABELS).reduce
    assert conv.stride == (stride, stride)


@pytest.mark.parametrize("kind", ["linear", "pool", "conv"])
def test_only_the_linear_head_reduces_without_parameters(kind):
    """So that what it reads of a frozen feature can be computed once."""
    reduce = make_head(kind, (6, 8, 8), LABELS).reduce
    assert (not list(reduce.parameters())) == (kind == "linear")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"kind": "convolution"}, "kind is 'convolution'; did you mean 'conv'"),
        ({"pool": "adaptiv"}, "did you mean 'adaptive'"),
        ({"tokens": "cls"}, "known: mean, first"),
        ({"stride": 0}, "wanted a whole number from 1"),
    ],
)
def test_unknown_options_are_refused(options, match):
    """By name, with the nearest known."""
    with pytest.raises(BadOption, match=match):
        HeadOptions(**options)


@pytest.mark.parametrize("shape", [(7, 12), (1, 2, 3, 4)])
def test_a_feature_of_another_rank_is_refused(shape):
    """With the ranks that there are heads for."""
    with pytest.raises(BadOption, match="wanted .channels, height, width."):
        make_head("linear", shape, LABELS)
