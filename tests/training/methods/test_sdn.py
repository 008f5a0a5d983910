import torch

from anytime.training.methods.losses import heads_loss
from anytime.training.methods.sdn import Sdn
from anytime.training.models.heads import HeadOptions

SHAPES = [(4, 8, 8), (6, 4, 4), (10,)]


def features(rows=3):
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(rows, *shape, generator=draw) for shape in SHAPES], torch.randn(rows, 5, generator=draw)


def test_the_base_networks_logits_are_untouched():
    """The last exit is the very tensor that came in."""
    given, base = features()
    *heads, last = Sdn(SHAPES, 5)(given, base)
    assert last is base
    assert [one.shape for one in heads] == [(3, 5)] * 3


def test_heads_know_nothing_of_each_other():
    """Another feature at exit 1 changes exit 1 alone, and exit 2's loss reaches exit 2 alone."""
    method = Sdn(SHAPES, 5)
    given, base = features()
    before = method(given, base)
    after = method([given[0] + 1, *given[1:]], base)
    assert [a.equal(b) for a, b in zip(before, after, strict=True)] == [False, True, True, True]
    heads_loss([before[1]], torch.tensor([0, 1, 2])).backward()
    assert [any(p.grad is not None for p in head.parameters()) for head in method.heads] == [False, True, False]


def test_an_exit_is_its_head():
    """What a served graph holds says what the whole method says at that exit."""
    method = Sdn(SHAPES, 5, HeadOptions("pool"))
    given, base = features()
    for number, wanted in enumerate(method(given, base)[:-1], start=1):
        assert method.exit(number)(given[number - 1]).equal(wanted)


def test_a_seed_makes_the_weights():
    """Two of the same seed are equal, and of another are not."""
    one, same, other = (Sdn(SHAPES, 5, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(one[name].equal(same[name]) for name in one)
    assert not all(one[name].equal(other[name]) for name in one)
