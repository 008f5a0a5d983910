"""Tests of finding a request's deadline before its model is known."""

import orjson
import pytest

from anytime.service.intake.deadline import MOST_LISTS, asked_deadline_ms
from anytime.service.intake.fields import NO_FIELDS, read_query
from tests.service.intake.inputs import multipart

JSON, RAW = "application/json", "application/octet-stream"
DEFAULT_MS = 7.0


def body(policy):
    return JSON, orjson.dumps({"inputs": [[1]], "policy": policy})


def form(policy):
    return multipart(("x", b"[[1]]"), ("policy", orjson.dumps(policy)))


@pytest.mark.parametrize("of", [body, form])
@pytest.mark.parametrize(
    ("policy", "deadline_ms"),
    [
        ({"deadline_ms": 50}, 50.0),
        ({"deadline_ms": 0.5, "confidense": 1}, 0.5),
        ({"deadline_ms": None}, None),
        ({}, DEFAULT_MS),
        ({"confidence": 0.5}, DEFAULT_MS),
        (None, DEFAULT_MS),
        ([5], DEFAULT_MS),
        ({"deadline_ms": 0}, DEFAULT_MS),
        ({"deadline_ms": "50"}, DEFAULT_MS),
        ({"deadline_ms": True}, DEFAULT_MS),
        ({"deadline_ms": [50]}, DEFAULT_MS),
        ({"deadline_ms": 1e300}, DEFAULT_MS),
    ],
)
def test_in_the_body(of, policy, deadline_ms):
    """A deadline in the body is the request's, null takes the default away, absent or bad leaves it."""
    assert asked_deadline_ms(*of(policy), NO_FIELDS, DEFAULT_MS) == deadline_ms


@pytest.mark.parametrize(
    ("text", "deadline_ms"),
    [("50", 50.0), ("5e1", 50.0), ("null", None), ("", DEFAULT_MS), ("5_0", DEFAULT_MS), ("9" * 5000, DEFAULT_MS)],
)
def test_in_the_query(text, deadline_ms):
    """The query is spelled as a policy in a query is, and is looked at first."""
    kind, data = body({"deadline_ms": 3})
    assert asked_deadline_ms(kind, data, read_query([("top", "1"), ("deadline_ms", text)]), DEFAULT_MS) == deadline_ms


@pytest.mark.parametrize(
    ("content_type", "data"),
    [(JSON, b"{"), (JSON, b"[]"), (RAW, b"abc"), (None, b""), multipart(("policy", b"{")), multipart(("x", b"1"))],
)
def test_nowhere(content_type, data):
    """A body that holds none, or cannot be read, leaves the default; without one there is none."""
    assert asked_deadline_ms(content_type, data, NO_FIELDS, DEFAULT_MS) == DEFAULT_MS
    assert asked_deadline_ms(content_type, data, NO_FIELDS) is None


def test_a_text_of_too_many_lists_is_not_searched():
    """The search costs no more than so many lists: beyond them the default holds."""
    for count, deadline_ms in ((MOST_LISTS - 3, 50.0), (MOST_LISTS, DEFAULT_MS)):
        data = b'{"policy":{"deadline_ms":50},"inputs":[%b[]]}' % (b"[]," * (count - 1))
        assert asked_deadline_ms(JSON, data, NO_FIELDS, DEFAULT_MS) == deadline_ms
    policy = b'{"deadline_ms":50,"confidence":[%b[]]}' % (b"[]," * 30_000)
    assert asked_deadline_ms(*multipart(("policy", policy)), NO_FIELDS, DEFAULT_MS) == DEFAULT_MS
