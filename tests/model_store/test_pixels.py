"""Tests of pictures becoming rows, against numbers worked out by hand."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from anytime.model_store.manifest import Preprocess
from anytime.model_store.pixels import ImageTooLarge, ImageTooSmall, ImageUnreadable, decode, preprocess

GRAY = [[0, 51], [102, 255]]
RGB = [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [51, 102, 153]]]


def encoded(pixels, mode=None, fmt="PNG", **kwargs):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.array(pixels, np.uint8), mode)
    stream = io.BytesIO()
    image.save(stream, fmt, **kwargs)
    return stream.getvalue()


def rows(data, row_shape, dtype="float32", max_pixels=10_000, **spec):
    return preprocess(data, Preprocess(**spec), dtype, row_shape, max_pixels)


def test_gray():
    """Pixels are scaled to 0..1."""
    got = rows(encoded(GRAY), (1, 2, 2), channels="gray", resize=(2, 2))
    assert (got.dtype, got.shape) == (np.float32, (1, 1, 2, 2))
    np.testing.assert_array_equal(got[0, 0], np.array([[0, 0.2], [0.4, 1]], np.float32))


def test_mean_and_std():
    """The mean is subtracted, then the std divides."""
    got = rows(encoded(GRAY), (2, 2), "float64", channels="gray", resize=(2, 2), mean=(0.5,), std=(0.25,))
    np.testing.assert_allclose(got[0], [[-2, -1.2], [-0.4, 2]], rtol=1e-12)


def test_layouts():
    """``hwc`` keeps channels last, ``chw`` puts them first, and a flat row has the same order."""
    hwc = rows(encoded(RGB), (2, 2, 3), channels="rgb", resize=(2, 2), layout="hwc")
    np.testing.assert_array_equal(hwc[0], np.array(RGB, np.float32) / 255)
    chw = rows(encoded(RGB), (3, 2, 2), channels="rgb", resize=(2, 2))
    np.testing.assert_array_equal(chw[0], hwc[0].transpose(2, 0, 1))
    flat = rows(encoded(RGB), (12,), channels="rgb", resize=(2, 2))
    np.testing.assert_array_equal(flat[0], chw[0].ravel())


def test_mean_per_channel():
    """A mean and a std per channel meet their channel in either layout."""
    spec = {"channels": "rgb", "resize": (2, 2), "mean": (0.0, 0.2, 0.4), "std": (1.0, 0.5, 0.1)}
    want = (np.array(RGB) / 255 - [0, 0.2, 0.4]) / [1, 0.5, 0.1]
    np.testing.assert_allclose(rows(encoded(RGB), (2, 2, 3), layout="hwc", **spec)[0], want, atol=1e-6)
    np.testing.assert_allclose(rows(encoded(RGB), (3, 2, 2), **spec)[0], want.transpose(2, 0, 1), atol=1e-6)


def test_uint8():
    """A uint8 input gets the pixels as they are."""
    got = rows(encoded(GRAY), (2, 2), "uint8", channels="gray", resize=(2, 2))
    assert (got.dtype, got[0].tolist()) == (np.uint8, GRAY)


def test_float16():
    """A float16 input is computed in float32 and rounded once."""
    got = rows(encoded(GRAY), (2, 2), "float16", channels="gray", resize=(2, 2))
    np.testing.assert_array_equal(got[0], (np.array(GRAY, np.float32) / np.float32(255)).astype(np.float16))


def test_nearest_resize():
    """Nearest repeats pixels."""
    got = rows(encoded(GRAY), (4, 2), "uint8", channels="gray", resize=(4, 2), resample="nearest")
    assert got[0].tolist() == [[0, 51], [0, 51], [102, 255], [102, 255]]


def test_shorter_side_and_crop():
    """A single number resizes the shorter side; the crop takes the centre."""
    wide = [[0, 10, 20, 30], [40, 50, 60, 70]]
    got = rows(encoded(wide), (2, 2), "uint8", channels="gray", resize=2, crop=(2, 2))
    assert got[0].tolist() == [[10, 20], [50, 60]]
    doubled = rows(encoded(wide), (4, 4), "uint8", channels="gray", resize=4, crop=(4, 4), resample="nearest")
    assert doubled[0].tolist() == [[10, 10, 20, 20]] * 2 + [[50, 50, 60, 60]] * 2


def test_crop_alone():
    """A crop without resizing takes the centre, and refuses a picture that is smaller."""
    data = encoded(np.arange(9).reshape(3, 3))
    assert rows(data, (1, 1), "uint8", channels="gray", crop=(1, 1))[0].tolist() == [[4]]
    with pytest.raises(ImageTooSmall, match="at least 4 x 3"):
        rows(data, (3, 4), channels="gray", crop=(3, 4))


def test_gray_to_rgb_and_back():
    """A gray picture fills three channels; a coloured one becomes its luma."""
    got = rows(encoded(GRAY), (2, 2, 3), "uint8", channels="rgb", resize=(2, 2), layout="hwc")
    assert got[0].tolist() == [[[value] * 3 for value in row] for row in GRAY]
    luma = rows(encoded(RGB), (2, 2), "uint8", channels="gray", resize=(2, 2))
    assert luma[0].tolist() == [[76, 150], [29, 93]]


def test_alpha_is_dropped():
    """Transparent pixels keep their colour."""
    data = encoded([[[255, 0, 0, 0], [0, 255, 0, 128]]])
    got = rows(data, (1, 2, 3), "uint8", channels="rgb", resize=(1, 2), layout="hwc")
    assert got[0].tolist() == [[[255, 0, 0], [0, 255, 0]]]


def test_palette():
    """A picture with a palette is read through it."""
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    got = rows(encoded(image), (1, 2, 3), "uint8", channels="rgb", resize=(1, 2), layout="hwc")
    assert got[0].tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_sixteen_bits():
    """Sixteen bits of gray count by their high byte."""
    image = Image.fromarray(np.array([[0, 255, 256, 65535]], np.uint16))
    got = rows(encoded(image), (1, 4), "uint8", channels="gray", resize=(1, 4))
    assert got[0].tolist() == [[0, 0, 1, 255]]


def test_sixteen_bits_turned_and_filled():
    """Sixteen bits of gray are turned by their EXIF and fill three channels, as any gray does."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.array([[0, 511, 65535]], np.uint16))
    got = rows(encoded(image, exif=exif), (3, 1, 3), "uint8", channels="rgb", resize=(3, 1), layout="hwc")
    assert got[0].tolist() == [[[value] * 3] for value in (0, 1, 255)]


