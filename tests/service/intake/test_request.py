"""Tests of reading a whole prediction request."""

import base64

import numpy as np
import orjson
import pytest

from anytime.policy import Policy, parse_policy
from anytime.service.errors import (
    BatchTooLarge,
    InvalidField,
    InvalidImage,
    InvalidPolicy,
    InvalidTensor,
    MalformedBody,
    UnsupportedMedia,
)
from anytime.service.intake.fields import read_query
from anytime.service.intake.request import Prediction, read_prediction, supported_media
from tests.service.intake.inputs import BOUNDS, OPEN, PICTURE, TOKENS, VECTOR, manifest_of, multipart, png, tensor

JSON, RAW = "application/json", "application/octet-stream"
ROWS = [[1, 2, 3], [4, 5, 6]]
BYTES = np.array(ROWS, "<f4").tobytes()


def read(content_type, body, *query, manifest=VECTOR) -> Prediction:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return read_prediction(content_type, data, read_query(query), manifest, BOUNDS)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, {"inputs": {"x": ROWS}}),
        (JSON, {"inputs": ROWS}),
        (JSON, {"inputs": {"dtype": "float32", "shape": [2, 3], "data": base64.b64encode(BYTES).decode()}}),
        (JSON, {"inputs": {"x": {"dtype": "float32", "shape": [2, 3], "data": base64.b64encode(BYTES).decode()}}}),
        ("application/json; charset=utf-8", {"inputs": ROWS}),
        (None, {"inputs": ROWS}),
        ("application/x-www-form-urlencoded", {"inputs": ROWS}),
        (RAW, BYTES),
        (None, BYTES),
        multipart(("x", BYTES)),
        multipart(("x", BYTES, RAW)),
        multipart(("x", orjson.dumps(ROWS), JSON)),
        multipart(("x", orjson.dumps(ROWS))),
    ],
)
def test_every_way_to_send_a_tensor(content_type, body):
    """JSON, base64, raw bytes and multipart, declared or not, are the same request."""
    got = read(content_type, body)
    assert (got.rows, got.dims, got.policy, got.top, got.trace, got.stream) == (2, {}, Policy(), 0, False, None)
    assert got.tensors["x"].dtype == np.float32
    assert got.tensors["x"].tolist() == ROWS


def test_several_inputs():
    """JSON and multipart take several inputs; a raw part says its open shape in its content type."""
    ids, mask = np.array([[1, 2, 3]], "<i8"), [[True, True, False]]
    kind, body = multipart(
        ("ids", ids.tobytes(), 'application/octet-stream; shape="1,3"'), ("mask", orjson.dumps(mask), JSON)
    )
    for content_type, data in ((JSON, {"inputs": {"ids": ids.tolist(), "mask": mask}}), (kind, body)):
        got = read(content_type, data, manifest=TOKENS)
        assert (got.rows, got.dims) == (1, {"sequence": 3})
        assert (got.tensors["ids"].tolist(), got.tensors["mask"].tolist()) == (ids.tolist(), mask)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_pictures(form):
    """A picture is one row, whether it is the body or a part, declared or shown by its first bytes."""
    data = png(255, form=form)
    kind = f"image/{form.lower()}"
    uploads = [(kind, data), (None, data), multipart(("image", data, kind)), multipart(("image", data)),
               multipart(("image", data, RAW)), multipart(("image", data, "application/x-www-form-urlencoded"))]  # fmt: skip
    for content_type, body in uploads:
        got = read(content_type, body, manifest=PICTURE)
        assert got.rows == 1
        np.testing.assert_array_equal(got.tensors["image"], np.ones((1, 1, 2, 2), np.float32))


def test_open_shapes():
    """Raw bytes of an open shape need it in the query, and get it."""
    got = read(RAW, BYTES, ("shape", "2,3"), manifest=OPEN)
    assert (got.tensors["x"].tolist(), got.dims) == (ROWS, {"sequence": 3})
    with pytest.raises(InvalidTensor, match="give the whole shape"):
        read(RAW, BYTES, manifest=OPEN)
    with pytest.raises(InvalidField, match="leave it out"):
        read(JSON, {"inputs": ROWS}, ("shape", "2,3"), manifest=OPEN)


