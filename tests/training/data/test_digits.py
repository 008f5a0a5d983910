import numpy as np

from anytime.model_store import preprocess
from anytime.model_store.manifest import Preprocess
from anytime.training.data.digits import TEST_SEED, read_digit_set
from anytime.training.digit_pictures import read_digits
from anytime.training.digits import SEED


def test_the_test_part_is_that_of_the_demos_cascade():
    """Pixel for pixel what the enlarged pictures become when they are sent."""
    found, digits = read_digit_set().checked("digits"), read_digits(SEED)
    assert TEST_SEED == SEED
    rows = digits.splits["test"]
    np.testing.assert_array_equal(found.test.labels, digits.label[rows])
    spec = Preprocess(channels="gray", resize=(8, 8), layout="hwc")
    for place in (0, 100, 358):
        sent = preprocess(digits.picture(rows[place]), spec, "uint8", (8, 8, 1), 10_000)
        np.testing.assert_array_equal(found.test.pictures.batch(np.array([place])), sent)


def test_no_digit_is_there_twice():
    """Also not after enlarging and shrinking, so that none can leak from one part into another."""
    found = read_digit_set()
    keys = [*found.train.pictures.keys(), *found.test.pictures.keys()]
    assert (len(found.train), len(found.test)) == (1438, 359)
    assert len(set(keys)) == 1797
