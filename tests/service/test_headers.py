"""Tests of header fields."""

from anytime.service.headers import header


def test_header():
    """The first field of a name is found, without white space, in Latin-1."""
    headers = [(b"a", b" one "), (b"b", b"\xe9"), (b"a", b"two")]
    assert (header(headers, b"a"), header(headers, b"b"), header(headers, b"c")) == ("one", "é", None)