def test_options_from_everywhere():
    """Policy, top, trace and stream come from the body, the query or a form alike; top is bounded by the labels."""
    wanted = parse_policy({"confidence": 0.5, "max_exit": 1})
    form = multipart(
        ("x", BYTES), ("policy", b'{"confidence": 0.5, "max_exit": 1}'), ("top", b"2\n"), ("trace", b"true"),
        ("stream", b"1"),
    )  # fmt: skip
    asked = [("confidence", "0.5"), ("max_exit", "1"), ("top", "2"), ("trace", "true"), ("stream", "true")]
    body = {"inputs": ROWS, "policy": {"confidence": 0.5, "max_exit": 1}, "top": 2, "trace": True, "stream": True}
    mixed = {"inputs": ROWS, "policy": {"max_exit": 1}, "trace": True}
    for got in (
        read(*form), read(RAW, BYTES, *asked), read(JSON, body),
        read(JSON, mixed, ("confidence", "0.5"), ("top", "2"), ("stream", "true")),
    ):  # fmt: skip
        assert (got.policy, got.top, got.trace, got.stream) == (wanted, 2, True, True)
    assert read(RAW, BYTES, ("top", "50")).top == 3


@pytest.mark.parametrize(
    ("content_type", "body", "query", "error", "says"),
    [
        (JSON, b"", [], MalformedBody, "not JSON"),
        (JSON, b'{"inputs": [[1, NaN, 3]]}', [], InvalidTensor, "NaN or Infinity"),
        (JSON, b'{"inputs": [[1, 1e999, 3]]}', [], MalformedBody, "not JSON"),
        (JSON, b"[" * 5000 + b"]" * 5000, [], MalformedBody, "not JSON"),
        (JSON, b'{"inputs": "\xff"}', [], MalformedBody, "not JSON"),
        (JSON, ROWS, [], InvalidField, "no object"),
        (JSON, {}, [], InvalidField, "'inputs' is missing"),
        (JSON, {"input": ROWS}, [], InvalidField, "did you mean 'inputs'"),
        (JSON, {"inputs": ROWS, "confidence": 1}, [], InvalidField, "go under 'policy'"),
        (JSON, {"inputs": {"y": ROWS}}, [], InvalidTensor, "'y' is unknown"),
        (JSON, {"inputs": {"x": ROWS, "y": ROWS}}, [], InvalidTensor, "'y' is unknown"),
        (JSON, {"inputs": {}}, [], InvalidTensor, "'x' is missing"),
        (JSON, {"inputs": [[1, 2]]}, [], InvalidTensor, r"the shape \(1, 2\); wanted \(batch, 3\)"),
        (JSON, {"inputs": ROWS * 3}, [], BatchTooLarge, "6 rows; at most 4"),
        (JSON, {"inputs": ROWS, "policy": {"confidense": 1}}, [], InvalidPolicy, "did you mean 'confidence'"),
        (JSON, {"inputs": ROWS, "policy": {"patience": 1}}, [("patience", "1")], InvalidField, "in the query and"),
        (JSON, {"inputs": ROWS}, [("patiense", "1")], InvalidField, "did you mean 'patience'"),
        (RAW, BYTES, [("deadline_ms", "0")], InvalidPolicy, "deadline_ms"),
        (RAW, b"", [], InvalidTensor, "0 bytes"),
        ("text/csv", b"1,2", [], UnsupportedMedia, "application/json, application/octet-stream, multipart"),
        ("application/x-www-form-urlencoded", b"a=b", [], UnsupportedMedia, "not read"),
        ("image/png", png(), [], UnsupportedMedia, "not read for tiny"),
        ("multipart/form-data", b"", [], MalformedBody, "boundary"),
        (*multipart(("x", BYTES), ("x", BYTES)), [], InvalidField, "'x' has two parts"),
        (*multipart(("x", BYTES), ("policy", b"{}"), ("policy", b"{}")), [], InvalidField, "two parts"),
        (*multipart(("x", BYTES), ("polizy", b"{}")), [], InvalidField, "did you mean 'policy'"),
        (*multipart(("x", BYTES, "text/csv")), [], UnsupportedMedia, "text/csv"),
        (*multipart(("x", png(), "image/png")), [], UnsupportedMedia, "image/png"),
        (*multipart(("x", b"{", JSON)), [], MalformedBody, "the part 'x' is not JSON"),
        (*multipart(("policy", b"{}")), [], InvalidTensor, "'x' is missing"),
    ],
)  # fmt: skip
def test_bad_requests(content_type, body, query, error, says):
    """Each fault has its own error, which says what was wanted."""
    with pytest.raises(error, match=says):
        read(content_type, body, *query)


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        (png()[:50], "image_unreadable", "send a whole"),
        (png(size=(101, 100)), "image_too_large", "at most 10000 pixels"),
        (b"\x89PNG\r\n\x1a\n", "image_unreadable", "cannot be read"),
    ],
)
def test_bad_pictures(data, reason, says):
    """A truncated picture, and one of too many pixels, name the input and the reason."""
    with pytest.raises(InvalidImage, match=says) as refused:
        read("image/png", data, manifest=PICTURE)
    assert refused.value.details == {"input": "image", "reason": reason}


