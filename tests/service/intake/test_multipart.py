"""Tests of taking a multipart body apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anytime.service.errors import MalformedBody
from anytime.service.intake.multipart import MAX_PARTS, Part, read_parts
from tests.service.intake.inputs import multipart


def test_parts_in_order():
    """Each part keeps its name, file name, content type and bytes."""
    body = (
        b'--b\r\nContent-Disposition: form-data; name="x"; filename="c\xc3\xa4t.png"\r\nContent-Type: image/png\r\n\r\n'
        b"\x00\r\n--\r\n\r\n--b\r\ncontent-disposition: form-data; name=policy\r\n\r\n{}\r\n--b--\r\n"
    )
    assert read_parts(body, "b") == [
        Part("x", "cät.png", "image/png", b"\x00\r\n--\r\n"),
        Part("policy", None, None, b"{}"),
    ]


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_any_bytes_survive(contents):
    """A part's bytes arrive as they were sent."""
    contents = [data for data in contents if b"--limit" not in data]
    _, body = multipart(*((f"part{index}", data) for index, data in enumerate(contents)))
    assert [part.data for part in read_parts(body, "limit")] == contents or not contents


@pytest.mark.parametrize(
    ("body", "boundary", "says"),
    [
        (b"", None, "boundary"),
        (b"", "", "boundary"),
        (b"", "b", "closing boundary"),
        (b"hello", "b", "not multipart"),
        (b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nabc', "b", "closing boundary"),
        (b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nabc\r\n--b', "b", "closing boundary"),
        (b"--b\r\nContent-Type: image/png\r\n\r\nabc\r\n--b--\r\n", "b", "part 1 has no name"),
        (b"--b\r\nContent-Disposition: attachment; name=x\r\n\r\nabc\r\n--b--\r\n", "b", "part 1 has no name"),
        (b"--b\r\nA: " + b"a" * 10_000 + b"\r\n\r\nabc\r\n--b--\r\n", "b", "not multipart"),
        (b"", "b" * 300, "not multipart"),
    ],
)
def test_what_is_no_multipart_is_malformed(body, boundary, says):
    """A missing or absurd boundary, a truncated body, a part without a name: each is told."""
    with pytest.raises(MalformedBody, match=says):
        read_parts(body, boundary)


def test_parts_are_bounded():
    """A body of very many parts is refused."""
    _, body = multipart(*(("x", b"") for _ in range(MAX_PARTS + 1)))
    with pytest.raises(MalformedBody, match="more than 128 parts"):
        read_parts(body, "limit")
