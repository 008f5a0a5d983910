"""Tests of tensors from JSON, base64 and raw bytes."""

import base64

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anytime.model_store.tensors import DTYPES
from anytime.service.errors import InvalidTensor
from anytime.service.intake.tensors import Extent, check, from_json, from_raw
from tests.service.intake.inputs import OPEN, TOKENS, VECTOR, manifest_of, tensor

X = VECTOR.inputs[0]


def entry(dtype="float32", shape=(3,)):
    return manifest_of(tensor("x", dtype, shape)).inputs[0]


def encoded(array):
    data = base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


@st.composite
def arrays(draw):
    dtype = draw(st.sampled_from(sorted(DTYPES)))
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.startswith("float") else {}
    return draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(np.dtype(dtype), **finite)))


@given(arrays())
def test_every_spelling_is_the_same_tensor(array):
    """Nested lists, base64 and raw bytes of any array come back as that array, of its dtype, contiguous."""
    x = entry(array.dtype.name, array.shape[1:])
    spelt = [
        from_json(orjson.loads(orjson.dumps(array.tolist())), x),
        from_json(encoded(array), x),
        from_raw(array.astype(array.dtype.newbyteorder("<")).tobytes(), x),
    ]
    for got in spelt:
        assert got.dtype == array.dtype
        assert got.flags.c_contiguous
        np.testing.assert_array_equal(got, array)


def test_integers_are_numbers():
    """Whole numbers may stand among the elements of a float tensor."""
    assert from_json([[1, 2.5, -3]], X).tolist() == [[1.0, 2.5, -3.0]]


def test_sixty_four_bits_are_exact():
    """Integers of 64 bits lose nothing."""
    for dtype, value in (("int64", -(2**63)), ("int64", 2**63 - 1), ("uint64", 2**64 - 1)):
        assert from_json(orjson.loads(f"[[{value}]]"), entry(dtype, (1,))).tolist() == [[value]]


@pytest.mark.parametrize(
    ("dtype", "value", "says"),
    [
        ("float32", [[1, 2], [3]], "ragged: lists at axis 1 have 1 to 2 elements"),
        ("float32", [[1, 2, 3], 4], "ragged at axis 1: a list and an integer side by side"),
        ("float32", [[1, 2, [3]]], "more axes than 2"),
        ("float32", [[[1, 2, 3]]], "more axes than 2"),
        ("float32", [1, 2, 3], r"has 1 axis; wanted nested lists of shape \(batch, 3\): add the row axis"),
        ("float32", 5, "is an integer; wanted nested lists"),
        ("float32", None, "is null"),
        ("float32", [], "no elements at axis 0"),
        ("float32", [[]], "no elements at axis 1"),
        ("float32", [[1, "2", 3]], "a string among its elements; wanted numbers"),
        ("float32", [[1.5, True, 3]], "a boolean among its elements; wanted numbers"),
        ("float32", [[1, None, 3]], "null among its elements"),
        ("float32", [[1, {}, 3]], "an object among its elements"),
        ("int64", [[1, 2.0, 3]], "a fraction among its elements; wanted integers"),
        ("int64", [[1, True, 3]], "a boolean among its elements; wanted integers"),
        ("int64", [[1, 2**63, 3]], "the element 9223372036854775808; wanted -9223372036854775808 to"),
        ("uint8", [[1, 256, 3]], "the element 256; wanted 0 to 255 for uint8"),
        ("uint8", [[1, -1, 3]], "the element -1; wanted 0 to 255"),
        ("int8", [[1, -129, 3]], "the element -129; wanted -128 to 127"),
        ("bool", [[1, 0, 1]], "an integer among its elements; wanted true and false"),
    ],
)
def test_bad_nested_lists(dtype, value, says):
    """What is ragged, of the wrong rank, type or range is named with what was wanted."""
    with pytest.raises(InvalidTensor, match=says) as refused:
        from_json(value, entry(dtype))
    assert refused.value.details["input"] == "x"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dtype": "float64"}, "the dtype 'float64'; wanted 'float32'"),
        ({"dtype": None}, "the dtype 'None'"),
        ({"shape": "1,3"}, "no list of integers as its shape"),
        ({"shape": []}, "no list of integers"),
        ({"shape": [1, True]}, "no list of integers"),
        ({"shape": [1, 3, 1]}, r"the shape \(1, 3, 1\); wanted \(batch, 3\)"),
        ({"shape": [-1, 3]}, "every axis at least 1"),
        ({"shape": [0, 3]}, "every axis at least 1"),
        ({"shape": [2, 3]}, "has 12 bytes; wanted 24 for float32"),
        ({"data": "AAAA"}, "has 3 bytes; wanted 12"),
        ({"data": "A-_="}, "not base64"),
        ({"data": "AAA"}, "not base64"),
        ({"data": [0]}, "a list as data"),
        ({"data": None}, "null as data"),
        ({"dtipe": "float32"}, "unknown key 'dtipe'; did you mean 'dtype'"),
    ],
)
def test_bad_base64(change, says):
    """A base64 tensor of another dtype, shape or length, or that is no base64, is named with what was wanted."""
    with pytest.raises(InvalidTensor, match=says):
        from_json(encoded(np.zeros((1, 3), np.float32)) | change, X)


