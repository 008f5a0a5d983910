import numpy as np
import pytest

from anytime.training.errors import BadClassifier, BadOption
from anytime.training.stopwatch import time_network
from tests.bundles.graphs import Sketch
from tests.policy.conftest import make_manifest
from tests.training.classifiers import linear, save


def wide(side):
    """(rows, 4) through a square matrix and back."""
    sketch = Sketch(x=("float32", ("batch", 4)))
    grown = sketch.gemm("x", np.ones((4, side), np.float32), np.zeros(side, np.float32))
    grown = sketch.gemm(grown, np.ones((side, side), np.float32), np.zeros(side, np.float32))
    sketch.gemm(grown, np.ones((side, 3), np.float32), np.zeros(3, np.float32), to="y")
    return sketch.model(y=("float32", ("batch", 3)))


def test_the_larger_network_takes_longer(tmp_path):
    """A million multiply-adds against a dozen, with room to spare."""
    small, large = save(tmp_path / "small.onnx", linear()), save(tmp_path / "large.onnx", wide(2048))
    manifest = make_manifest()
    assert 0.0 < time_network(small, manifest, runs=20) * 3 < time_network(large, manifest, runs=20)


def test_open_axes_have_the_bundles_usual_sizes(tmp_path):
    """An axis that the bundle does not know cannot be sized."""
    sketch = Sketch(x=("float32", ("batch", "seq", 4)))
    sketch.op("ReduceMean", "x", np.array([1]), keepdims=0, to="y")
    path = save(tmp_path / "open.onnx", sketch.model(y=("float32", ("batch", 4))))
    with pytest.raises(BadOption, match="'seq'"):
        time_network(path, make_manifest())
    sizes = {"seq": {"min": 1, "max": 9, "typical": 5}}
    manifest = make_manifest()
    known = manifest.model_validate({**manifest.model_dump(), "axes": sizes})
    assert time_network(path, known, runs=5) > 0.0


def test_what_is_no_network_is_told(tmp_path):
    """By its name; a file that is not there is the system's to tell."""
    (tmp_path / "no.onnx").write_bytes(b"no network")
    with pytest.raises(BadClassifier, match="no.onnx cannot be run"):
        time_network(tmp_path / "no.onnx", make_manifest())
    with pytest.raises(FileNotFoundError):
        time_network(tmp_path / "none.onnx", make_manifest())
