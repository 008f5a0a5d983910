import numpy as np
import pytest

from anytime.training.data.folder import read_folder
from anytime.training.data.picture_files import spec_of_size
from anytime.training.errors import BadData, BadLabel, EmptyClass, SizesDiffer
from tests.training.data.official_files import class_tree, write_files


def write(folder, **parts):
    """A part per name, each with so many pictures of ``cat`` and ``dog``."""
    for seed, (name, count) in enumerate(parts.items()):
        write_files(folder / name, class_tree({"cat": count, "dog": count}, seed=seed))


def sizes(found):
    return [None if part is None else len(part) for part in (found.train, found.calibration, found.test)]


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ({"train": 3, "test": 2}, [6, None, 4]),
        ({"train": 3, "val": 2}, [6, None, 4]),
        ({"train": 3, "validation": 2, "test": 1}, [6, 4, 2]),
        ({"train": 3}, [6, None, None]),
        ({".": 3}, [6, None, None]),
    ],
)
def test_parts_go_by_their_names(tmp_path, parts, wanted):
    """val is the test where there is no other, else what thresholds are calibrated on."""
    write(tmp_path, **parts)
    found = read_folder(tmp_path).checked("folder")
    assert sizes(found) == wanted
    assert (found.labels, found.train.pictures.shape) == (("cat", "dog"), (16, 16, 3))
    assert found.train.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_class_may_be_called_train(tmp_path):
    """Among other classes it is one."""
    write_files(tmp_path, class_tree({"train": 2, "bus": 2}))
    assert read_folder(tmp_path).labels == ("bus", "train")


def test_pictures_of_several_sizes_need_one_to_be_brought_to(tmp_path):
    """Without it the odd one is named."""
    write_files(tmp_path, class_tree({"cat": 2}, side=20) | class_tree({"dog": 2}, side=24))
    with pytest.raises(SizesDiffer, match="dog/0.png: the picture is 24 x 24 where others are 20 x 20"):
        read_folder(tmp_path).train.pictures.batch(np.arange(4))
    assert read_folder(tmp_path, spec_of_size(18)).train.pictures.batch(np.arange(4)).shape == (4, 18, 18, 3)


def test_parts_that_do_not_fit_are_refused(tmp_path):
    """A class too many, one too few, an empty one, a single one, two parts for one purpose."""
    write(tmp_path, train=2, test=2)
    write_files(tmp_path / "test", class_tree({"emu": 1}))
    with pytest.raises(BadLabel, match="test holds 'emu', a class that has no folder in train"):
        read_folder(tmp_path)
    write_files(tmp_path / "train", class_tree({"emu": 1, "fox": 1}))
    with pytest.raises(EmptyClass, match="test lacks 'fox', a class of train"):
        read_folder(tmp_path)
    (tmp_path / "test" / "fox").mkdir()
    with pytest.raises(EmptyClass, match="test/fox holds no PNG"):
        read_folder(tmp_path)
    with pytest.raises(EmptyClass, match="cat holds 0 folders; wanted one for each of two classes"):
        read_folder(tmp_path / "train" / "cat")
    write(tmp_path / "two", train=1, val=1, valid=1)
    with pytest.raises(BadData, match="holds val, valid; wanted train, test and at most one of"):
        read_folder(tmp_path / "two")
