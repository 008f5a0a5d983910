"""What exits read of cuts of every kind: the same as arrays, and however the tensor was laid out."""

import numpy as np
import pytest
import torch

from anytime.training.attach import Cut, Mask
from anytime.training.errors import BadOption
from anytime.training.exits import Reading
from anytime.training.exits.reading import read_cuts, reading_of
from anytime.training.models.heads import HeadOptions

MASK = Mask("attention_mask", "sequence", keeps=True)


def cut(*shape, told=None, dtype="float32"):
    return Cut("t", dtype, ("batch", *shape), 1, 0.5, told)


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_map_is_the_same_wherever_its_channels_are():
    """(N, H, W, C) becomes (N, C, H, W), and its mean the channels'; what is channels-first stays as it is."""
    first = drawn(2, 5, 4, 3)
    last = first.permute(0, 2, 3, 1)
    assert Reading(3)(last).equal(first)
    assert Reading(1)(first).equal(first) and Reading(1).shrink() is None
    torch.testing.assert_close(Reading(3, "mean")(last), first.mean(dim=(2, 3)))
    torch.testing.assert_close(Reading(1, "mean")(first), first.mean(dim=(2, 3)))


def test_a_signal_and_tokens_become_vectors():
    """The mean over the length, wherever it is; or the first token."""
    tokens = drawn(2, 7, 5)
    torch.testing.assert_close(Reading(2, "mean")(tokens), tokens.mean(dim=1))
    torch.testing.assert_close(Reading(1, "mean")(tokens.transpose(1, 2)), tokens.mean(dim=1))
    assert Reading(2, "first")(tokens).equal(tokens[:, 0])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("keeps", [True, False])
def test_a_mean_leaves_out_what_the_mask_does(channels, keeps):
    """Whatever stands there, infinities included; a row of which nothing is left gives noughts."""
    tokens, lengths = drawn(3, 6, 5), [6, 2, 0]
    counts = torch.arange(6) < torch.tensor(lengths)[:, None]
    wanted = torch.stack(
        [row[:length].sum(dim=0) / max(length, 1) for row, length in zip(tokens, lengths, strict=True)]
    )
    tokens[~counts] = torch.inf
    mask = (counts if keeps else ~counts).to(torch.int64)
    reading = Reading(channels, "mean", Mask("m", 6, keeps))
    found = reading(tokens if channels == 2 else tokens.transpose(1, 2), mask)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("reading", [Reading(3), Reading(3, "mean"), Reading(2, "first"), Reading(2, "mean", MASK)])
def test_arrays_are_read_alike(reading):
    """From half precision to float32, by the mask among the inputs; each reading has a name of its own."""
    values = drawn(2, 4, 4, 5).half() if reading.channels == 3 else drawn(2, 4, 5).half()
    mask = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0]])
    shrink = reading.shrink()
    found = shrink.apply(values.numpy(), {"attention_mask": mask.numpy()})
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reading(values.float(), mask).numpy(), rtol=1e-6)


def test_no_two_readings_are_stored_under_one_name():
    """Of the same tensor."""
    readings = [Reading(2), Reading(3), Reading(2, "mean"), Reading(1, "mean"), Reading(2, "first"),
                Reading(2, "mean", MASK), Reading(2, "mean", Mask("attention_mask", "sequence", keeps=False))]  # fmt: skip
    assert len({one.shrink().name for one in readings}) == len(readings)


@pytest.mark.parametrize(("one", "head", "channels", "wanted"), [
    (cut(16), "pool", "auto", Reading(1)),
    (cut(7, 16), "pool", "auto", Reading(2, "mean")),
    (cut(7, 16), HeadOptions(tokens="first"), "auto", Reading(2, "first")),
    (cut(7, 16, told=1), HeadOptions(tokens="first"), "auto", Reading(1, "mean")),
    (cut(7, 16, told=2), "pool", "first", Reading(1, "mean")),
    (cut(16, "length"), "pool", "auto", Reading(1, "mean")),
    (cut(8, 4, 4), "pool", "auto", Reading(1)),
    (cut(4, 4, 8, told=3), "conv", "auto", Reading(3)),
    (cut(4, 4, 8), "linear", "last", Reading(3, "mean")),
    (cut("side", "side", 8, told=3), "conv", "auto", Reading(3, "mean")),
    (cut(8, "side", 4), "pool", "auto", Reading(1, "mean")),
])  # fmt: skip
def test_what_is_read_follows_from_the_cut(one, head, channels, wanted):
    """Where the channels are by the graph or by who knows better; maps whole only where their sides are fixed."""
    assert reading_of(one, head if isinstance(head, HeadOptions) else HeadOptions(head), channels) == wanted


@pytest.mark.parametrize(("one", "channels"), [
    (cut(16, "length", told=2), "auto"), (cut(16, "length"), "last"), (cut("a", "b", 3, 4), "auto"), (cut(), "auto"),
    (cut(2, 2, 2, 2, told=1), "auto"), (cut(16, dtype="int64"), "auto"),
])  # fmt: skip
def test_what_no_head_reads_is_refused(one, channels):
    """Channels of no known number, too many or too few axes, or whole numbers."""
    with pytest.raises(BadOption, match="no head reads; wanted floats"):
        reading_of(one, HeadOptions(), channels)


def test_what_the_network_does_not_tell_is_said(networks):
    """The default is named, and nothing is said where somebody decided."""
    said = []
    one = cut("sequence", 32)
    assert read_cuts(networks["bert"], [one], HeadOptions(), say=said.append) == [Reading(2, "mean", MASK)]
    assert len(said) == 1 and "['batch', 'sequence', 32] are the graph does not tell; taken to be last" in said[0]
    read_cuts(networks["bert"], [one], HeadOptions(), "last", say=said.append)
    assert len(said) == 1


def test_a_mask_of_other_places_is_told_of(networks):
    """As where tokens were joined on the way: their mean is over all of them, and which cut it is is said; once each."""
    said = []
    cuts = [cut("sequence", 32, told=2), cut(4, 32, told=2), cut(32)]
    found = read_cuts(networks["bert"], cuts, HeadOptions(), say=said.append)
    assert found == [Reading(2, "mean", MASK), Reading(2, "mean"), Reading(1)]
    assert said == [
        "t ['batch', 4, 32] has other places than attention_mask ['batch', 'sequence']; its head reads the mean over all "
        "of them"
    ]
