import numpy as np
import pytest

from anytime.model_store.manifest import Preprocess
from anytime.training.data.augment import Augmentation
from anytime.training.data.batches import batches, count_batches, in_order
from anytime.training.data.normalise import Normalisation
from anytime.training.data.official import Official, Part
from anytime.training.data.picture_files import spec_of_size
from anytime.training.data.pictures import Filed, Loaded
from anytime.training.data.split import split_data
from tests.training.data.official_files import pixels, png, write_files

AUGMENTED = Augmentation(pad=2, flip=True, cutout=2)


@pytest.fixture
def split():
    part = Part(Loaded(pixels(130, 8, 8, 3), Preprocess(channels="rgb")), np.arange(130) % 10)
    return split_data("any", Official(part, None, tuple("0123456789")), 0.1, 0).train


def joined(found, name):
    return np.concatenate([getattr(batch, name) for batch in found])


def test_an_epoch_shows_every_picture_once(split):
    """As floats, with its label and its index; another order in every epoch and for every seed."""
    found = list(batches(split, 10, seed=0, epoch=0))
    indices = joined(found, "indices")
    assert sorted(indices) == list(range(len(split)))
    np.testing.assert_array_equal(joined(found, "inputs"), split.inputs(indices))
    np.testing.assert_array_equal(joined(found, "labels"), split.labels[indices])
    assert (found[0].inputs.dtype, found[0].labels.dtype, found[0].indices.dtype) == (np.float32, np.int64, np.int64)
    for seed, epoch in ((0, 1), (1, 0)):
        assert (joined(batches(split, 10, seed=seed, epoch=epoch), "indices") != indices).any()


@pytest.mark.parametrize("start", [0, 1, 4, 9, 10, 11])
def test_a_resumed_epoch_goes_on_with_the_same_pictures(split, start):
    """From any batch on, to the bit, augmentation included."""
    whole = list(batches(split, 10, seed=5, epoch=2, augmentation=AUGMENTED))
    rest = list(batches(split, 10, seed=5, epoch=2, augmentation=AUGMENTED, start=start))
    assert len(rest) == max(0, len(whole) - start)
    for one, other in zip(whole[start:], rest, strict=True):
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.indices, other.indices)


def test_a_picture_is_augmented_alike_in_batches_of_any_size(split):
    """By seed, epoch and index; the next epoch changes it."""

    def by_index(size, epoch):
        found = list(batches(split, size, seed=1, epoch=epoch, augmentation=AUGMENTED))
        return joined(found, "inputs")[np.argsort(joined(found, "indices"))]

    np.testing.assert_array_equal(by_index(7, 0), by_index(64, 0))
    assert (by_index(7, 0) != by_index(7, 1)).any()


def test_the_last_batch_may_be_smaller_or_left_out(split):
    """Their number is known beforehand."""
    rows = len(split)
    sizes = [len(batch.labels) for batch in batches(split, 16, seed=0, epoch=0)]
    assert sizes == [16] * (rows // 16) + [rows % 16]
    assert len(sizes) == count_batches(rows, 16)
    dropped = list(batches(split, 16, seed=0, epoch=0, drop_last=True))
    assert len(dropped) == count_batches(rows, 16, drop_last=True) == rows // 16
    assert (count_batches(32, 16), count_batches(0, 16)) == (2, 0)


def test_in_order_is_in_order(split):
    """Each row once, unchanged; from any batch on."""
    found = list(in_order(split, 50))
    np.testing.assert_array_equal(joined(found, "indices"), np.arange(len(split)))
    np.testing.assert_array_equal(joined(found, "inputs"), split.inputs(np.arange(len(split))))
    np.testing.assert_array_equal(next(in_order(split, 50, start=1)).indices, found[1].indices)


def test_files_are_cropped_out_of_the_originals(tmp_path):
    """A resized crop sees the whole picture, not the frame that is used without it, and resumes alike."""
    images = pixels(12, 40, 60, 3)
    images[:, :, :5], images[:, :, 5:] = 255, 0  # white only at the left edge, which the centre does not hold
    names = [f"{number}.png" for number in range(12)]
    write_files(tmp_path, {name: png(image) for name, image in zip(names, images, strict=True)})
    part = Part(Filed(tmp_path, names, spec_of_size(32), (32, 32, 3), compared=False), np.arange(12) % 2)
    plain = Normalisation((0.0,) * 3, (1.0,) * 3)
    split = split_data("any", Official(part, None, ("a", "b"), normalisation=plain), 0.25, 0).train
    assert joined(in_order(split, 4), "inputs").max() == 0.0
    cropped = Augmentation(resized_crop=True, flip=True)
    found = list(batches(split, 4, seed=0, epoch=0, augmentation=cropped))
    assert joined(found, "inputs").max() == 1.0
    again = next(batches(split, 4, seed=0, epoch=0, augmentation=cropped, start=1))
    np.testing.assert_array_equal(again.inputs, found[1].inputs)
