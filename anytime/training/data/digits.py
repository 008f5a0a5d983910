"""scikit-learn's digits as a data set, with the test split of the demo's cascade, so that both are measured on the same."""

from __future__ import annotations

import numpy as np

from anytime.model_store.manifest import Preprocess
from anytime.training.data.class_names import DIGITS
from anytime.training.data.official import Official, Part
from anytime.training.data.pictures import Loaded
from anytime.training.digit_pictures import PREPROCESS, read_digits
from anytime.training.errors import ExtraMissing

TEST_SEED = 0
"""Of the cut into test and the rest, whatever the seed of the training: the demo's."""


def read_digit_set() -> Official:
    """1,438 and 359 pictures of 8 x 8, all different, as the bundle sees the enlarged ones that clients send."""
    try:
        digits = read_digits(TEST_SEED)
    except ImportError as error:
        raise ExtraMissing(f"{error.name} is not installed; install anytime-serving[train] for digits") from error
    spec = Preprocess.model_validate({**PREPROCESS, "resize": tuple(PREPROCESS["resize"])})
    images = np.rint(digits.rows * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    test = digits.splits["test"]
    rest = np.sort(np.concatenate([digits.splits["train"], digits.splits["calibration"]]))
    train, held = (Part(Loaded(images[rows], spec), digits.label[rows]) for rows in (rest, test))
    return Official(train, held, DIGITS)
