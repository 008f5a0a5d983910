"""Small bundles and their traces, with figures that can be worked out by hand."""

import numpy as np
import pytest

from anytime.policy import Trace
from anytime.training.cascade import make_cascade
from anytime.training.classifier import read_classifier
from tests.training.classifiers import linear, save


@pytest.fixture
def pair(tmp_path):
    """Two exits, 12 and 24 multiply-adds: the first right on 3 of 4 rows, and sure of two; the second on all, and sure."""
    paths = [save(tmp_path / f"{name}.onnx", linear()) for name in "ab"]
    models = [read_classifier(path, macs=macs) for path, macs in zip(paths, (12, 24), strict=True)]
    bundle = make_cascade("pair", models).write(tmp_path / "bundle")
    first = [[9, 0, 0], [0, 9, 0], [1, 0, 0], [0, 0, 2]]
    second = [[9, 0, 0], [0, 9, 0], [0, 9, 0], [0, 0, 9]]
    logits = np.array([first, second], np.float32).swapaxes(0, 1)
    return bundle, Trace({"logits": logits}, np.array([[1.0, 3.0]] * 4), np.array([0, 1, 1, 2]))
