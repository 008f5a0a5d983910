import torch

from anytime.training.seeding import seeded


def test_a_seed_is_all_that_matters():
    """The same seed draws the same numbers, whatever was drawn before; another draws others."""
    drawn = []
    for seed in (3, 3, 4):
        torch.randn(seed)
        with seeded(seed):
            drawn.append(torch.randn(5))
    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])


def test_nothing_outside_changes():
    """The numbers outside are those that would have come without it."""
    torch.manual_seed(1)
    wanted = torch.randn(2)
    torch.manual_seed(1)
    with seeded(9):
        torch.randn(7)
    assert torch.randn(2).equal(wanted)
