"""Arrays as examples."""

from __future__ import annotations

import numpy as np
import pytest

from anytime.model_store.manifest import Size
from anytime.training.attach import Inputs, NetworkInput
from anytime.training.data.split import cut
from anytime.training.errors import BadData, BadLabel, DataMisfit
from anytime.training.examples import gather, load_arrays

INPUTS = Inputs((NetworkInput("x", "float32", ("batch", 3)),), {}, one_row=False)
X = np.arange(300, dtype=np.float32).reshape(100, 3)
LABEL = np.arange(100) % 4
SPLIT = ["train"] * 60 + ["calibration"] * 20 + ["test"] * 20


def save(folder, **arrays):
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def read_arrays(path, *, seed=0, **more):
    return load_arrays(path, INPUTS, 4, **more).examples(seed)


def rows(part):
    return gather(part, 10**6)


def test_rows_are_cut_in_three(tmp_path):
    """Every row is in one part, with its label; the test rows are the same for every seed, the others are not."""
    path = save(tmp_path, x=X, label=LABEL)
    one, two = (read_arrays(path, seed=seed) for seed in (0, 1))
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
    examples = read_arrays(save(tmp_path, x=X, label=LABEL, split=split))
    np.testing.assert_array_equal(rows(examples.test)[0]["x"], X[:50])
    np.testing.assert_array_equal(rows(examples.calibration)[0]["x"], X[80:])


def test_equal_rows_stay_together(tmp_path):
    """In one part whatever the seed, though each row is there twice; of other labels even, and it is told how many."""
    path = save(tmp_path, x=np.concatenate([X, X[::-1]]), label=np.concatenate([LABEL, LABEL[::-1]]))
    for seed in range(3):
        examples = read_arrays(path, seed=seed)
        parts = [examples.train[0], examples.calibration, examples.test]
        seen = [{row.tobytes() for row in rows(part)[0]["x"]} for part in parts]
        assert [len(one) for one in seen] == [64, 16, 20] and [len(one) for one in parts] == [128, 32, 40]
        assert len(set.union(*seen)) == 100
        assert examples.data["split"].endswith("; 100 rows are repeats, equal rows in one part")
    again, other = (read_arrays(path, seed=seed).key for seed in (0, 1))
    assert read_arrays(path).key == again != other
    path = save(tmp_path, x=np.concatenate([X, X]), label=np.concatenate([LABEL, (LABEL + 1) % 4]), split=SPLIT * 2)
    assert "100 rows are repeats, equal rows" in read_arrays(path).data["split"]


def test_rows_that_are_not_repeated_are_cut_as_ever(tmp_path):
    """A bundle that was made from them finds its own rows: looking for equal ones moves no other."""
    arrays = load_arrays(save(tmp_path, x=X, label=LABEL), INPUTS, 4)
    rest, test = cut(LABEL, 0.2, 0)
    found = arrays.thirds(5)
    assert found["test"].tolist() == test.tolist()
    assert found["calibration"].tolist() == rest[cut(LABEL[rest], 0.2, 5)[1]].tolist()


def test_what_the_file_says_of_repeats_is_kept_and_told(tmp_path):
    """A row that it puts on both sides is counted as one that is held out and was seen before."""
    examples = read_arrays(
        save(tmp_path, x=np.concatenate([X, X[:1]]), label=np.append(LABEL, 0), split=[*SPLIT, "test"])
    )
    assert len(examples.test) == 21
    assert "1 row is a repeat, 1 of them held out although an earlier part has" in examples.data["split"]


def test_too_few_different_rows(tmp_path):
    """A hundred equal ones can be on one side alone."""
    with pytest.raises(BadData, match="100 rows, 1 of them different, are too few to train, calibrate and test on"):
        read_arrays(save(tmp_path, x=np.zeros_like(X), label=LABEL))
    with pytest.raises(BadData, match="1 of them different, are too few to calibrate and test on"):
        load_arrays(save(tmp_path, x=np.zeros_like(X), label=LABEL), INPUTS, 4).halves(0)


def test_halves_are_of_all_rows(tmp_path):
    """None to train on; by the seed, and equal rows in one."""
    arrays = load_arrays(save(tmp_path, x=np.concatenate([X, X]), label=np.tile(LABEL, 2)), INPUTS, 4)
    cuts = [arrays.halves(seed) for seed in (1, 1, 2)]
    assert [len(rows) for rows in cuts[0].values()] == [0, 100, 100]
    assert cuts[0]["test"].tolist() == cuts[1]["test"].tolist() != cuts[2]["test"].tolist()
    assert arrays.repeats(cuts[0]).held_out == 0