def test_sixteen_bits_are_not_widened():
    """On the way to eight bits a picture of sixteen takes a few bytes a pixel, not a few dozen."""
    data = encoded(Image.fromarray(np.zeros((1000, 1000), np.uint16)))
    tracemalloc.start()
    try:
        decode(data, "gray", 10**6)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * 10**6


def test_exif_orientation():
    """A picture is turned as its EXIF says."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded([[1, 2, 3]], exif=exif)
    assert rows(data, (3, 1), "uint8", channels="gray", resize=(3, 1))[0].tolist() == [[1], [2], [3]]


@pytest.mark.parametrize(("fmt", "options"), [("WEBP", {"lossless": True}), ("PNG", {}), ("JPEG", {"quality": 100})])
def test_formats(fmt, options):
    """PNG, JPEG and WebP are read."""
    flat = np.full((8, 8, 3), 100)
    got = rows(encoded(flat, fmt=fmt, **options), (8, 8, 3), "uint8", channels="rgb", resize=(8, 8), layout="hwc")
    assert np.abs(got.astype(int) - 100).max() <= 1


def test_deterministic():
    """The same bytes give the same row."""
    data = encoded(np.random.default_rng(0).integers(0, 256, (30, 20, 3)), fmt="JPEG")
    one, two = (rows(data, (3, 7, 7), channels="rgb", resize=9, crop=(7, 7), resample="bicubic") for _ in range(2))
    np.testing.assert_array_equal(one, two)


def big(width, height):
    """A PNG that declares a size and holds nothing: decoding it would fail as unreadable."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(101, 100), (10_000, 10_000), (30_000, 30_000), (2**31 - 1, 1)])
def test_bomb(size):
    """A picture that declares too many pixels is refused before anything is decoded."""
    with pytest.raises(ImageTooLarge) as caught:
        rows(big(*size), (2, 2), channels="gray", resize=(2, 2))
    assert caught.value.code == "image_too_large"


def test_elongated():
    """A sliver that resizing its shorter side would blow up is refused."""
    data = encoded(np.zeros((1, 5000)))
    with pytest.raises(ImageTooLarge, match="elongated"):
        rows(data, (8, 8), channels="gray", resize=8, crop=(8, 8))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"not an image",
        big(10, 10),
        encoded(np.random.default_rng(0).integers(0, 256, (50, 50)))[:-100],
        encoded(np.random.default_rng(0).integers(0, 256, (50, 50)), fmt="JPEG")[:-100],
        encoded(GRAY, fmt="BMP"),
        encoded(GRAY, fmt="GIF"),
    ],
)
def test_unreadable(data):
    """What is truncated, corrupt or of another format is unreadable."""
    with pytest.raises(ImageUnreadable) as caught:
        rows(data, (2, 2), channels="gray", resize=(2, 2))
    assert caught.value.code == "image_unreadable"
