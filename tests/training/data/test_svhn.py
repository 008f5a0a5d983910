import numpy as np
import pytest
from scipy.io import savemat

from anytime.training.data.place import Place
from anytime.training.data.svhn import read_svhn
from anytime.training.errors import BadData, BadLabel, DataMissing
from tests.training.data.official_files import pixels


def write(folder, name, images, labels):
    """As published: pictures along the last axis, the digit 0 called 10."""
    folder.mkdir(exist_ok=True)
    labels = np.where(np.asarray(labels) == 0, 10, labels).astype(np.uint8)
    savemat(folder / f"{name}_32x32.mat", {"X": images.transpose(1, 2, 3, 0), "y": labels[:, np.newaxis]})


def read(folder, **options):
    return read_svhn(Place(folder, may_download=False), **options).checked("svhn")


def test_digits_are_read_and_ten_means_zero(tmp_path):
    """Train and test; the extra digits go behind the train part where they are asked for."""
    for seed, name in enumerate(("train", "test", "extra")):
        write(tmp_path / "svhn", name, pixels(20, 32, 32, 3, seed), np.arange(20) % 10)
    found = read(tmp_path)
    np.testing.assert_array_equal(found.train.pictures.batch(np.arange(20)), pixels(20, 32, 32, 3, 0))
    np.testing.assert_array_equal(found.test.pictures.batch(np.arange(20)), pixels(20, 32, 32, 3, 1))
    np.testing.assert_array_equal(found.train.labels, np.arange(20) % 10)
    more = read(tmp_path, extra=True)
    np.testing.assert_array_equal(more.train.pictures.batch(np.arange(20, 40)), pixels(20, 32, 32, 3, 2))
    assert (len(more.train), len(more.test)) == (40, 20)


def test_the_extra_digits_may_be_missing(tmp_path):
    """Then they alone are named."""
    for name in ("train", "test"):
        write(tmp_path / "svhn", name, pixels(10, 32, 32, 3), np.arange(10))
    with pytest.raises(DataMissing, match="svhn-extra: extra_32x32.mat not found"):
        read(tmp_path, extra=True)


def test_other_contents_are_refused(tmp_path):
    """No MATLAB file, other shapes, a label above 10."""
    write(tmp_path / "svhn", "test", pixels(10, 32, 32, 3), np.arange(10))
    (tmp_path / "svhn" / "train_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file, or so it says")
    with pytest.raises(BadData, match="cannot be read as a MATLAB file with X and y"):
        read(tmp_path)
    write(tmp_path / "svhn", "train", pixels(10, 16, 32, 3), np.arange(10))
    with pytest.raises(BadData, match=r"X uint8 \[16, 32, 3, 10\] and 10 labels; wanted"):
        read(tmp_path)
    write(tmp_path / "svhn", "train", pixels(10, 32, 32, 3), np.arange(2, 12))
    with pytest.raises(BadLabel, match="a label is 11; wanted 1 to 10"):
        read(tmp_path)
