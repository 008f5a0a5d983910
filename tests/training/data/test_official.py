import numpy as np
import pytest

from anytime.model_store.manifest import Preprocess
from anytime.training.data.official import Official, Part
from anytime.training.data.pictures import Loaded
from anytime.training.errors import BadData, BadLabel, EmptyClass, SizesDiffer
from tests.training.data.official_files import pixels


def part(labels, count=None, side=4):
    images = pixels(len(labels) if count is None else count, side, side, 3)
    return Part(Loaded(images, Preprocess(channels="rgb")), np.array(labels, np.int64))


def test_what_fits_passes():
    """And is handed on as it is."""
    whole = Official(part([0, 1, 1]), part([1]), ("cat", "dog"), calibration=part([0]))
    assert whole.checked("pets") is whole


@pytest.mark.parametrize(
    ("train", "test", "error", "said"),
    [
        (part([0, 2]), None, BadLabel, "pets, train part: the label of picture 1 .from 0. is 2; wanted 0 to 1"),
        (part([0, 1]), part([0, -1]), BadLabel, "pets, test part: the label of picture 1 .from 0. is -1"),
        (part([0, 0]), None, EmptyClass, "no picture of 1 of 2 classes, such as dog"),
        (part([0, 1], count=3), None, BadData, "holds 3 pictures and 2 labels"),
        (part([0, 1]), part([]), BadData, "pets, test part holds no picture"),
        (
            part([0, 1]),
            part([0], side=5),
            SizesDiffer,
            r"test part holds pictures of \(5, 5, 3\), the train part of \(4",
        ),
    ],
)
def test_what_does_not_fit_is_named(train, test, error, said):
    """By part, row and class."""
    with pytest.raises(error, match=said):
        Official(train, test, ("cat", "dog")).checked("pets")
