import pytest
import torch

from anytime.training.models.backbone import evaluating
from anytime.training.models.registry import make_backbone

SMALL = {
    "mlp": ({"hidden": [12, 8]}, (1, 6, 6)),
    "resnet-8": ({"width": 4}, (1, 9, 9)),
    "resnet-50": ({"width": 4}, (3, 32, 32)),
    "vgg-16": ({"hidden": [16, 16]}, (3, 32, 32)),
    "wrn-32-4": ({"width": 1, "per_stage": 1}, (3, 8, 8)),
    "mobilenet": ({"width": 0.25}, (3, 16, 16)),
}
"""A small one of every family: options and input shape."""

every_family = pytest.mark.parametrize("name", SMALL)


def small(name, seed=0):
    options, shape = SMALL[name]
    return make_backbone(name, labels=5, input_shape=shape, seed=seed, **options), shape


@every_family
def test_features_are_what_the_next_block_reads(name):
    """Each block on the feature before it gives the feature after it, and the classifier on the last gives the logits."""
    network, shape = small(name)
    network.eval()
    x = torch.randn(3, *shape)
    features = network.forward_features(x)
    kept = [feature.clone() for feature in features]
    for block, given, wanted in zip(network.blocks, [x, *features], kept, strict=False):
        assert block(given).equal(wanted)
    assert network.classifier(features[-1]).equal(network(x))
    assert all(feature.equal(one) for feature, one in zip(features, kept, strict=True)), "changed in place"


@every_family
def test_feature_shapes_are_those_of_features(name):
    """Without the row axis, and without leaving a trace in the network."""
    network, shape = small(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    shapes = network.feature_shapes(shape)
    assert shapes == [tuple(feature.shape[1:]) for feature in network.forward_features(torch.randn(2, *shape))]
    assert network.training
    network, _ = small(name)
    network.feature_shapes(shape)
    assert all(value.equal(before[key]) for key, value in network.state_dict().items())


@every_family
def test_the_weights_are_the_seeds(name):
    """The same seed gives the same network, another another."""
    one, same, other = (small(name, seed)[0].state_dict() for seed in (3, 3, 4))
    assert all(one[key].equal(same[key]) for key in one)
    assert not all(one[key].equal(other[key]) for key in one)


@every_family
def test_a_fresh_network_passes_signals_on(name):
    """Initialisation keeps the last feature's size within reach of the input's, so that training can start."""
    network, shape = small(name)
    features = network.forward_features(torch.randn(16, *shape))
    assert 0.03 < features[-1].std() < 30


def test_exits_read_chosen_features():
    """Counted from block 1, beside the network's own logits."""
    network, shape = small("resnet-8")
    network.eval()
    x = torch.randn(2, *shape)
    features, logits = network.forward_exits(x, [1, 3])
    everything = network.forward_features(x)
    assert features[0].equal(everything[0]) and features[1].equal(everything[2])
    assert logits.equal(network(x))


def test_each_module_gets_its_mode_back():
    """Also where some were in eval mode before, and where the work inside fails."""
    network, _ = small("resnet-8")
    network.blocks[0].eval()
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    with pytest.raises(RuntimeError), evaluating(network):
        network(torch.zeros(1))
    assert network.training and not network.blocks[0].training and network.blocks[1].training
