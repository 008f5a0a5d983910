import pytest
import torch
from torch import nn

from anytime.training.models.he import he_
from anytime.training.seeding import seeded


@pytest.mark.parametrize(("mode", "fan"), [("fan_in", 8 * 9), ("fan_out", 32 * 9)])
def test_a_convolution_starts_at_the_papers_variance(mode, fan):
    """2 / fan, mean 0, bias 0."""
    conv = nn.Conv2d(8, 32, 3)
    with seeded(0):
        he_(conv, mode)
    assert conv.weight.var().item() == pytest.approx(2 / fan, rel=0.1)
    assert conv.weight.mean().abs() < 0.02 and not conv.bias.any()


def test_the_last_linear_layer_is_left_as_torch_has_it():
    """Those before it, which have a ReLU behind them, are drawn anew; normalisations begin as the identity."""
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm2d(4), nn.Linear(4, 2))
    with torch.no_grad():
        network[1].weight.fill_(5)
    kept, drawn = network[2].weight.clone(), network[0].weight.clone()
    he_(network)
    assert network[2].weight.equal(kept) and not network[0].weight.equal(drawn)
    assert network[1].weight.equal(torch.ones(4)) and not network[1].bias.any()
