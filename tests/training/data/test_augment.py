import math

import numpy as np
import pytest
from PIL import Image

from anytime.training.data.augment import AUGMENTATIONS, DRAWS, Augmentation, augmentation_named, resized_crop
from anytime.training.data.normalise import Normalisation
from anytime.training.errors import BadOption
from tests.training.data.official_files import pixels


def chance(count, seed=0):
    return np.random.default_rng(seed).random((count, DRAWS))


def mirrored_index(index, length):
    """Reflection without repeating the edge."""
    index = abs(index) % (2 * length - 2)
    return index if index < length else 2 * length - 2 - index


def slow(plan, image, draws):
    """One picture, one pixel at a time."""
    height, width, channels = image.shape
    top, left = (math.floor(draws[k] * (2 * plan.pad + 1)) - plan.pad for k in (0, 1))
    cut_top, cut_left = (math.floor(draws[k] * (side - plan.cutout + 1)) for k, side in ((3, height), (4, width)))
    out = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            source = (width - 1 - column) if plan.flip and draws[2] < 0.5 else column
            y, x = row + top, source + left
            if plan.padding == "reflect":
                out[row, column] = image[mirrored_index(y, height), mirrored_index(x, width)]
            elif 0 <= y < height and 0 <= x < width:
                out[row, column] = image[y, x]
            if cut_top <= row < cut_top + plan.cutout and cut_left <= column < cut_left + plan.cutout:
                out[row, column] = plan.fill
    return out.reshape(height, width, channels)


PLANS = [
    Augmentation(),
    Augmentation(flip=True),
    Augmentation(pad=4),
    Augmentation(pad=4, flip=True),
    Augmentation(pad=3, padding="reflect", flip=True),
    Augmentation(cutout=5, fill=(1, 2, 3)),
    Augmentation(pad=2, padding="reflect", flip=True, cutout=8, fill=(125, 123, 114)),
]


@pytest.mark.parametrize("plan", PLANS, ids=range(len(PLANS)))
def test_a_batch_is_each_picture_by_the_slow_road(plan):
    """For pictures that are not square too."""
    images, draws = pixels(40, 12, 9, 3), chance(40)
    got = plan(images, draws)
    assert (got.dtype, got.shape) == (np.uint8, images.shape)
    np.testing.assert_array_equal(got, np.stack([slow(plan, *pair) for pair in zip(images, draws, strict=True)]))


def test_a_turn_is_that_of_pillow():
    """Turned, moved and scaled as Pillow does it one by one, but for pixels on an edge, where its fixed point rounds."""
    images, draws = pixels(30, 28, 24, 3), chance(30)
    found = Augmentation(degrees=30, shift=0.2, scale=(0.7, 1.3))(images, draws)
    for image, draw, ours in zip(images, draws, found, strict=True):
        angle, zoom = math.radians(30 * (2 * draw[6] - 1)), 0.7 + 0.6 * draw[5]
        down, right = (round(0.2 * side * (2 * draw[k] - 1)) for k, side in ((0, 28), (1, 24)))
        cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
        # Pillow takes (x, y) of the result to (a x + b y + c, d x + e y + f) of the picture.
        back = (
            cos,
            sin,
            12 - cos * (12 + right) - sin * (14 + down),
            -sin,
            cos,
            14 + sin * (12 + right) - cos * (14 + down),
        )
        theirs = np.asarray(
            Image.fromarray(image).transform((24, 28), Image.Transform.AFFINE, back, Image.Resampling.NEAREST)
        )
        assert (ours == theirs).all(axis=2).mean() > 0.99


def test_a_picture_comes_out_alike_in_any_batch():
    """All chance is in its own numbers; what went in is left as it was."""
    images, draws = pixels(10, 8, 8, 1), chance(10)
    before = images.copy()
    plan = Augmentation(pad=4, flip=True, cutout=2, degrees=20, shift=0.2)
    whole = plan(images, draws)
    np.testing.assert_array_equal(plan(images[[7, 2]], draws[[7, 2]]), whole[[7, 2]])
    np.testing.assert_array_equal(images, before)


def test_every_place_is_as_likely():
    """81 crops of padding 4, each mirrored or not."""
    image = np.arange(32 * 32, dtype=np.int64).reshape(1, 32, 32, 1)
    marked = np.concatenate([image % 251, image // 251, image * 0], axis=-1).astype(np.uint8)
    count = 81 * 2 * 60
    out = Augmentation(pad=4, flip=True)(np.repeat(marked, count, axis=0), chance(count))
    times = np.unique(out.reshape(count, -1), axis=0, return_counts=True)[1]
    assert len(times) == 162
    assert times.min() > 25 and times.max() < 105


def test_a_resized_crop_keeps_to_area_and_aspect():
    """8 to 100 % of the picture at 3/4 to 4/3, anywhere inside, in whole pixels; clipped where it is longer."""
    boxes = np.array([resized_crop(200, 160, draws) for draws in chance(4000)])
    left, top, right, bottom = boxes.T
    assert (left.min(), top.min(), right.max(), bottom.max()) == (0, 0, 200, 160)
    wide, tall = right - left, bottom - top
    share, aspect = wide * tall / (200 * 160), wide / tall
    assert 0.078 < share.min() < 0.09 and share.max() > 0.9
    unclipped = (wide < 200) & (tall < 160)
    assert 0.73 < aspect[unclipped].min() < 0.77 and 1.3 < aspect[unclipped].max() < 1.37
    assert resized_crop(1, 1, chance(1)[0]) == (0, 0, 1, 1)
    np.testing.assert_array_equal(boxes, boxes.round())


def test_views_are_asked_for_by_place():
    """Only a resized crop needs the originals."""
    draws = chance(3)
    assert Augmentation(pad=4).view(draws) is None
    view = Augmentation(resized_crop=True).view(draws)
    assert [view(k, 50, 40) for k in range(3)] == [resized_crop(50, 40, draws[k]) for k in range(3)]


def test_augmentations_go_by_name():
    """The cut-out takes the mean, which is zero after normalisation; an unknown name is answered with the nearest."""
    normal = Normalisation((0.4914, 0.4822, 0.4465), (0.25, 0.25, 0.25))
    found = augmentation_named("reflect-crop-flip-cutout", normal)
    assert (found.pad, found.padding, found.cutout, found.fill) == (4, "reflect", 8, (125, 123, 114))
    assert augmentation_named("none", normal)(pixels(2, 4, 4, 3), chance(2)).shape == (2, 4, 4, 3)
    assert set(AUGMENTATIONS) >= {"none", "crop", "crop-flip", "resized-crop-flip"}
    with pytest.raises(BadOption, match="no augmentation is called 'cropflip'; did you mean 'crop-flip'"):
        augmentation_named("cropflip", normal)
    with pytest.raises(BadOption, match="cut-out of 8 pixels does not fit into 4 x 4"):
        augmentation_named("reflect-crop-flip-cutout", normal)(pixels(2, 4, 4, 3), chance(2))
