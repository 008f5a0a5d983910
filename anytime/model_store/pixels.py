"""The one way from the bytes of a picture to a row of an image input, for training and serving alike.

PixelsError          code
+-- ImageUnreadable  image_unreadable   truncated, corrupt, or not a PNG, JPEG or WebP
+-- ImageTooLarge    image_too_large    more pixels than the bound, found before anything is decoded
+-- ImageTooSmall    image_too_small    smaller than what the bundle crops
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps

from anytime.model_store.manifest import Preprocess
from anytime.model_store.tensors import DTYPES

FORMATS = ("PNG", "JPEG", "WEBP")

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


class PixelsError(Exception):
    """A picture that cannot become a row; the subclasses say why."""

    code = "bad_image"


class ImageUnreadable(PixelsError):
    code = "image_unreadable"


class ImageTooLarge(PixelsError):
    code = "image_too_large"


class ImageTooSmall(PixelsError):
    code = "image_too_small"


def preprocess(data: bytes, spec: Preprocess, dtype: str, row_shape: tuple[int, ...], max_pixels: int) -> np.ndarray:
    """One row, (1, \\*row_shape), of a picture: upright by its EXIF, alpha dropped, then as ``Preprocess`` says.

    Resizing is Pillow's, on 8 bits a channel, with antialiasing but for ``nearest``; 16 bits count by their high byte;
    of an animation the first frame counts. Raises a ``PixelsError``.
    """
    image = fit(decode(data, spec.channels, max_pixels), spec, max_pixels)
    pixels = _normalised(np.asarray(image), spec, dtype)
    assert pixels.size == math.prod(row_shape), "checks.check lets no other shape pass"
    return np.ascontiguousarray(pixels).reshape(1, *row_shape)


def decode(data: bytes, channels: str, max_pixels: int) -> Image.Image:
    """The picture, upright, in mode RGB (``rgb``) or L (``gray``)."""
    with _reading():
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > max_pixels:
        raise ImageTooLarge(
            f"the image is {image.width} x {image.height}; at most {max_pixels} pixels are read: shrink it"
        )
    with _reading():
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I"):
            image = _high_bytes(image)
        mode = "RGB" if channels == "rgb" else "L"
        return image if image.mode == mode else image.convert(mode)


def fit(image: Image.Image, spec: Preprocess, max_pixels: int) -> Image.Image:
    """The decoded picture resized and cropped, as ``Preprocess`` says. Raises ``ImageTooLarge`` or ``ImageTooSmall``."""
    return _cropped(_resized(image, spec, max_pixels), spec)


def _high_bytes(image: Image.Image) -> Image.Image:
    """Sixteen bits of gray to eight, with no copy on the way that is wider than the picture."""
    wide = np.asarray(image)
    high = np.empty(wide.shape, np.uint8)
    np.right_shift(wide, 8, out=high, casting="unsafe")
    return Image.fromarray(high)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLarge(f"the image is too large to read: {error}; shrink it") from error
    except MemoryError:
        raise
    except Exception as error:  # a hostile file makes decoders raise nearly anything, and all of it means the same
        raise ImageUnreadable(f"the image cannot be read: {error}; send a whole PNG, JPEG or WebP") from error


def _resized(image: Image.Image, spec: Preprocess, max_pixels: int) -> Image.Image:
    if spec.resize is None:
        return image
    width, height = image.size
    if isinstance(spec.resize, int):
        short = min(width, height)
        size = (width * spec.resize // short, height * spec.resize // short)
        if size[0] * size[1] > max(max_pixels, spec.resize**2):
            raise ImageTooLarge(
                f"the image is {width} x {height} and would be resized to {size}: send one less elongated"
            )
    else:
        size = (spec.resize[1], spec.resize[0])
    return image if size == image.size else image.resize(size, _RESAMPLING[spec.resample])


def _cropped(image: Image.Image, spec: Preprocess) -> Image.Image:
    if spec.crop is None:
        return image
    height, width = spec.crop
    if image.height < height or image.width < width:
        raise ImageTooSmall(f"the image is {image.width} x {image.height}; wanted at least {width} x {height}")
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


def _normalised(pixels: np.ndarray, spec: Preprocess, dtype: str) -> np.ndarray:
    """(H, W) or (H, W, C) of 0..255 -> (C, H, W) or (H, W, C), normalised; ``uint8`` stays as it is."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if dtype != "uint8":
        exact = np.float64 if dtype == "float64" else np.float32
        scaled = np.divide(pixels, 255, dtype=exact)
        pixels = ((scaled - np.array(spec.mean, exact)) / np.array(spec.std, exact)).astype(DTYPES[dtype])
    return pixels.transpose(2, 0, 1) if spec.layout == "chw" else pixels
