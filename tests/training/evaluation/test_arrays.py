import numpy as np
import pytest

from anytime.model_store.manifest import Input, Size
from anytime.training.errors import BadData, BadLabel, DataMisfit
from anytime.training.evaluation.arrays import read_arrays
from tests.policy.conftest import make_manifest

ROWS = np.arange(24, dtype=np.float32).reshape(6, 4)
LABEL = np.array([0, 1, 2, 0, 1, 2])


def read(tmp_path, manifest=None, seed=0, **arrays):
    np.savez(tmp_path / "rows.npz", **arrays)
    return read_arrays(tmp_path / "rows.npz", manifest or make_manifest(), seed)


def test_splits_go_by_name(tmp_path):
    """Rows of train are left out; inputs and labels stay together."""
    split = ["test", "train", "calibration", "test", "test", "calibration"]
    found = read(tmp_path, input=ROWS, label=LABEL, split=split)
    assert found.rows("calibration").tolist() == [2, 5]
    assert found.rows("test").tolist() == [0, 3, 4]
    np.testing.assert_array_equal(found.inputs(np.array([5, 2]))["input"], ROWS[[5, 2]])
    assert found.label.tolist() == LABEL.tolist()


def test_without_splits_the_rows_are_halved(tmp_path):
    """By the seed: the same again, another for another, and no row on both sides."""
    halves = [read(tmp_path, seed=seed, input=ROWS, label=LABEL) for seed in (1, 1, 2)]
    assert [len(halves[0].rows(split)) for split in ("calibration", "test")] == [3, 3]
    assert halves[0].split.tolist() == halves[1].split.tolist() != halves[2].split.tolist()


def test_numbers_become_the_inputs_dtype(tmp_path):
    """Doubles and whole numbers are taken for float32, as a request's would be."""
    assert read(tmp_path, input=ROWS.astype(np.float64), label=LABEL).by_name["input"].dtype == np.float32
    assert read(tmp_path, input=ROWS.astype(np.int16), label=LABEL).by_name["input"].dtype == np.float32


def test_a_symbolic_axis_has_one_size(tmp_path):
    """Within its bounds, and the same in every input."""
    entries = tuple(Input(name=name, dtype="int64", shape=("batch", "sequence")) for name in ("ids", "mask"))
    axes = {"sequence": Size(min=2, max=5, typical=3)}
    manifest = make_manifest().model_copy(update={"inputs": entries, "axes": axes})
    ids = np.ones((6, 4), np.int64)
    assert read(tmp_path, manifest, ids=ids, mask=ids, label=LABEL).by_name.keys() == {"ids", "mask"}
    with pytest.raises(DataMisfit, match=r"mask has the shape \[6, 3\]"):
        read(tmp_path, manifest, ids=ids, mask=ids[:, :3], label=LABEL)
    with pytest.raises(DataMisfit, match=r"ids has the shape \[6, 1\]"):
        read(tmp_path, manifest, ids=ids[:, :1], mask=ids[:, :1], label=LABEL)


@pytest.mark.parametrize(
    ("arrays", "error", "said"),
    [
        ({"input": ROWS}, DataMisfit, "no array 'label'; wanted input and label; it has: input"),
        ({"label": LABEL}, DataMisfit, "no array 'input'"),
        (
            {"input": ROWS, "label": LABEL, "inputs": ROWS},
            DataMisfit,
            "'inputs', which is no input; did you mean 'input'",
        ),
        ({"input": ROWS[:, :3], "label": LABEL}, DataMisfit, r"shape \[6, 3\]; wanted \[6, 4\]"),
        ({"input": ROWS[:5], "label": LABEL}, DataMisfit, r"shape \[5, 4\]; wanted \[6, 4\]"),
        ({"input": ROWS + 1j, "label": LABEL}, DataMisfit, "complex64; wanted float32"),
        ({"input": ROWS, "label": LABEL + 1}, BadLabel, "row 2 has the label 3; wanted 0 to 2"),
        ({"input": ROWS, "label": LABEL - 1}, BadLabel, "row 0 has the label -1"),
        ({"input": ROWS, "label": LABEL / 2}, BadLabel, "float64 of shape"),
        ({"input": ROWS, "label": LABEL, "split": ["test", "dev"] * 3}, DataMisfit, "with 'dev'"),
        ({"input": ROWS, "label": LABEL, "split": ["test"] * 5}, DataMisfit, "for each of 6 rows"),
        ({"input": ROWS, "label": LABEL, "split": ["test"] * 6}, BadData, "no row of the split 'calibration'"),
        ({"input": ROWS[:0], "label": LABEL[:0]}, BadData, "has no rows"),
        ({"input": np.array([{}] * 6), "label": LABEL}, BadData, "plain arrays"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path, arrays, error, said):
    """With what was got and what is wanted; objects are never unpickled."""
    with pytest.raises(error, match=said):
        read(tmp_path, **arrays)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not really"])
def test_what_is_no_such_file_is_told(tmp_path, content):
    """Absent, empty or broken."""
    if content is not None:
        (tmp_path / "rows.npz").write_bytes(content)
    with pytest.raises(BadData, match="rows.npz is n"):
        read_arrays(tmp_path / "rows.npz", make_manifest(), 0)
