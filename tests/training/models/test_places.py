import pytest

from anytime.training.errors import BadOption
from anytime.training.models.places import check_places, every_place, places_by_share
from anytime.training.models.registry import make_backbone


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("resnet-56", (4, 8, 12, 16, 20, 24)), ("vgg-16", (2, 4, 6, 7, 9, 10))],
)
def test_shares_of_the_multiply_adds_are_sdns_places(name, wanted):
    """15 to 90 % are after the blocks that Shallow-Deep Networks chose."""
    found = places_by_share(make_backbone(name, labels=10, input_shape=(3, 32, 32)), (3, 32, 32))
    assert found == wanted


def small():
    return make_backbone("resnet-20", labels=4, input_shape=(1, 8, 8), width=2)


def test_shares_are_of_what_was_spent():
    """Each is the nearest block's; two shares at one block are one exit."""
    assert places_by_share(small(), (1, 8, 8), [0.5]) == (4,)
    assert places_by_share(small(), (1, 8, 8), [0.5, 0.51, 1.0]) == (4, 9)


def test_places_are_every_block_or_chosen():
    """Counted from 1, rising."""
    assert every_place(small()) == tuple(range(1, 10))
    assert check_places(small(), [2, 5, 9]) == (2, 5, 9)


@pytest.mark.parametrize("places", [[], [0, 3], [3, 3], [5, 2], [4, 10]], ids=str)
def test_places_that_are_none_are_refused(places):
    """With the range of blocks."""
    with pytest.raises(BadOption, match="from 1 to 9"):
        check_places(small(), places)


@pytest.mark.parametrize("shares", [[], [0.0], [1.5]], ids=str)
def test_shares_that_are_none_are_refused(shares):
    """They lie between 0 and 1."""
    with pytest.raises(BadOption, match="between 0 and 1"):
        places_by_share(small(), (1, 8, 8), shares)