def test_numbers_become_the_inputs_dtype(tmp_path):
    """Doubles and whole numbers are taken for float32; a whole number that the dtype cannot hold is refused."""
    for dtype in (np.float64, np.int16):
        assert rows(read_arrays(save(tmp_path, x=X.astype(dtype), label=LABEL)).test)[0]["x"].dtype == np.float32
    ids = Inputs((NetworkInput("ids", "int32", ("batch", 3)),), {}, one_row=False)
    assert load_arrays(save(tmp_path, ids=X.astype(np.int64), label=LABEL), ids, 4).by_name["ids"].dtype == np.int32
    with pytest.raises(DataMisfit, match="are int64 and the network takes int32"):
        load_arrays(save(tmp_path, ids=X.astype(np.int64) + 2**32, label=LABEL), ids, 4)


def test_a_symbolic_axis_has_one_size(tmp_path):
    """Within its bounds, and the same in every input."""
    entries = tuple(NetworkInput(name, "int64", ("batch", "sequence")) for name in ("ids", "mask"))
    inputs, ids = Inputs(entries, {"sequence": Size(min=2, max=5, typical=3)}, one_row=False), np.ones((6, 4), np.int64)
    label = np.zeros(6, np.int64)
    assert load_arrays(save(tmp_path, ids=ids, mask=ids, label=label), inputs, 4).by_name.keys() == {"ids", "mask"}
    with pytest.raises(DataMisfit, match=r"'mask' have the shape \[6, 3\]"):
        load_arrays(save(tmp_path, ids=ids, mask=ids[:, :3], label=label), inputs, 4)
    with pytest.raises(DataMisfit, match="'ids' have 1 along 'sequence'; wanted 2 to 5"):
        load_arrays(save(tmp_path, ids=ids[:, :1], mask=ids[:, :1], label=label), inputs, 4)


def test_labels_may_be_given_or_be_missing(tmp_path):
    """Given ones replace the file's; without any, rows have none."""
    path = save(tmp_path, x=X)
    given = read_arrays(path, label=np.zeros(100, np.int64))
    assert rows(given.test)[1].tolist() == [0] * 20
    assert not read_arrays(path, labelled=False).is_labelled
    others = save(tmp_path, x=X, label=LABEL + 9)
    assert not read_arrays(others, labelled=False).is_labelled


@pytest.mark.parametrize(("arrays", "error", "says"), [
    ({"x": X}, BadLabel, "has no array 'label'"),
    ({"x": X, "label": LABEL[:3]}, BadLabel, "wanted 100 whole numbers"),
    ({"x": X, "label": LABEL * 0.5}, BadLabel, "float64"),
    ({"x": X, "label": LABEL + 1}, BadLabel, r"the label of row 3 \(from 0\) is 4, and 25 of 100 .* wanted 0 to 3"),
    ({"x": X, "label": LABEL - 1}, BadLabel, r"row 0 \(from 0\) is -1"),
    ({"y": X, "label": LABEL}, DataMisfit, "'y', which is no input"),
    ({"label": LABEL}, DataMisfit, "lack the input 'x'"),
    ({"x": X + 1j, "label": LABEL}, DataMisfit, "complex64 and the network takes float32"),
    ({"x": X[:0], "label": LABEL[:0]}, BadData, "has no rows"),
    ({"x": X[:, :2], "label": LABEL}, DataMisfit, "x"),
    ({"x": X, "label": LABEL, "split": np.array(["train"] * 100)}, BadData, "no row to calibration"),
    ({"x": X, "label": LABEL, "split": np.array(["tran"] * 100)}, BadData, "'tran'"),
    ({"x": X, "label": LABEL, "split": np.array(["train"])}, DataMisfit, "one word per row"),
    ({"x": X[:2], "label": LABEL[:2]}, BadData, "too few"),
])  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path, arrays, error, says):
    """Each fault by its own error, with what was found."""
    with pytest.raises(error, match=says):
        read_arrays(save(tmp_path, **arrays))


def test_no_npz_no_pickle(tmp_path):
    """A file that is not there, another one, or one that would run code is refused."""
    with pytest.raises(BadData, match="a.npz is not there"):
        read_arrays(tmp_path / "a.npz")
    for content in (b"", b"no", b"PK\x03\x04 not really"):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(BadData, match="no .npz file of plain arrays"):
            read_arrays(tmp_path / "a.npz")
    with pytest.raises(BadData, match="no .npz file of plain arrays"):
        read_arrays(save(tmp_path, x=np.array([{}], dtype=object)))
