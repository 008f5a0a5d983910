"""Tests of the fields beside the tensors."""

import pytest

from anytime.policy import Policy, parse_policy
from anytime.service.errors import InvalidField, InvalidPolicy, MalformedBody, MalformedRequest
from anytime.service.intake.fields import (
    NO_FIELDS,
    Fields,
    merge_fields,
    option_from_text,
    policy_from_text,
    query_fields,
    read_body_fields,
    read_query,
)


def test_query():
    """A query's flat names become policy fields as JSON values, options and a shape."""
    fields = read_query(
        [("confidence", "0.9,null"), ("patience", "2"), ("level", "null"), ("top", "3"), ("trace", "1"),
         ("stream", "False"), ("shape", "2,17")]
    )  # fmt: skip
    assert fields == Fields(
        {"confidence": [0.9, None], "patience": 2, "level": None}, top=3, trace=True, stream=False, shape=(2, 17)
    )
    assert read_query([]) is NO_FIELDS


@pytest.mark.parametrize(
    ("pairs", "field", "says"),
    [
        ([("confidense", "1")], "confidense", "did you mean 'confidence'"),
        ([("x", "1")], "x", "no query parameter"),
        ([("top", "1"), ("top", "1")], "top", "twice"),
        ([("confidence", "1"), ("confidence", "1")], "confidence", "twice"),
        ([("top", "-1")], "top", "whole number"),
        ([("top", "1.5")], "top", "whole number"),
        ([("top", "9" * 5000)], "top", "whole number"),
        ([("trace", "yes")], "trace", "true or false"),
        ([("stream", "")], "stream", "true or false"),
        ([("shape", "")], "shape", "shape=2,17"),
        ([("shape", "2,-1")], "shape", "shape=2,17"),
        ([("shape", "9" * 5000)], "shape", "shape=2,17"),
        ([("a" * 500, "1")], "a" * 64, "no query parameter"),
    ],
)
def test_bad_query(pairs, field, says):
    """An unknown, repeated or bad parameter is named, an unknown one with the nearest known."""
    with pytest.raises(InvalidField, match=says) as refused:
        read_query(pairs)
    assert refused.value.details["field"] == field


def test_body():
    """A body's fields are read as they are; null is as good as absent."""
    body = {"inputs": 1, "policy": {"patience": 2}, "top": 0, "trace": True, "stream": None}
    assert read_body_fields(body) == Fields({"patience": 2}, top=0, trace=True)
    assert read_body_fields({"policy": None}) == Fields({})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"policy": [1]}, "policy"),
        ({"policy": "confidence"}, "policy"),
        ({"top": "3"}, "top"),
        ({"top": True}, "top"),
        ({"top": 1.0}, "top"),
        ({"top": 10**9}, "top"),
        ({"trace": 1}, "trace"),
        ({"stream": "true"}, "stream"),
    ],
)
def test_bad_body(body, field):
    """An option of the wrong type is named."""
    with pytest.raises(InvalidField) as refused:
        read_body_fields(body)
    assert refused.value.details["field"] == field


def test_merge():
    """Query and body add up."""
    query, body = Fields({"patience": 2}, top=1, shape=(1,)), Fields({"max_exit": 3}, trace=True)
    assert merge_fields(query, body) == Fields({"patience": 2, "max_exit": 3}, top=1, trace=True, shape=(1,))
    assert merge_fields(NO_FIELDS, body) is body
    assert merge_fields(query, NO_FIELDS) is query


@pytest.mark.parametrize(
    ("query", "body", "field"),
    [
        (Fields({"patience": 2}), Fields({"patience": 2}), "patience"),
        (Fields({"level": None}), Fields({"level": "coarse"}), "level"),
        (Fields({}, stream=False), Fields({}, stream=True), "stream"),
    ],
)
def test_the_same_field_twice(query, body, field):
    """A field in query and body is refused, be the values equal or null."""
    with pytest.raises(InvalidField, match="in the query and in the body") as refused:
        merge_fields(query, body)
    assert refused.value.details["field"] == field


def test_policy():
    """The request's layer is parsed; a fault keeps the policy error's code and names the field."""
    assert Fields({"confidence": [0.5, None]}).layer == parse_policy({"confidence": [0.5, None]})
    assert NO_FIELDS.layer == Policy()
    with pytest.raises(InvalidPolicy) as refused:
        _ = Fields({"confidence": 2.0}).layer
    assert (refused.value.code, refused.value.details) == ("policy_out_of_range", {"field": "confidence"})


def test_form_texts():
    """A form spells options like a query, and the policy as a JSON object."""
    assert (option_from_text("top", "2"), option_from_text("trace", "true")) == (2, True)
    assert policy_from_text(b'{"patience": 2}') == {"patience": 2}
    with pytest.raises(MalformedBody, match="'policy' is not JSON"):
        policy_from_text(b"{")
    with pytest.raises(InvalidField, match="wanted an object"):
        policy_from_text(b"[1]")


@pytest.mark.parametrize("padding", ["", "&level=" + "x" * 300])
def test_a_query_string(padding):
    """A query is read as it was sent, a short one once: the same text gives the same fields, a bad one its error again."""
    text = b"confidence=0.9&top=3" + padding.encode()
    fields = query_fields(text)
    assert (fields.policy["confidence"], fields.top) == (0.9, 3)
    assert query_fields(text) == fields
    assert query_fields(b"") is NO_FIELDS
    for _ in range(2):
        with pytest.raises(InvalidField, match="did you mean 'confidence'"):
            query_fields(b"confidense=1" + padding.encode())
        with pytest.raises(MalformedRequest, match="query cannot be read"):
            query_fields(b"level=%ff" + padding.encode())
