"""Tests of reading a body."""

import asyncio

import pytest

from anytime.service.errors import BodyTimeout, BodyTooLarge, MalformedBody, UnsupportedMedia
from anytime.service.headers import by_name
from anytime.service.intake import body
from anytime.service.intake.body import ClientLeft, read_body

GONE = {"type": "http.disconnect"}


def piece(data=b"", more=True):
    return {"type": "http.request", "body": data, "more_body": more}


class Wire:
    """A connection that hands out scripted messages and counts how many were taken; silent once they are all out."""

    def __init__(self, *messages):
        self.messages = iter(messages)
        self.taken = 0

    async def receive(self):
        message = next(self.messages, None)
        if message is None:
            await asyncio.Event().wait()
        self.taken += 1
        return message


def read(wire, headers=(), max_bytes=10, timeout_s=60.0):
    return asyncio.run(read_body(wire.receive, by_name(headers), max_bytes, timeout_s))


@pytest.mark.parametrize(
    ("messages", "whole"),
    [
        ([piece(b"abc", more=False)], b"abc"),
        ([piece(b"ab"), piece(b""), piece(b"c", more=False)], b"abc"),
        ([piece(b"0123456789", more=False)], b"0123456789"),
        ([piece(more=False)], b""),
        ([{"type": "http.request"}], b""),
    ],
)
def test_pieces_become_one_body(messages, whole):
    """However a body is cut, it arrives whole; exactly the bound is allowed."""
    assert read(Wire(*messages)) == whole


def test_a_body_that_has_come_is_read_without_a_clock():
    """What is whole needs no time, and its bound holds all the same."""
    assert read(Wire(piece(b"abc", more=False)), timeout_s=None) == b"abc"
    with pytest.raises(BodyTooLarge, match="at most 10"):
        read(Wire(piece(b"x" * 11, more=False)), timeout_s=None)


def test_a_declared_length_over_the_bound_is_refused_unread():
    """A Content-Length over the bound is refused before anything is received."""
    wire = Wire(piece(b"x" * 11, more=False))
    with pytest.raises(BodyTooLarge, match="at most 10"):
        read(wire, [(b"content-length", b"11")])
    assert wire.taken == 0


def test_a_body_that_grows_over_the_bound_is_refused():
    """Without a length, reading stops at the piece that passes the bound."""
    wire = Wire(piece(b"x" * 6), piece(b"x" * 6), piece(b"x" * 6))
    with pytest.raises(BodyTooLarge, match="more than 10 bytes"):
        read(wire)
    assert wire.taken == 2


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"", "٣".encode(), b"0x10"])
def test_a_length_that_is_no_number_is_refused(length):
    """A Content-Length other than digits is a broken length."""
    with pytest.raises(MalformedBody, match="number of bytes"):
        read(Wire(), [(b"content-length", length)])


def test_an_absurd_length_is_refused():
    """A length of many digits is too large, and is not converted."""
    with pytest.raises(BodyTooLarge):
        read(Wire(), [(b"content-length", b"9" * 5000)])


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"identity, gzip"])
def test_compressed_bodies_are_refused(encoding):
    """A Content-Encoding other than identity is an unsupported medium."""
    with pytest.raises(UnsupportedMedia, match="uncompressed"):
        read(Wire(), [(b"content-encoding", encoding)])


def test_identity_is_no_encoding():
    """Content-Encoding: identity says nothing."""
    assert read(Wire(piece(b"a", more=False)), [(b"content-encoding", b"Identity")]) == b"a"


def test_a_slow_body_times_out():
    """A body that stops coming is given up, and the message says how much had come."""
    with pytest.raises(BodyTimeout, match="2 bytes had come"):
        read(Wire(piece(b"ab")), timeout_s=0.01)


def test_tiny_pieces_are_bounded():
    """A body in more than the allowed number of pieces is malformed, even if they are empty."""
    wire = Wire(*[piece()] * (body.MAX_CHUNKS + 5))
    with pytest.raises(MalformedBody, match="pieces"):
        read(wire)
    assert wire.taken == body.MAX_CHUNKS


@pytest.mark.parametrize("messages", [[GONE], [piece(b"ab"), GONE]])
def test_a_client_that_leaves_is_noticed(messages):
    """A disconnect before the body's end ends the reading."""
    with pytest.raises(ClientLeft):
        read(Wire(*messages))
