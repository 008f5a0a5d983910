"""Arrays as examples."""

from __future__ import annotations

import numpy as np
import pytest

from anytime.training.attach import Inputs, NetworkInput
from anytime.training.errors import BadData, BadLabel, DataMisfit
from anytime.training.examples import gather, read_arrays

INPUTS = Inputs((NetworkInput("x", "float32", ("batch", 3)),), {}, one_row=False)
X = np.arange(300, dtype=np.float32).reshape(100, 3)
LABEL = np.arange(100) % 4


def save(folder, **arrays):
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def rows(part):
    return gather(part, 10**6)


def test_rows_are_cut_in_three(tmp_path):
    """Every row is in one part, with its label; the test rows are the same for every seed, the others are not."""
    path = save(tmp_path, x=X, label=LABEL)
    one, two = (read_arrays(path, INPUTS, seed=seed) for seed in (0, 1))
    parts = [rows(part) for part in (*one.train, one.calibration, one.test)]
    assert [len(label) for _, label in parts] == [64, 16, 20]
    found = np.concatenate([inputs["x"] for inputs, _ in parts])
    np.testing.assert_array_equal(np.sort(found, axis=0), X)
    for inputs, label in parts:
        np.testing.assert_array_equal(label, (inputs["x"][:, 0] // 3) % 4)
    assert one.test.rows.key == two.test.rows.key and one.train[0].rows.key != two.train[0].rows.key
    assert one.key != two.key and one.data["split"].startswith("train 64 (sha256 ")


def test_the_file_may_say_where_rows_belong(tmp_path):
    """By an array of words."""
    split = np.array(["test"] * 50 + ["train"] * 30 + ["calibration"] * 20)
    examples = read_arrays(save(tmp_path, x=X, label=LABEL, split=split), INPUTS)
    np.testing.assert_array_equal(rows(examples.test)[0]["x"], X[:50])
    np.testing.assert_array_equal(rows(examples.calibration)[0]["x"], X[80:])


def test_labels_may_be_given_or_be_missing(tmp_path):
    """Given ones replace the file's; without any, rows have none."""
    path = save(tmp_path, x=X)
    given = read_arrays(path, INPUTS, label=np.zeros(100, np.int64))
    assert rows(given.test)[1].tolist() == [0] * 20
    assert not read_arrays(path, INPUTS, labelled=False).is_labelled


@pytest.mark.parametrize(("arrays", "error", "says"), [
    ({"x": X}, BadLabel, "has no array 'label'"),
    ({"x": X, "label": LABEL[:3]}, BadLabel, "wanted 100 whole numbers"),
    ({"x": X, "label": LABEL * 0.5}, BadLabel, "float64"),
    ({"y": X, "label": LABEL}, DataMisfit, "'y', which is no input"),
    ({"x": X[:, :2], "label": LABEL}, DataMisfit, "x"),
    ({"x": X, "label": LABEL, "split": np.array(["train"] * 100)}, BadData, "no row to calibration"),
    ({"x": X, "label": LABEL, "split": np.array(["tran"] * 100)}, BadData, "'tran'"),
    ({"x": X, "label": LABEL, "split": np.array(["train"])}, DataMisfit, "one word per row"),
    ({"x": X[:2], "label": LABEL[:2]}, BadData, "too few"),
])  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path, arrays, error, says):
    """Each fault by its own error, with what was found."""
    with pytest.raises(error, match=says):
        read_arrays(save(tmp_path, **arrays), INPUTS)


def test_no_npz_no_pickle(tmp_path):
    """Another file, or one that would run code, is refused."""
    (tmp_path / "a.npz").write_bytes(b"no")
    with pytest.raises(BadData, match="no .npz file of plain arrays"):
        read_arrays(tmp_path / "a.npz", INPUTS)
    with pytest.raises(BadData, match="no .npz file of plain arrays"):
        read_arrays(save(tmp_path, x=np.array([{}], dtype=object)), INPUTS)
