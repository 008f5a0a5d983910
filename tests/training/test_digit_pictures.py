import io

import numpy as np
from PIL import Image

from anytime.model_store import preprocess
from anytime.model_store.manifest import Preprocess
from anytime.training.digit_pictures import PREPROCESS, ROW_SHAPE, picture, read_digits, split


def test_the_rows_are_what_a_request_would_become():
    """Each digit goes to the network as its picture does when it is sent."""
    digits = read_digits(0)
    spec = Preprocess(**{**PREPROCESS, "resize": (8, 8)})
    for index in (0, 700, 1796):
        sent = preprocess(digits.picture(index), spec, "float32", ROW_SHAPE, 10_000)
        np.testing.assert_array_equal(sent[0], digits.rows[index])
    assert digits.rows.min() >= 0.0 and digits.rows.max() <= 1.0


def test_a_picture_is_the_same_every_time():
    """A gray PNG of 64 x 64, to the byte."""
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) // 4
    assert picture(pixels) == picture(pixels.copy())
    image = Image.open(io.BytesIO(picture(pixels)))
    assert (image.format, image.mode, image.size) == ("PNG", "L", (64, 64))


def test_splits_share_every_label_out_alike():
    """No row twice, none left out; the seed decides."""
    label = np.repeat(np.arange(4), [10, 20, 30, 40])
    parts = split(label, 3)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(100))
    assert [np.bincount(label[part]).tolist() for part in parts.values()] == [
        [6, 12, 18, 24],
        [2, 4, 6, 8],
        [2, 4, 6, 8],
    ]
    assert all((split(label, 3)[name] == part).all() for name, part in parts.items())
    assert any((split(label, 4)[name] != part).any() for name, part in parts.items())
