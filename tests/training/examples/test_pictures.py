"""The pictures of a data set as rows of a network."""

from __future__ import annotations

import numpy as np
import pytest

from anytime.training.attach import Inputs, NetworkInput
from anytime.training.data.augment import Augmentation
from anytime.training.data.read import read_data
from anytime.training.examples import gather, picture_examples

CROP = Augmentation(pad=2)


def inputs(dtype="float32"):
    return Inputs((NetworkInput("image", dtype, ("batch", 1, 8, 8)),), {}, one_row=False)


@pytest.fixture(scope="module")
def digits():
    return read_data("digits")


def test_the_first_view_is_the_pictures_as_they_are(digits):
    """One view is no augmented copy; of several only the later ones are augmented, each otherwise, and tests never."""
    plain = picture_examples(digits, inputs())
    one, three = (picture_examples(digits, inputs(), views=views, augmentation=CROP) for views in (1, 3))
    assert one.key == plain.key and len(one.train) == 1 and len(three.train) == 3
    seen = [gather(view, 20)[0]["image"].tobytes() for view in three.train]
    assert seen[0] == gather(plain.train[0], 20)[0]["image"].tobytes() and len(set(seen)) == 3
    assert len({view.rows.key for view in three.train}) == 3
    assert three.test.rows.key == plain.test.rows.key and three.calibration.rows.key == plain.calibration.rows.key


def test_a_narrower_float_gets_the_same_numbers_rounded(digits):
    """As the service does where the network takes float16."""
    half, single = (
        gather(picture_examples(digits, inputs(one)).test, 20)[0]["image"] for one in ("float16", "float32")
    )
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, single.astype(np.float16))
