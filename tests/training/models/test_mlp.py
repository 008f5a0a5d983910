import torch

from anytime.training.models.mlp import mlp


def test_a_block_per_hidden_layer():
    """Rows of any shape are flattened by the first; features are activations, so not negative."""
    network = mlp(10, (1, 28, 28))
    assert network.feature_shapes((1, 28, 28)) == [(150,), (100,), (50,)]
    features = network.forward_features(torch.randn(4, 1, 28, 28))
    assert all((feature >= 0).all() for feature in features)
    assert network.classifier.in_features == 50
