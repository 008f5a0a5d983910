import pytest

from anytime.model_store.manifest import Preprocess
from anytime.training.data.picture_files import (
    class_folders,
    file_part,
    list_folders,
    list_pictures,
    read_table,
    spec_of_size,
)
from anytime.training.errors import BadData, BadOption, BadPicture, EmptyClass
from tests.training.data.official_files import class_tree, write_files


def test_a_size_is_a_frame():
    """For 224 the custom of the field; small pictures keep their edges."""
    assert spec_of_size(224) == Preprocess(channels="rgb", resize=256, crop=(224, 224))
    assert spec_of_size(32) == Preprocess(channels="rgb", resize=32, crop=(32, 32))
    with pytest.raises(BadOption, match="size 0"):
        spec_of_size(0)


def test_pictures_are_listed_in_order(tmp_path):
    """Whatever the case of their suffix, in deeper folders too; notes and hidden files are passed over."""
    names = ["b/2.png", "b/10.JPG", "b/deep/1.webp", "b/notes.txt", "b/.hidden.png", "a/1.jpeg"]
    write_files(tmp_path, dict.fromkeys(names, "x"))
    assert list_pictures(tmp_path, "b") == ["b/10.JPG", "b/2.png", "b/deep/1.webp"]
    assert list_folders(tmp_path) == ["a", "b"]


def test_what_cannot_be_used_is_refused(tmp_path):
    """A format that the service would not take; no picture at all; no folder."""
    write_files(tmp_path, {"a/1.png": "x", "a/2.bmp": "x", "b/notes.txt": "x"})
    with pytest.raises(BadPicture, match="2.bmp is no PNG, JPEG or WebP; convert it"):
        list_pictures(tmp_path, "a")
    with pytest.raises(EmptyClass, match="b holds no PNG, JPEG or WebP"):
        list_pictures(tmp_path, "b")
    with pytest.raises(BadData, match="wanted a folder with a folder per class"):
        list_folders(tmp_path / "absent")


def test_classes_are_numbered_as_they_are_given(tmp_path):
    """Also where the pictures lie one folder deeper."""
    write_files(tmp_path, {"train/x/images/1.png": "x", "train/y/images/1.png": "x", "train/y/images/2.png": "x"})
    names, labels = class_folders(tmp_path, "train", ["y", "x"], "images")
    assert names == ["train/y/images/1.png", "train/y/images/2.png", "train/x/images/1.png"]
    assert labels == [0, 0, 1]


def test_the_first_picture_tells_the_shape(tmp_path):
    """Unless another part of the set has told it; a part without pictures is none."""
    write_files(tmp_path, class_tree({"a": 1}, side=12))
    spec = Preprocess(channels="rgb")
    assert file_part(tmp_path, ["a/0.png"], [0], spec).pictures.shape == (12, 12, 3)
    assert file_part(tmp_path, ["a/0.png"], [0], spec, (9, 9, 3)).pictures.shape == (9, 9, 3)
    with pytest.raises(BadData, match="no picture is listed"):
        file_part(tmp_path, [], [], spec)
    (tmp_path / "a" / "0.png").write_text("no picture")
    with pytest.raises(BadPicture, match="0.png: the image cannot be read"):
        file_part(tmp_path, ["a/0.png"], [0], spec)


def test_tables_have_a_number_of_columns(tmp_path):
    """The last takes the rest of the line; a shorter line is an error."""
    write_files(tmp_path, {"t.txt": "1 a b\n\n2 c\n", "latin.txt": b"\xff\xfe"})
    assert read_table(tmp_path / "t.txt", 2) == [["1", "a b"], ["2", "c"]]
    with pytest.raises(BadData, match="entry 2 has 2 words; wanted 3"):
        read_table(tmp_path / "t.txt", 3)
    for name in ("absent.txt", "latin.txt"):
        with pytest.raises(BadData, match="cannot be read"):
            read_table(tmp_path / name, 2)
