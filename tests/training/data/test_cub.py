import numpy as np
import pytest

from anytime.training.data.cub import read_cub
from anytime.training.data.picture_files import spec_of_size
from anytime.training.data.place import Place
from anytime.training.errors import BadData, BadLabel, DataMissing
from tests.training.data.official_files import class_tree, tar_gz, write_files


def files():
    tree = class_tree({"001.Black_footed_Albatross": 3, "002.Laysan_Albatross": 3}, side=40, kind="JPEG")
    contents = {f"CUB_200_2011/images/{name}": data for name, data in tree.items()}
    tables = {
        "images": "".join(f"{number} {name}\n" for number, name in enumerate(tree, start=1)),
        "image_class_labels": "1 1\n2 1\n3 1\n4 2\n5 2\n6 2\n",
        "train_test_split": "1 0\n2 1\n3 1\n4 1\n5 0\n6 0\n",
        "classes": "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n",
    }
    return contents | {f"CUB_200_2011/{name}.txt": text.encode() for name, text in tables.items()}


def read(folder):
    return read_cub(Place(folder, may_download=False), spec_of_size(32)).checked("cub")


def test_the_text_files_say_what_is_what(tmp_path):
    """Parts, labels from 1 on, names."""
    write_files(tmp_path, files())
    found = read(tmp_path)
    assert found.labels == ("Black footed Albatross", "Laysan Albatross")
    assert (found.train.labels.tolist(), found.test.labels.tolist()) == ([0, 0, 1], [0, 1, 1])
    assert found.test.pictures.names[0] == "images/001.Black_footed_Albatross/0.JPEG"
    assert found.train.pictures.batch(np.arange(3)).shape == (3, 32, 32, 3)


def test_the_archive_is_unpacked(tmp_path):
    """Where only that is there."""
    write_files(tmp_path / "cub", {"CUB_200_2011.tgz": tar_gz(files())})
    assert (len(read(tmp_path).train), len(read(tmp_path).test)) == (3, 3)
    with pytest.raises(DataMissing, match="CUB_200_2011.tgz not found"):
        read(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "text", "error", "said"),
    [
        ("image_class_labels", "1 1\n2 1\n", BadData, "lists other pictures than images.txt"),
        ("image_class_labels", "1 1\n2 1\n3 1\n4 2\n5 2\n6 x\n", BadData, "wanted two whole numbers a line"),
        ("image_class_labels", "1 1\n2 1\n3 1\n4 3\n5 2\n6 2\n", BadLabel, "train part: the label of picture 2"),
        ("train_test_split", "1 1\n2 1\n3 1\n4 1\n5 1\n6 1\n", BadData, "no picture is listed for this part"),
    ],
)
def test_text_files_that_do_not_fit_are_refused(tmp_path, name, text, error, said):
    """Each by what is wrong in it."""
    write_files(tmp_path, files() | {f"CUB_200_2011/{name}.txt": text.encode()})
    with pytest.raises(error, match=said):
        read(tmp_path)
