import gzip

import numpy as np
import pytest

from anytime.training.data.class_names import DIGITS
from anytime.training.data.idx import read_idx, read_idx_set
from anytime.training.data.place import Place
from anytime.training.data.sources import MNIST
from anytime.training.errors import BadData
from tests.training.data.official_files import idx, pixels, write_idx_set


@pytest.mark.parametrize("packed", [True, False])
def test_packed_and_plain_files_read_alike(tmp_path, packed):
    """Pixels, labels and parts are those that were written."""
    train, test = pixels(20, 5, 7, 1, 1), pixels(10, 5, 7, 1, 2)
    write_idx_set(tmp_path / "mnist", train, test, packed=packed)
    found = read_idx_set(Place(tmp_path, may_download=False), MNIST, DIGITS).checked("mnist")
    np.testing.assert_array_equal(found.train.pictures.batch(np.arange(20)), train)
    np.testing.assert_array_equal(found.test.pictures.batch(np.arange(10)), test)
    np.testing.assert_array_equal(found.train.labels, np.arange(20) % 10)
    assert found.train.labels.dtype == np.int64
    assert (found.spec.channels, found.spec.resize) == ("gray", (5, 7))
    assert len(found.strangers) == 4


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (idx(np.zeros((2, 3, 3)))[:-1], "holds 17 bytes; its header says \\[2, 3, 3\\]"),
        (idx(np.zeros(4)), "begins with 00000801; wanted an IDX file of bytes with 3 axes"),
        (b"<html>", "begins with 3c68746d"),
        (b"", "wanted an IDX file"),
        (gzip.compress(idx(np.zeros((2, 3, 3))))[:-9], "cannot be read"),
        (b"\x1f\x8bnonsense", "cannot be read"),
    ],
)
def test_damaged_files_are_refused(tmp_path, data, said):
    """Cut short, of another kind, not a file of the format at all."""
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(BadData, match=said):
        read_idx(tmp_path / "file", 3)
