from collections import Counter

from anytime.training.data.class_names import CIFAR100_COARSE, CIFAR100_FINE, CIFAR100_PARENT


def test_five_fine_classes_lie_in_each_coarse_one():
    """Both levels in the order of the alphabet, which is that of the published labels."""
    assert (len(CIFAR100_FINE), len(CIFAR100_COARSE)) == (100, 20)
    assert set(Counter(CIFAR100_PARENT).values()) == {5}
    assert list(CIFAR100_COARSE) == sorted(CIFAR100_COARSE)
    assert (CIFAR100_FINE[0], CIFAR100_FINE[33], CIFAR100_FINE[99]) == ("apple", "forest", "worm")
    assert CIFAR100_COARSE[CIFAR100_PARENT[33]] == "large_natural_outdoor_scenes"
