import numpy as np
import pytest

from anytime.training.data.cifar import read_cifar10, read_cifar100
from anytime.training.data.class_names import CIFAR100_PARENT
from anytime.training.data.place import Place
from anytime.training.errors import BadData, BadLabel, DataMissing
from tests.training.data.official_files import cifar10_files, cifar100_files, pixels, tar_gz, write_files


def read10(folder):
    return read_cifar10(Place(folder, may_download=False)).checked("cifar10")


def read100(folder, labels="fine"):
    return read_cifar100(Place(folder, may_download=False), labels).checked("cifar100")


@pytest.mark.parametrize("home", ["cifar-10-batches-bin", "cifar10", "."])
def test_the_five_batches_are_the_train_part(tmp_path, home):
    """In their order, channels last; the test batch is the test part."""
    write_files(tmp_path / home, cifar10_files(10))
    found = read10(tmp_path)
    images = np.concatenate([pixels(10, 32, 32, 3, seed) for seed in range(5)])
    np.testing.assert_array_equal(found.train.pictures.batch(np.arange(50)), images)
    np.testing.assert_array_equal(found.test.pictures.batch(np.arange(10)), pixels(10, 32, 32, 3, 5))
    np.testing.assert_array_equal(found.train.labels, np.tile(np.arange(10), 5))
    assert (found.labels[3], found.levels, len(found.strangers)) == ("cat", None, 6)


def test_the_archive_reads_like_its_files(tmp_path):
    """Nothing is unpacked on disk."""
    archive = tar_gz({f"cifar-10-batches-bin/{name}": data for name, data in cifar10_files(3 * 10).items()})
    write_files(tmp_path / "cifar10", {"cifar-10-binary.tar.gz": archive})
    assert (len(read10(tmp_path).train), read10(tmp_path).strangers) == (150, ("cifar-10-binary.tar.gz",))
    assert [one.name for one in (tmp_path / "cifar10").iterdir()] == ["cifar-10-binary.tar.gz"]


def test_fine_labels_know_their_coarse_ones(tmp_path):
    """As levels of the manifest; read alone, the coarse ones are a data set of 20 classes with the same pictures."""
    write_files(tmp_path / "cifar-100-binary", cifar100_files())
    fine, coarse = read100(tmp_path), read100(tmp_path, "coarse")
    assert (len(fine.labels), len(coarse.labels), coarse.levels) == (100, 20, None)
    assert [(level.name, len(level.labels)) for level in fine.levels] == [("fine", 100), ("coarse", 20)]
    assert fine.levels[0].labels == fine.labels and fine.levels[1].parent is None
    np.testing.assert_array_equal(np.array(fine.levels[0].parent)[fine.train.labels], coarse.train.labels)
    rows = np.arange(100)
    np.testing.assert_array_equal(fine.test.pictures.batch(rows), coarse.test.pictures.batch(rows))
    np.testing.assert_array_equal(fine.test.pictures.batch(rows), pixels(100, 32, 32, 3, 1))


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"0", lambda data: b""])
def test_files_of_another_length_are_refused(tmp_path, change):
    """A download that ended early is not a smaller data set."""
    files = cifar10_files()
    files["data_batch_3.bin"] = change(files["data_batch_3.bin"])
    write_files(tmp_path, files)
    with pytest.raises(BadData, match=r"data_batch_3.bin holds \d+ bytes; wanted a multiple of 3073"):
        read10(tmp_path)


def test_labels_that_cannot_be_are_refused(tmp_path):
    """Above the classes, or a fine label under the wrong coarse one."""
    files = cifar10_files()
    write_files(tmp_path / "a", {**files, "test_batch.bin": b"\x0a" + files["test_batch.bin"][1:]})
    with pytest.raises(BadLabel, match="test part: the label of picture 0 .from 0. is 10; wanted 0 to 9"):
        read10(tmp_path / "a")
    files = cifar100_files()
    write_files(tmp_path / "b", {**files, "train.bin": files["train.bin"][:1] + b"\x64" + files["train.bin"][2:]})
    with pytest.raises(BadLabel, match="a fine label is 100; wanted 0 to 99"):
        read100(tmp_path / "b")
    wrong = bytes([CIFAR100_PARENT[0] + 1])
    write_files(tmp_path / "c", {**files, "train.bin": wrong + files["train.bin"][1:]})
    with pytest.raises(BadLabel, match="picture 0 .from 0. has the fine label apple and the coarse label 5; wanted 4"):
        read100(tmp_path / "c")


def test_half_a_set_is_missing(tmp_path):
    """The message names the archive, which holds all of it."""
    files = cifar10_files()
    del files["data_batch_2.bin"]
    write_files(tmp_path / "cifar10", files)
    with pytest.raises(DataMissing, match="cifar-10-binary.tar.gz not found"):
        read10(tmp_path)
