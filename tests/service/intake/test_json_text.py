"""Tests of JSON text that is counted before it is parsed."""

import orjson
import pytest

from anytime.service.errors import BatchTooLarge, InvalidTensor, MalformedBody
from anytime.service.intake.json_text import COUNTED_BYTES, SPARE_LISTS, lists_in, load, most_lists
from tests.service.intake.inputs import OPEN, PICTURE, TOKENS, VECTOR

SPACE = b" " * COUNTED_BYTES


def lists_of(value):
    return 1 + sum(map(lists_of, value)) if isinstance(value, list) else 0


def nested(shape):
    return [nested(shape[1:]) for _ in range(shape[0])] if shape else 0


@pytest.mark.parametrize(
    ("manifest", "shapes"),
    [
        (VECTOR, [(4, 3)]),
        (PICTURE, [(4, 1, 2, 2)]),
        (OPEN, [(4, 5)]),
        (TOKENS, [(4, 5), (4, 5)]),
    ],
)
def test_most_lists(manifest, shapes):
    """Twice what the largest request nests, every open axis at its maximum, and some to spare."""
    needed = sum(lists_of(nested(shape)) for shape in shapes)
    assert most_lists(manifest.inputs, manifest, 4) == 2 * needed + SPARE_LISTS


@pytest.mark.parametrize("text", [b"[[],[]]", b'{"a":[{}]}', b'["[[["]'])
def test_lists_in(text):
    """Lists and objects alike, those in strings too: at least as many as parsing makes. Short text is not counted."""
    assert lists_in(text) == 0
    assert lists_in(text + SPACE) == text.count(b"[") + text.count(b"{")


def test_too_many_lists():
    """Text of more lists than allowed is refused before it is parsed: nobody finds out that it is no JSON."""
    assert load(b"[[],[]]" + SPACE, "the body", 3) == [[], []]
    with pytest.raises(BatchTooLarge, match="the body holds 4 lists and objects; at most 3 are read") as refused:
        load(b"[[],[],[" + SPACE, "the body", 3)
    assert refused.value.details == {"lists": 4, "max_lists": 3}


@pytest.mark.parametrize("text", [b"[1,NaN]", b"[1,-NaN]", b"[Infinity]", b"[-Infinity]", b'["\xc3\xa9", NaN]'])
def test_numbers_that_json_does_not_have(text):
    """NaN and Infinity where a value is wanted are told from other faults."""
    with pytest.raises(InvalidTensor, match="NaN or Infinity"):
        load(text, "the body", 3)


@pytest.mark.parametrize("text", [b"", b"[", b"[1,]", b'["NaN"', b"[xNaN]", b"[1e999]", b'"\xff"'])
def test_no_json(text):
    """Everything else is no JSON, wherever a NaN stands in it."""
    with pytest.raises(MalformedBody, match="the body is not JSON"):
        load(text, "the body", 3)


def test_a_value():
    """What is JSON is its value."""
    value = {"inputs": [[1, 2.5, None, True, "x"]]}
    assert load(orjson.dumps(value), "the body", 0) == value