def test_one_tensor_for_several_inputs():
    """A tensor without a name, raw or JSON, is refused where the model has several inputs."""
    with pytest.raises(InvalidField, match="one each for: ids, mask"):
        read(JSON, {"inputs": ROWS}, manifest=TOKENS)
    with pytest.raises(UnsupportedMedia, match="send one of: application/json, multipart/form-data"):
        read(RAW, BYTES, manifest=TOKENS)


def test_supported_media():
    """What is supported depends on the inputs."""
    assert supported_media(VECTOR) == (JSON, RAW, "multipart/form-data")
    assert supported_media(PICTURE) == (JSON, RAW, "image/png", "image/jpeg", "image/webp", "multipart/form-data")
    assert supported_media(TOKENS) == (JSON, "multipart/form-data")


def test_inputs_named_like_keys():
    """An input called ``data`` or ``policy`` is still an input."""
    manifest = manifest_of(tensor("data"))
    assert read(JSON, {"inputs": {"data": ROWS}}, manifest=manifest).tensors["data"].tolist() == ROWS
    manifest = manifest_of(tensor("policy"))
    assert read(*multipart(("policy", BYTES)), manifest=manifest).tensors["policy"].tolist() == ROWS


@pytest.mark.parametrize(("text", "stream"), [("true", True), ("1", True), ("false", False), ("0", False)])
def test_a_stream_declined(text, stream):
    """``stream`` that is said to be false is told from silence, wherever it is said."""
    assert read(RAW, BYTES, ("stream", text)).stream is stream
    assert read(*multipart(("x", BYTES), ("stream", text.encode()))).stream is stream
    assert read(JSON, {"inputs": ROWS, "stream": stream}).stream is stream
    assert read(JSON, {"inputs": ROWS, "stream": stream}, ("top", "1")).stream is stream
    assert read(JSON, {"inputs": ROWS, "stream": None}).stream is None


EMPTY = b"[%b[]]" % (b"[]," * 30_000)
"""More lists than a request of four rows can need, in more text than is parsed uncounted."""


@pytest.mark.parametrize(
    ("content_type", "body", "error", "says"),
    [
        (JSON, b'{"inputs":%b}' % EMPTY, BatchTooLarge, "the body holds 30003 lists and objects; at most 74 are read"),
        (JSON, b'{"inputs":[[1,2,3]],"policy":%b}' % EMPTY, BatchTooLarge, "the body holds 30005"),
        (JSON, b'{"inputs":[%b{}]}' % (b"{}," * 30_000), BatchTooLarge, "the body holds 30003"),
        (*multipart(("x", EMPTY, JSON)), BatchTooLarge, "the part 'x' holds 30002"),
        (*multipart(("x", EMPTY)), BatchTooLarge, "the part 'x' holds 30002"),
        (*multipart(("x", BYTES), ("policy", EMPTY)), InvalidField, "'policy' holds 30002"),
    ],
)
def test_more_lists_than_rows_need(content_type, body, error, says):
    """A text of endless lists is refused before it is parsed, whichever part of the request it is."""
    with pytest.raises(error, match=says):
        read(content_type, body)


def test_as_many_lists_as_rows_need():
    """The largest request is read, however much white space makes it long; one of a few rows too many says so."""
    row, space = [1.0, 2.0, 3.0], b" " * 70_000
    assert read(JSON, orjson.dumps({"inputs": [row] * 4}) + space).rows == 4
    with pytest.raises(BatchTooLarge, match="5 rows; at most 4"):
        read(JSON, orjson.dumps({"inputs": [row] * 5}) + space)
