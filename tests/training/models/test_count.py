import pytest
import torch
from torch import nn

from anytime.model_store.macs import count_macs
from anytime.training.errors import MacsUnknown
from anytime.training.models.backbone import Backbone
from anytime.training.models.count import Count, count, count_blocks
from anytime.training.models.heads import make_head
from anytime.training.models.registry import make_backbone
from tests.training.exported import export
from tests.training.models.test_backbone import every_family, small
from tests.training.vectors import load_vector

PUBLISHED = load_vector("s_counts")["outputs"]
MLP, VGG = PUBLISHED["quicknet_mlp_784_150_100_50_10"], PUBLISHED["vgg11_cifar_fc4096_no_bn"]


def total(counts):
    return Count(sum(one.macs for one in counts), sum(one.params for one in counts))


@every_family
def test_watching_a_pass_counts_what_the_one_counter_counts(name):
    """Multiply-adds and parameters, of depthwise and strided convolutions too."""
    network, shape = small(name)
    assert total(count_blocks(network, shape)) == count(network, shape)


def test_groups_are_counted_once_and_statistics_are_no_parameters():
    """Each output of a grouped convolution sums its own group's channels."""
    network = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2, bias=False), nn.BatchNorm2d(6), nn.ReLU())
    assert count(network, (4, 5, 5)) == Count(macs=6 * 9 * 2 * 9, params=6 * 2 * 9 + 12)


def test_folding_normalisations_changes_no_multiply_adds():
    """As a served graph is: by torch's exporter into the convolutions, depthwise ones too."""
    network, shape = small("mobilenet")
    folded = export(network, [torch.zeros(2, *shape)], ["x"])
    assert not any(node.op_type == "BatchNormalization" for node in folded.graph.node)
    assert count_macs(folded, {}) == count(network, shape).macs


def test_a_head_is_counted_like_a_network():
    """3 x 3 convolution and linear layer; pools and the mixture count nothing but gamma."""
    head = make_head("conv", (6, 8, 8), 5)
    assert count(head, (6, 8, 8)) == Count(macs=64 * 6 * 6 * 9 + 96 * 5, params=6 * 6 * 9 + 6 + 1 + 96 * 5 + 5)


@pytest.mark.parametrize(
    ("name", "labels", "shape", "options", "wanted"),
    [
        ("mlp", 10, (1, 28, 28), {}, Count(MLP["macs"], MLP["params"])),
        ("vgg-11", 10, (3, 32, 32), {"hidden": [4096, 4096], "batch_norm": False}, Count(VGG["macs"], VGG["params"])),
        ("resnet-50", 1000, (3, 224, 224), {}, Count(4_089_184_256, 25_557_032)),
        (
            "vgg-16",
            1000,
            (3, 224, 224),
            {"hidden": [4096, 4096], "batch_norm": False},
            Count(15_470_264_320, 138_357_544),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_counts_are_the_published_ones(name, labels, shape, options, wanted):
    """To the last parameter and multiply-add, where these are known so well."""
    with torch.device("meta"):
        network = make_backbone(name, labels=labels, input_shape=shape, **options)
    assert total(count_blocks(network, shape)) == wanted


@pytest.mark.parametrize(
    ("name", "labels", "shape", "options", "millions"),
    [
        ("resnet-20", 10, (3, 32, 32), {}, 0.27),
        ("resnet-56", 10, (3, 32, 32), {}, 0.85),
        ("resnet-110", 10, (3, 32, 32), {}, 1.7),
        ("wrn-32-4", 10, (3, 32, 32), {"per_stage": 6}, 8.9),
        ("wrn-32-4", 10, (3, 32, 32), {"per_stage": 4, "width": 10}, 36.5),
        ("mobilenet", 1000, (3, 224, 224), {"stem_stride": 2}, 4.2),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parameters_are_the_papers(name, labels, shape, options, millions):
    """ResNet's Table 6, Wide ResNet's WRN-40-4 and WRN-28-10, MobileNet's Table 4, as rounded there."""
    with torch.device("meta"):
        network = make_backbone(name, labels=labels, input_shape=shape, **options)
    found = total(count_blocks(network, shape)).params / 1e6
    assert found == pytest.approx(millions, abs=0.06 if millions > 1 else 0.006)


def test_multiply_adds_are_the_papers():
    """MobileNet's 569 millions at 224 x 224, and ResNet-56's 126 on CIFAR."""
    with torch.device("meta"):
        mobile = make_backbone("mobilenet", labels=1000, input_shape=(3, 224, 224), stem_stride=2)
        residual = make_backbone("resnet-56", labels=10, input_shape=(3, 32, 32))
    assert total(count_blocks(mobile, (3, 224, 224))).macs == pytest.approx(569e6, rel=1e-3)
    assert total(count_blocks(residual, (3, 32, 32))).macs == pytest.approx(126e6, rel=5e-3)


def test_counting_leaves_no_trace():
    """No hook, no mode, no statistics."""
    network, shape = small("resnet-8")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    count_blocks(network, shape)
    assert network.training and not any(module._forward_hooks for module in network.modules())
    assert all(value.equal(before[key]) for key, value in network.state_dict().items())


def test_what_cannot_be_watched_is_refused():
    """A layer whose multiply-adds are not known counts as nothing nowhere."""
    network = Backbone([nn.Bilinear(2, 2, 2)], nn.Linear(2, 2))
    network.forward = lambda x: network.blocks[0](x, x)
    with pytest.raises(MacsUnknown, match="Bilinear"):
        count_blocks(network, (2,))