def test_raw_rows_follow_from_the_length():
    """Raw bytes of a fixed row hold as many rows as fit; a shape may say so too."""
    data = np.arange(6, dtype="<f4").tobytes()
    assert from_raw(data, X).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert from_raw(data, X, (2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert from_raw(data, OPEN.inputs[0], (3, 2)).tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("x", "data", "shape", "says"),
    [
        (X, b"", None, "has 0 bytes; wanted a multiple of 12"),
        (X, bytes(13), None, "has 13 bytes; wanted a multiple of 12: rows of little-endian float32"),
        (X, bytes(12), (2, 3), "has 12 bytes; wanted 24"),
        (X, bytes(12), (3,), r"the shape \(3\); wanted \(batch, 3\)"),
        (OPEN.inputs[0], bytes(8), None, "open axis 'sequence'; give the whole shape"),
        (OPEN.inputs[0], bytes(8), (0, 2), "at least 1"),
        (OPEN.inputs[0], bytes(8), (2**40, 2**40), "has 8 bytes"),
        (entry("bool"), b"\x00\x01\x02", None, "a byte other than 0 and 1"),
    ],
)
def test_bad_raw(x, data, shape, says):
    """Raw bytes of the wrong length or shape are refused with the length that was wanted."""
    with pytest.raises(InvalidTensor, match=says):
        from_raw(data, x, shape)


def test_check_finds_the_extent():
    """Rows and symbolic sizes are what the inputs share."""
    tensors = {"ids": np.zeros((2, 4), np.int64), "mask": np.zeros((2, 4), bool)}
    assert check(tensors, TOKENS) == Extent(2, {"sequence": 4})
    assert check({"x": np.zeros((1, 3), np.float32)}, VECTOR) == Extent(1, {})


@pytest.mark.parametrize(
    ("ids", "mask", "name", "says"),
    [
        ((2, 4), None, "mask", "'mask' is missing; wanted all of: ids, mask"),
        ((2, 4), (3, 4), "mask", "has 3 at its axis 'batch'; wanted 2"),
        ((2, 4), (2, 5), "mask", "has 5 at its axis 'sequence'; wanted 4"),
        ((2, 1), (2, 1), "ids", "has 1 at its axis 'sequence'; wanted 2 to 5"),
        ((2, 6), (2, 6), "ids", "wanted 2 to 5"),
        ((0, 4), (0, 4), "ids", "no rows"),
        ((4,), (2, 4), "ids", r"the shape \(4\); wanted \(batch, sequence\)"),
    ],
)
def test_check_refuses(ids, mask, name, says):
    """A missing input, rows or axes that differ, a size out of bounds: each names the input."""
    tensors = {"ids": np.zeros(ids, np.int64)} | ({} if mask is None else {"mask": np.zeros(mask, bool)})
    with pytest.raises(InvalidTensor, match=says) as refused:
        check(tensors, TOKENS)
    assert refused.value.details["input"] == name


def test_check_names_the_nearest_input():
    """An unknown input is refused with the nearest known."""
    with pytest.raises(InvalidTensor, match="'idz' is unknown; did you mean 'ids'"):
        check({"idz": np.zeros((1, 2), np.int64)}, TOKENS)


@pytest.mark.parametrize("shape", [(1, 4), (1, 3, 1)])
def test_check_holds_fixed_axes(shape):
    """A fixed axis is what the manifest says."""
    with pytest.raises(InvalidTensor, match=r"wanted \(batch, 3\)"):
        check({"x": np.zeros(shape, np.float32)}, VECTOR)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_check_wants_finite_numbers(value):
    """NaN and infinity are refused, and the place is told."""
    x = np.zeros((2, 3), np.float32)
    x[1, 2] = value
    with pytest.raises(InvalidTensor, match=r"at \[1, 2\]; wanted finite numbers"):
        check({"x": x}, VECTOR)


def test_numbers_beyond_the_dtype_are_not_finite():
    """A JSON number beyond float32 becomes infinite and is refused, without a warning."""
    with pytest.raises(InvalidTensor, match="within the range of float32"):
        check({"x": from_json([[1e39, 0, 0]], X)}, VECTOR)
