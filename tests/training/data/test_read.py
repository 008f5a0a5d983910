import subprocess
import sys

import numpy as np
import pytest

from anytime.model_store import preprocess
from anytime.model_store.manifest import Preprocess
from anytime.training.data import AUGMENTATIONS, ENTRIES, batches, read_data
from anytime.training.errors import BadOption, DataMissing, DataUnknown
from tests.training.data.official_files import (
    cifar10_files,
    cifar100_files,
    class_tree,
    pixels,
    png,
    write_files,
    write_idx_set,
)


@pytest.fixture
def folder(tmp_path):
    """Some sets beside each other."""
    write_files(tmp_path / "cifar-10-batches-bin", cifar10_files(40))
    write_files(tmp_path / "cifar-100-binary", cifar100_files(1000))
    write_idx_set(tmp_path / "mnist", pixels(100, 28, 28, 1, 1), pixels(20, 28, 28, 1, 2))
    write_idx_set(tmp_path / "fashion-mnist", pixels(100, 28, 28, 1, 3), pixels(20, 28, 28, 1, 4))
    write_files(tmp_path / "pets", class_tree({"cat": 20, "dog": 20}, side=20))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "shape", "classes", "sizes"),
    [
        ("digits", (8, 8, 1), 10, [1078, 360, 359]),
        ("mnist", (28, 28, 1), 10, [90, 10, 20]),
        ("fashion-mnist", (28, 28, 1), 10, [90, 10, 20]),
        ("cifar10", (32, 32, 3), 10, [180, 20, 40]),
        ("cifar100", (32, 32, 3), 100, [900, 100, 100]),
        ("cifar100-coarse", (32, 32, 3), 20, [900, 100, 100]),
    ],
)
def test_a_data_set_is_read_by_its_name(folder, name, shape, classes, sizes):
    """Cut, with its labels; a test picture that is sent as a file becomes the row that it was in training."""
    data = read_data(name, folder, may_download=False)
    assert (data.name, data.train.shape, len(data.labels)) == (name, shape, classes)
    assert [len(split) for split in data.splits] == sizes
    row = np.array([3])
    sent = preprocess(png(data.test.batch(row)[0]), data.preprocess, "float32", data.input_shape, 10_000)
    np.testing.assert_array_equal(sent, data.test.inputs(row))
    first = next(batches(data.train, 8, seed=0, epoch=0))
    assert first.inputs.shape == (8, *data.input_shape)


def test_the_users_own_pictures(folder):
    """As they are, or brought to a size; augmented by parts of the originals."""
    data = read_data("folder", folder / "pets")
    assert ([len(split) for split in data.splits], data.labels) == ([29, 3, 8], ("cat", "dog"))
    assert data.name == "folder pets"
    assert (data.augmentation, data.repeats.rows) == ("resized-crop-flip", 0)
    assert read_data("folder", folder / "pets", size=12).input_shape == (3, 12, 12)
    sent = (folder / "pets" / data.test.part.pictures.names[data.test.rows[0]]).read_bytes()
    row = preprocess(sent, data.preprocess, "float32", data.input_shape, 10_000)
    np.testing.assert_array_equal(row, data.test.inputs(np.array([0])))


def test_the_variable_names_the_folder(folder, monkeypatch):
    """Read when a data set is; without it and without an option there is no folder of one's own."""
    with pytest.raises(BadOption, match="which folder.*ANYTIME_DATA"):
        read_data("folder")
    monkeypatch.setenv("ANYTIME_DATA", str(folder))
    assert len(read_data("mnist", may_download=False).test) == 20


def test_a_size_keeps_the_colours_and_a_preprocessing_is_taken_whole(folder):
    """So that a network trained elsewhere sees what it was trained on."""
    assert read_data("mnist", folder, size=36).input_shape == (1, 36, 36)
    spec = Preprocess(channels="rgb", resize=40, crop=(32, 32), mean=(0.5,), std=(0.25,), layout="hwc")
    data = read_data("mnist", folder, preprocess=spec)
    assert data.preprocess == spec.model_copy(update={"mean": (0.5,) * 3, "std": (0.25,) * 3})
    row = np.array([0])
    original = png(data.test.part.pictures.images[0])
    sent = preprocess(original, data.preprocess, "float32", (32, 32, 3), 10_000)
    np.testing.assert_array_equal(sent, data.test.inputs(row))


def test_options_that_cannot_be_are_refused(folder):
    """An unknown name with the nearest; a share that is none; two ways to say one thing; a folder that is not there."""
    with pytest.raises(DataUnknown, match="no data set is called 'cifar-10'; did you mean 'cifar10'"):
        read_data("cifar-10")
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(BadOption, match="wanted a share between 0 and 1"):
            read_data("mnist", folder, calibration=share)
    with pytest.raises(BadOption, match="both a size and a preprocessing"):
        read_data("mnist", folder, size=32, preprocess=Preprocess(channels="gray"))
    with pytest.raises(DataMissing, match="absent is no folder"):
        read_data("mnist", folder / "absent", may_download=False)


def test_every_entry_is_complete():
    """Its augmentation exists; digits and house numbers are never mirrored."""
    assert {entry.augmentation for entry in ENTRIES.values()} <= AUGMENTATIONS.keys()
    mirrored = {name for name, entry in ENTRIES.items() if AUGMENTATIONS[entry.augmentation].flip}
    assert mirrored == {"cifar10", "cifar100", "cifar100-coarse", "tiny-imagenet", "imagenet", "cub", "folder"}


def test_reading_data_needs_no_torch():
    """Nor, until they are used, scikit-learn, scipy or pooch."""
    code = "import sys, anytime.training.data; print({*sys.modules} & {'torch', 'sklearn', 'scipy', 'pooch'})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "set()"
