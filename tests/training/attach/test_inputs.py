import numpy as np
import pytest
from onnx import TensorProto, helper

from anytime.model_store.manifest import Size
from anytime.training.attach.inputs import Inputs, NetworkInput, read_inputs
from anytime.training.errors import BadClassifier, DataMisfit

IDS = NetworkInput("ids", "int64", ("batch", "sequence"))
MASK = NetworkInput("mask", "int64", ("batch", "sequence"))
WIDE = NetworkInput("wide", "float32", ("batch", 3, "width"))
AXES = {"sequence": Size(min=2, max=9, typical=4), "width": Size(min=2, max=9, typical=4)}
BOTH = Inputs((IDS, MASK), {"sequence": AXES["sequence"]}, one_row=False)


def model(*inputs):
    values = [helper.make_tensor_value_info(name, element, shape) for name, element, shape in inputs]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    return helper.make_model(helper.make_graph([], "g", values, [out]))


def test_axes_without_a_usable_name_are_called_after_their_place():
    """In every input alike, so that a mask is as long as its tokens."""
    read, one_row = read_inputs(
        model(("a", TensorProto.INT64, ["N", None]), ("b", TensorProto.INT64, [None, "past + 1"])), "m"
    )
    assert [entry.shape for entry in read] == [("batch", "axis1"), ("batch", "axis1")]
    assert not one_row


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([("x", TensorProto.FLOAT, None)], "'x' has no shape, not even a number of axes"),
        ([("x", TensorProto.FLOAT, [])], "a single number"),
        ([("x", TensorProto.FLOAT, [7, 4])], "exactly 7 rows at a time"),
        ([("x", TensorProto.FLOAT, ["N", 4, "N"])], "the row axis 'N' at place 2 as well"),
        ([("x", TensorProto.STRING, ["N", 4])], "'x' is"),
        ([("x", TensorProto.FLOAT, [1, 4]), ("z", TensorProto.FLOAT, ["N", 4])], "fixes the rows of some"),
        ([], "depend on no input"),
    ],
)
def test_inputs_that_make_no_sense_are_an_error(inputs, message):
    """Unknown rank, no rows, rows twice, no numbers."""
    with pytest.raises(BadClassifier, match=message):
        read_inputs(model(*inputs), "m")


def test_two_sizes_tell_axes_apart():
    """No two axes get the same pair, nor that of the rows."""
    first, second = Inputs((IDS, WIDE), AXES, one_row=False).two_sizes()
    pairs = [(first[axis], second[axis]) for axis in ("batch", "sequence", "width")]
    assert len(set(pairs)) == 3
    assert all(a != b for a, b in pairs)
    tight = Inputs((IDS,), {"sequence": Size(min=2, max=3, typical=3)}, one_row=False).two_sizes()
    assert [dims["sequence"] for dims in tight] == [3, 3]


def test_random_rows_leave_no_mask_empty():
    """Ones and noughts, the first of each row a one and the second a nought; normal numbers for floats."""
    batch = Inputs((IDS, WIDE), AXES, one_row=False).random({"batch": 5, "sequence": 3, "width": 2})
    assert batch["ids"].shape == (5, 3)
    assert set(batch["ids"][:, 0]) == {1} and set(batch["ids"][:, 1]) == {0}
    assert set(batch["ids"].ravel()) == {0, 1}
    assert (batch["wide"].shape, batch["wide"].dtype) == ((5, 3, 2), np.float32)


def test_rows_that_fit_are_counted():
    """All inputs together."""
    ids = np.zeros((3, 5), np.int64)
    assert BOTH.check({"ids": ids, "mask": ids}) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"idz": np.zeros((3, 5), np.int64)}, "have 'idz', which is no input; did you mean 'ids'"),
        ({"mask": None}, "lack the input 'mask'"),
        ({"mask": np.zeros((3, 5), np.int32)}, "input 'mask' are int32 and the network takes int64"),
        ({"mask": np.zeros((3, 6), np.int64)}, r"the shape \[3, 6\] and the network takes .* where {'sequence': 5}"),
        ({"mask": np.zeros((2, 5), np.int64)}, r"the shape \[2, 5\]"),
        ({"mask": np.zeros((3, 5, 1), np.int64)}, r"the shape \[3, 5, 1\]"),
        ({"ids": np.zeros((0, 5), np.int64)}, r"the shape \[0, 5\]"),
        ({name: np.zeros((3, 12), np.int64) for name in ("ids", "mask")}, "have 12 along 'sequence'; wanted 2 to 9"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit_are_an_error(change, message):
    """The input, its dtype or shape and what was wanted are named; nothing is cast."""
    batch = {"ids": np.zeros((3, 5), np.int64), "mask": np.zeros((3, 5), np.int64), **change}
    with pytest.raises(DataMisfit, match=message):
        BOTH.check({name: values for name, values in batch.items() if values is not None})
