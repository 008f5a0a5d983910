import pytest
import torch

from anytime.training.errors import BadOption
from anytime.training.models.registry import BACKBONES, backbone_options, make_backbone

SHAPE = (3, 32, 32)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_name_makes_a_network(name):
    """On 32 x 32 pixels, without weights."""
    with torch.device("meta"):
        network = make_backbone(name, labels=7, input_shape=SHAPE)
        assert network(torch.zeros(2, *SHAPE)).shape == (2, 7)


@pytest.mark.parametrize(("name", "blocks"), [("resnet-56", 27), ("vgg-16", 14), ("wrn-32-4", 15), ("mobilenet", 13),
                                               ("resnet-50", 16), ("resnet-32", 15), ("mlp", 3)])  # fmt: skip
def test_blocks_are_the_papers(name, blocks):
    """As many internal classifiers as Zero Time Waste has on each of its networks."""
    with torch.device("meta"):
        assert len(make_backbone(name, labels=10, input_shape=SHAPE).blocks) == blocks


def test_options_are_each_networks_own():
    """With defaults; what a name fixes is no option."""
    assert backbone_options("resnet") == {"depth": 56, "width": 16, "stem_stride": 1}
    assert backbone_options("resnet-56") == {"width": 16, "stem_stride": 1}


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("resnet56", {}, "no network 'resnet56'; did you mean 'resnet-56'"),
        ("resnet-56", {"widht": 8}, "no option 'widht'; did you mean 'width'"),
        ("resnet-56", {"depth": 20}, "no option 'depth'"),
        ("resnet", {"depth": 57}, "6m \\+ 2 layers, got a depth of 57"),
        ("resnet", {"width": 0}, "width is 0"),
        ("resnet", {"width": "16"}, "width is '16'"),
        ("resnet", {"width": True}, "width is True"),
        ("resnet", {"width": 1.5}, "width is 1.5"),
        ("mobilenet", {"width": float("nan")}, "width is nan"),
        ("mlp", {"hidden": [8, "x"]}, "hidden is 'x'"),
        ("mlp", {"hidden": 8}, "hidden is 8"),
        ("vgg-16", {"hidden": []}, "at least one"),
        ("vgg-16", {"batch_norm": 1}, "batch_norm is 1"),
        ("vgg-16", {"dropout": 2.0}, "dropout probability"),
    ],
)
def test_what_is_not_known_is_refused(name, options, match):
    """With the nearest known, or what is wanted."""
    with pytest.raises(BadOption, match=match):
        make_backbone(name, labels=10, input_shape=SHAPE, **options)


@pytest.mark.parametrize(
    ("name", "labels", "shape", "match"),
    [
        ("resnet-8", 10, (784,), "channels, height, width"),
        ("resnet-8", 10, (1, 0, 28), "channels, height, width"),
        ("resnet-8", 1, (1, 28, 28), "at least 2 labels"),
        ("vgg-16", 10, (1, 28, 28), "at least 32 x 32"),
    ],
)
def test_data_that_do_not_fit_are_refused(name, labels, shape, match):
    """Before anything is computed."""
    with pytest.raises(BadOption, match=match):
        make_backbone(name, labels=labels, input_shape=shape)
