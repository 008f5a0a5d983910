"""Tests of header fields."""

import pytest

from anytime.service.headers import accepts, header


def test_header():
    """The first field of a name is found, without white space, in Latin-1."""
    headers = [(b"a", b" one "), (b"b", b"\xe9"), (b"a", b"two")]
    assert (header(headers, b"a"), header(headers, b"b"), header(headers, b"c")) == ("one", "é", None)


@pytest.mark.parametrize(
    ("fields", "is_accepted"),
    [
        (["text/event-stream"], True),
        (["Text/Event-Stream"], True),
        (["text/html, text/event-stream;q=0.9"], True),
        (["application/json", "text/event-stream"], True),
        (["text/event-stream ; charset=utf-8 ; Q=0.001"], True),
        (["text/event-stream;q=1"], True),
        (["text/event-stream;q=0"], False),
        (["text/event-stream; Q = 0.000, application/json"], False),
        (["text/event-stream;charset=utf-8;q=0.0"], False),
        (["text/event-stream-2"], False),
        (["x-text/event-stream"], False),
        (["*/*, text/*"], False),
        ([""], False),
        ([], False),
    ],
)
def test_accepts(fields, is_accepted):
    """A type is accepted that a field names, in any case, with a weight above 0; wildcards do not name it."""
    headers = [(b"host", b"text/event-stream"), *((b"accept", field.encode()) for field in fields)]
    assert accepts(headers, "text/event-stream") is is_accepted
