"""The policy as a caller writes it."""

from __future__ import annotations

import json

import pytest

from anytime.policy import Policy, PolicyOutOfRange, UnknownPolicyField, parse_policy, parse_query


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[
            (rule, value)
            for rule in ("confidence", "entropy", "commitment", "learned")
            for value in (0, 0.5, 1, [0.9, None, 1])
        ],
        ("patience", 1),
        ("patience", 4096),
        ("stable", 1e-9),
        ("stable", [2.5, None]),
        ("deadline_ms", 0.001),
        ("deadline_ms", 86_400_000),
        ("max_cost", 0.01),
        ("max_cost", 2.5),
        ("max_macs", 1),
        ("max_macs", 2**63 - 1),
        ("max_ms", 0.5),
        ("max_exit", 1),
        ("min_exit", 1),
        ("level", "auto"),
        ("target", "accuracy-1"),
        ("exact", True),
        ("exact", False),
        ("combine", "any"),
        ("combine", "all"),
        ("priority", 0),
        ("priority", -1000),
        ("priority", 1000),
    ],
)
def test_takes_every_value_in_range(field, value):
    """A value at the edge of its range is taken as it is, a list as one entry per exit."""
    given = parse_policy({field: value})

    assert getattr(given, field) == (tuple(value) if isinstance(value, list) else value)
    assert given.given(field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[
            (rule, value)
            for rule in ("confidence", "entropy", "commitment", "learned")
            for value in (-0.1, 1.001, float("nan"), float("inf"), "0.9", True, {"a": 1}, [0.9, 1.5], [[0.9]], ["x"])
        ],
        *[
            (field, value)
            for field in ("patience", "max_macs", "max_exit", "min_exit")
            for value in (0, -1, 1.0, "1", True, [1])
        ],
        ("max_macs", 2**63),
        *[
            (field, value)
            for field in ("deadline_ms", "max_cost", "max_ms", "stable")
            for value in (0, -1, float("nan"), float("inf"), "5", True, 1e16)
        ],
        ("deadline_ms", 86_400_001),
        ("patience", 4097),
        ("stable", [0.5, 0]),
        ("level", ""),
        ("level", 1),
        ("level", "x" * 65),
        ("target", ""),
        ("target", ["a"]),
        ("exact", 1),
        ("exact", "true"),
        ("combine", "both"),
        ("priority", 1001),
        ("priority", 0.5),
    ],
)
def test_refuses_every_value_out_of_range(field, value):
    """A value of the wrong type or out of range is refused by the name of its field."""
    with pytest.raises(PolicyOutOfRange) as refused:
        parse_policy({"entropy": 0.5, field: value})

    assert refused.value.field == field
    assert repr(field) in str(refused.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, "less than or equal to 1; or a list with one entry per exit"),
        ([0.5, 7], "less than or equal to 1"),
        ("high", "a valid number; or a list with one entry per exit"),
    ],
)
def test_says_what_it_should_be(value, message):
    """The message shows what was given and what would be taken, without the machinery's own words."""
    with pytest.raises(PolicyOutOfRange) as refused:
        parse_policy({"confidence": value})

    assert str(refused.value) == f"policy field 'confidence' is {value!r}; it should be {message}"


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [
        ("confidnce", "confidence"),
        ("Patience", "patience"),
        ("deadline", "deadline_ms"),
        ("maxcost", "max_cost"),
        ("maxexits", "max_exit"),
        ("x" * 100_000, None),
        ("", None),
    ],
)
def test_names_the_nearest_field(unknown, nearest):
    """An unknown field is refused by its name, and the message names a known one: the nearest."""
    with pytest.raises(UnknownPolicyField) as refused:
        parse_policy({"confidence": 0.9, unknown: 1})

    assert refused.value.field == unknown[:64]
    assert len(str(refused.value)) < 200
    suggested = str(refused.value).split("did you mean ")[1].strip("'?")
    assert suggested == nearest if nearest else suggested in Policy.model_fields


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ({"confidence": "0.9"}, {"confidence": 0.9}),
        ({"confidence": "0.9,null,0.8"}, {"confidence": [0.9, None, 0.8]}),
        ({"confidence": " 0.9 , null"}, {"confidence": [0.9, None]}),
        ({"confidence": "null"}, {"confidence": None}),
        ({"patience": "2"}, {"patience": 2}),
        ({"exact": "true"}, {"exact": True}),
        ({"exact": "false"}, {"exact": False}),
        ({"exact": "null"}, {"exact": None}),
        ({"target": "accuracy-1"}, {"target": "accuracy-1"}),
        ({"target": "null"}, {"target": None}),
        ({"combine": "all"}, {"combine": "all"}),
        ({"level": "2"}, {"level": "2"}),
        ({"level": "true"}, {"level": "true"}),
        ({"deadline_ms": "5e1", "priority": "-3"}, {"deadline_ms": 50.0, "priority": -3}),
        ({"max_cost": "1.5E+1", "confidence": "0"}, {"max_cost": 15.0, "confidence": 0}),
    ],
)
def test_reads_a_query_as_json_would_say_it(text, fields):
    """A query's text becomes the JSON value that it spells, and a name stays a name."""
    assert parse_query(text) == fields
    assert parse_policy(parse_query(text)) == parse_policy(json.loads(json.dumps(fields)))


@pytest.mark.parametrize(
    "text",
    [
        {"confidence": "high"},
        {"confidence": ""},
        {"confidence": "0.9,,0.8"},
        {"confidence": "true"},
        {"confidence": "nan"},
        {"patience": "1.5"},
        {"patience": "1,2"},
        {"exact": "yes"},
        {"exact": "1"},
        {"combine": "ALL"},
        {"deadline_ms": "0"},
        {"deadline_ms": "-5"},
        {"deadline_ms": "inf"},
        {"max_exit": "9" * 5000},
        *(
            {"deadline_ms": text}
            for text in ("1_000", "+5", "05", ".5", "5.", "0x10", "1e", "\uff15\uff10", "\u0665", "\u30005")
        ),
        {"patience": "1_0"},
        {"confidence": "0.9,\uff10.\uff18"},
    ],
)
def test_refuses_a_query_that_spells_nothing(text):
    """A query's text that is no value of its field is refused, never guessed; numbers are spelled as in JSON."""
    if text == {"max_exit": "9" * 5000}:
        assert parse_query(text) == {"max_exit": float("inf")}
    with pytest.raises(PolicyOutOfRange) as refused:
        parse_policy(parse_query(text))

    assert refused.value.field in text


def test_an_explicit_null_differs_from_silence():
    """A policy that removes a field is another than one that does not mention it, as a key of a cache too."""
    silent, removing = parse_policy({}), parse_policy({"confidence": None})

    assert silent != removing
    assert len({silent, removing, parse_policy({}), parse_policy({"confidence": None})}) == 2
    assert not removing.given("confidence")


def test_is_frozen():
    """A policy cannot be changed once made."""
    with pytest.raises(ValueError, match="frozen"):
        parse_policy({"patience": 1}).patience = 2
