from torch import nn

from anytime.training.models.vgg import vgg


def test_the_last_block_is_a_linear_layer():
    """13 convolutions over five stages, then a vector: Zero Time Waste's 14 exits."""
    shapes = vgg(10, (3, 32, 32), hidden=(24, 16)).feature_shapes((3, 32, 32))
    assert shapes[:13] == [
        *[(64, 32, 32), (64, 16, 16), (128, 16, 16), (128, 8, 8)],
        *[(256, 8, 8), (256, 8, 8), (256, 4, 4), (512, 4, 4), (512, 4, 4), (512, 2, 2)],
        *[(512, 2, 2), (512, 2, 2), (512, 1, 1)],
    ]
    assert shapes[13:] == [(24,)]


def test_normalisation_is_an_option():
    """Without it, a convolution is followed by its ReLU."""
    plain, normalised = (vgg(10, (3, 32, 32), depth=11, hidden=(8,), batch_norm=said) for said in (False, True))
    norms = [sum(isinstance(module, nn.BatchNorm2d) for module in one.modules()) for one in (plain, normalised)]
    assert norms == [0, 8]
