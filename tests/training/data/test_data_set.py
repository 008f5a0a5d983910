import numpy as np
import pytest

from anytime.model_store.manifest import DataSet as Stated
from anytime.model_store.manifest import Level, Preprocess
from anytime.training.data.official import Official, Part
from anytime.training.data.pictures import Loaded
from anytime.training.data.split import split_data
from tests.training.data.official_files import pixels

LEVELS = (
    Level(name="fine", labels=("cat", "tiger", "dog"), parent=(0, 0, 1)),
    Level(name="coarse", labels=("feline", "canine")),
)


@pytest.fixture
def images():
    return pixels(60, 4, 5, 3)


def make(images, strangers=()):
    spec = Preprocess(channels="rgb")
    train = Part(Loaded(images[:45], spec), np.arange(45) % 3)
    test = Part(Loaded(images[45:], spec), np.arange(15) % 3)
    return split_data("pets", Official(train, test, LEVELS[0].labels, levels=LEVELS, strangers=strangers), 0.2, 0)


def test_indices_count_within_the_split(images):
    """Pixels, labels and inputs of the same rows."""
    data = make(images)
    where = np.array([8, 0])
    rows = data.calibration.rows[where]
    np.testing.assert_array_equal(data.calibration.batch(where), images[rows])
    np.testing.assert_array_equal(data.calibration.labels[where], rows % 3)
    np.testing.assert_array_equal(data.calibration.inputs(where), data.calibration.normalisation(images[rows]))
    assert data.calibration.inputs(where).shape == (2, *data.input_shape) == (2, 3, 4, 5)
    assert (len(data.calibration), data.train.shape) == (9, (4, 5, 3))


def test_the_hash_is_of_what_a_split_holds(images):
    """The same for the same files and seed; another for one other pixel or another label, and only of that split."""
    data, same = make(images), make(images.copy())
    assert [split.sha256 for split in data.splits] == [split.sha256 for split in same.splits]
    images[50, 0, 0, 0] ^= 1
    other = make(images)
    assert [a.sha256 == b.sha256 for a, b in zip(same.splits, other.splits, strict=True)] == [True, True, False]
    assert same.sha256 != other.sha256
    same.test.part.labels[0] = 1
    assert make(images.copy()).test.sha256 != Stated(name="x", sha256=same.test.sha256).sha256


def test_provenance_is_what_the_manifest_takes(images):
    """Name, hash, and the splits with their sizes; files that are not the published ones are said to be so."""
    data = make(images, strangers=("train.bin",))
    stated = Stated(**data.provenance())
    assert (stated.name, stated.sha256) == ("pets", data.sha256)
    assert stated.split.startswith(f"train 36 (sha256 {data.train.sha256[:16]}), calibration 9 (sha256 ")
    assert stated.split.endswith("; not the published files: train.bin")


def test_labels_are_known_at_every_level(images):
    """By the parents of the finest."""
    fine, coarse = make(images).level_labels(np.array([2, 0, 1]))
    assert (fine.tolist(), coarse.tolist()) == ([2, 0, 1], [1, 0, 0])
