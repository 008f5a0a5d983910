import numpy as np
import pytest

from anytime.model_store import preprocess
from anytime.model_store.manifest import Preprocess
from anytime.training.data.normalise import Normalisation, measure, normalisation_of
from anytime.training.data.pictures import Filed, Loaded
from tests.training.data.official_files import encoded, pixels, png, write_files

RGB = Normalisation((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))


@pytest.mark.parametrize("layout", ["chw", "hwc"])
def test_training_and_serving_agree_bit_for_bit(layout):
    """A picture sent as PNG becomes the very floats that its pixels were in training; every value of a pixel occurs."""
    image = np.arange(16 * 16 * 3, dtype=np.int64).reshape(16, 16, 3).astype(np.uint8)
    normal = Normalisation(RGB.mean, RGB.std, layout)
    row = normal(image[np.newaxis])
    sent = preprocess(png(image), normal.preprocess(Preprocess(channels="rgb")), "float32", row.shape[1:], 1000)
    assert row.dtype == sent.dtype == np.float32
    assert row.flags.c_contiguous
    np.testing.assert_array_equal(row, sent)


def test_a_jpeg_file_takes_the_same_road(tmp_path):
    """From the bytes on disk, resized and cropped, to floats."""
    data = encoded(pixels(1, 70, 50, 3)[0], "JPEG")
    write_files(tmp_path, {"a.jpg": data})
    spec = Preprocess(channels="rgb", resize=40, crop=(32, 32), resample="bicubic")
    images = Filed(tmp_path, ["a.jpg"], spec, (32, 32, 3)).batch(np.array([0]))
    np.testing.assert_array_equal(RGB(images), preprocess(data, RGB.preprocess(spec), "float32", (3, 32, 32), 10_000))


def test_a_batch_is_each_picture_by_itself():
    """By the formula, also for views whose memory is laid out otherwise."""
    images = pixels(5, 6, 7, 3).transpose(0, 2, 1, 3)[:, ::-1]
    slow = (images / 255 - np.array(RGB.mean)) / np.array(RGB.std)
    np.testing.assert_allclose(RGB(images), slow.transpose(0, 3, 1, 2), atol=1e-6)


def test_mean_and_std_are_those_of_the_rows():
    """By channel, to four digits; a channel without contrast is only shifted."""
    images = pixels(3000, 4, 4, 3)
    images[..., 2] = 51
    rows = np.arange(0, 3000, 2)
    found = measure(Loaded(images, Preprocess(channels="rgb")), rows)
    scaled = images[rows].reshape(-1, 3) / 255
    assert found.mean == tuple(scaled.mean(axis=0).round(4))
    assert found.std == (*scaled.std(axis=0).round(4)[:2], 1.0)


def test_what_a_preprocessing_states_is_taken():
    """One value is of every channel."""
    spec = Preprocess(channels="rgb", mean=(0.5,), std=(0.1, 0.2, 0.3), layout="hwc")
    assert normalisation_of(spec) == Normalisation((0.5, 0.5, 0.5), (0.1, 0.2, 0.3), "hwc")
    assert normalisation_of(Preprocess(channels="gray")) == Normalisation((0.0,), (1.0,))
