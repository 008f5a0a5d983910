from pathlib import Path

import pytest

from anytime.training.data.place import Place, data_folder, file_md5, strangers
from anytime.training.data.sources import CIFAR100_ARCHIVE, IMAGENET, MNIST, OfficialFile, Source
from anytime.training.errors import BadData, DataMissing
from tests.training.data.official_files import md5, pixels, write_files, write_idx_set

PAIR = Source("pair", ("pair", "."), (OfficialFile("one.gz", md5(b"1")), OfficialFile("two", md5(b"2"))))


def test_the_option_comes_before_the_variable():
    """And without either the user names no folder."""
    assert data_folder(Path("a"), {"ANYTIME_DATA": "b"}) == Path("a")
    assert data_folder(None, {"ANYTIME_DATA": "b"}) == Path("b")
    assert data_folder(None, {"ANYTIME_DATA": ""}) is data_folder(None, {}) is None


def test_the_users_folder_is_searched_before_the_cache(tmp_path, own_cache):
    """In each, the set's own folder before the files directly."""
    place = Place(tmp_path)
    folder, cache = place.folders
    assert folder == tmp_path and cache.is_relative_to(own_cache)
    assert list(place.homes(PAIR)) == [tmp_path / "pair", tmp_path / ".", cache / "pair", cache / "."]
    assert Place().folders == (cache,)


@pytest.mark.parametrize("home", ["pair", "."])
def test_files_are_found_packed_or_not(tmp_path, home):
    """All in one home; half a set is none."""
    write_files(tmp_path / home, {"one": "1"})
    assert Place(tmp_path).find(PAIR) is None
    write_files(tmp_path / home, {"two": "2"})
    assert Place(tmp_path).find(PAIR) == {"one.gz": tmp_path / home / "one", "two": tmp_path / home / "two"}


def test_what_is_missing_is_told(tmp_path):
    """Which files, where they were looked for, where they may be had, and why they were not fetched."""
    write_idx_set(tmp_path / "mnist", pixels(1, 2, 2, 1), pixels(1, 2, 2, 1))
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataMissing) as caught:
        Place(tmp_path, may_download=False).obtain(MNIST)
    said = str(caught.value)
    assert said.startswith("mnist: t10k-labels-idx1-ubyte.gz not found; looked in ")
    assert str(tmp_path / "MNIST" / "raw") in said and "downloads are switched off" in said
    assert said.endswith(f"/mnist/t10k-labels-idx1-ubyte.gz and put it into {tmp_path / 'mnist'}")
    with pytest.raises(
        DataMissing, match=r"cifar-100-binary.tar.gz not found.*kriz/cifar-100-binary.tar.gz and put it"
    ):
        Place(tmp_path, may_download=False).obtain(CIFAR100_ARCHIVE)
    assert "register at https://image-net.org" in str(Place(tmp_path).missing(IMAGENET, ["train"]))


def test_offline_the_message_holds_what_the_network_said(tmp_path):
    """A port that nobody listens to, as good as no network."""
    dead = "http://127.0.0.1:9/one.gz"
    source = Source("pair", ("pair",), (OfficialFile("one.gz", md5(b"1"), (dead,)), PAIR.files[1]))
    with pytest.raises(
        DataMissing, match=rf"pair: one.gz, two not found.*{dead}: .*refused.*get {dead} and put it into"
    ):
        Place(tmp_path).obtain(source)
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "pair"])


def test_files_that_are_not_the_published_ones_are_named(tmp_path):
    """They are read all the same: a selection of one's own is in order, as long as nobody calls it the original."""
    found = {"one.gz": tmp_path / "one.gz", "two": tmp_path / "two"}
    write_files(tmp_path, {"one.gz": "1", "two": "other"})
    assert strangers(found, PAIR) == ("two",)
    write_files(tmp_path, {"two": "2"})
    assert strangers(found, PAIR) == ()


def test_a_file_of_another_set_is_refused(tmp_path):
    """Both MNISTs name their files alike; a published file in the wrong place is told by its checksum."""
    found = {"one.gz": tmp_path / "one.gz", "two": tmp_path / "two"}
    write_files(tmp_path, {"one.gz": "1", "two": "3"})
    other = Source("fashion", (), (OfficialFile("two", md5(b"3")),))
    with pytest.raises(BadData, match="two is another file, published by fashion; wanted two of pair"):
        strangers(found, PAIR, (PAIR, other))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """A folder in a file's place."""
    with pytest.raises(BadData, match="cannot be read"):
        file_md5(tmp_path)
