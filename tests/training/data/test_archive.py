import pytest

from anytime.training.data.archive import read_members, unpack
from anytime.training.errors import BadData, DataMissing
from tests.training.data.official_files import tar_gz, zipped

CONTENTS = {"top/a.txt": b"a", "top/inner/b.txt": b"b"}


def test_members_are_read_in_place(tmp_path):
    """By their last names, wherever they lie in the archive."""
    (tmp_path / "x.tar.gz").write_bytes(tar_gz(CONTENTS))
    assert read_members(tmp_path / "x.tar.gz", ["b.txt", "a.txt"]) == {"a.txt": b"a", "b.txt": b"b"}
    with pytest.raises(BadData, match="holds no c.txt; fetch it again"):
        read_members(tmp_path / "x.tar.gz", ["a.txt", "c.txt"])


@pytest.mark.parametrize("pack", [tar_gz, zipped])
def test_an_archive_is_unpacked_beside_itself(tmp_path, pack):
    """Once; what is there is taken as it is."""
    (tmp_path / "x").write_bytes(pack(CONTENTS))
    top = unpack(tmp_path / "x", "top")
    assert (top, (top / "inner" / "b.txt").read_bytes()) == (tmp_path / "top", b"b")
    (top / "a.txt").write_text("changed")
    assert (unpack(tmp_path / "x", "top") / "a.txt").read_text() == "changed"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["top", "x"]


@pytest.mark.parametrize(
    "data",
    [
        tar_gz(CONTENTS)[:-30],
        zipped(CONTENTS)[:-30],
        b"nothing of the kind",
        tar_gz({"other/a": b"a"}),
        zipped({"../a": b"a"}),
        tar_gz({"../a": b"a"}),
    ],
)
def test_broken_archives_leave_nothing(tmp_path, data):
    """Cut short, no archive, another folder, paths that lead outside."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_bytes(data)
    with pytest.raises(BadData, match="fetch it again"):
        unpack(tmp_path / "data" / "x", "top")
    assert [one.name for one in tmp_path.rglob("*")] == ["data", "x"]
    with pytest.raises(BadData):
        read_members(tmp_path / "data" / "x", ["a.txt"])


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    """As on a full disk: the error says where, and nothing of the folder appears."""
    (tmp_path / "x").write_bytes(tar_gz({"top": b"a file", "top/a": b"and a folder"}))
    with pytest.raises(DataMissing, match="cannot be unpacked into"):
        unpack(tmp_path / "x", "top")
    assert [one.name for one in tmp_path.iterdir()] == ["x"]
