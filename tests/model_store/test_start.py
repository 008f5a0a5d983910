"""Tests of start values on file."""

import io

import numpy as np
import pytest

from anytime.model_store import errors
from anytime.model_store.bundle import open_bundle
from anytime.model_store.manifest import State
from anytime.model_store.start import check_start, read_start
from tests.model_store import tiny


def saved(array, **kwargs):
    stream = io.BytesIO()
    np.save(stream, array, **kwargs)
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        saved(np.zeros(4, np.float64)),
        saved(np.zeros(5, np.float32)),
        saved(np.zeros((1, 4), np.float32)),
        saved(np.zeros(4, ">f4")),
        saved(np.array([{}] * 4), allow_pickle=True),
        saved(np.zeros(4, np.float32))[:-1],
        saved(np.zeros(4, np.float32)) + b"x",
        b"",
        b"\x93NUMPY\x09\x00 not a header",
        b"PK\x03\x04 a zip",
    ],
)
def test_mismatch(folder, data):
    """A start of another dtype, shape or byte order, pickled, cut or no array at all is GraphMismatch."""
    tiny.rewrite(folder, "memory.npy", data)
    with pytest.raises(errors.GraphMismatch, match="memory"):
        open_bundle(folder)


def test_read(folder):
    """A start comes without the row axis."""
    assert open_bundle(folder).start("memory").tolist() == [1, 2, 3, 4]


def test_scalar(tmp_path):
    """A state of one number a row, such as a time step, has a start without axes."""
    state = State(name="step", dtype="int64", shape=("batch",))
    np.save(tmp_path / "step.npy", np.int64(7))
    check_start(tmp_path / "step.npy", state)
    assert read_start(tmp_path / "step.npy", state) == 7
