"""How layers of policy combine."""

from __future__ import annotations

import pytest

from anytime.policy import PolicyConflict, merge
from tests.policy.conftest import policy


def merged(*layers):
    """The fields that hold a value after merging, lowest layer first."""
    whole = merge([policy(**layer) for layer in layers])
    return {name: getattr(whole, name) for name in whole.model_fields_set if whole.given(name)}


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        ({}, {}, {}),
        ({"confidence": 0.9}, {}, {"confidence": 0.9}),
        ({"confidence": 0.9, "patience": 2}, {"entropy": 0.5}, {"entropy": 0.5}),
        ({"confidence": 0.9, "combine": "all"}, {"confidence": 0.8}, {"confidence": 0.8}),
        ({"confidence": 0.9, "patience": 2}, {"combine": "all"}, {"combine": "all"}),
        ({"confidence": 0.9, "combine": "all"}, {"target": "t"}, {"target": "t"}),
        ({"target": "t"}, {"patience": 1}, {"patience": 1}),
        ({"target": "t"}, {"target": "u"}, {"target": "u"}),
        ({"target": "t"}, {"combine": "all"}, {"combine": "all"}),
    ],
)
def test_a_layer_with_any_of_the_group_replaces_the_whole_group(below, above, expected):
    """Stop rules, combine and target are one group: a layer that gives any replaces all that it inherits of them."""
    assert merged(below, above) == expected


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        ({"max_exit": 3, "deadline_ms": 50}, {"max_exit": 2}, {"max_exit": 2, "deadline_ms": 50}),
        ({"max_exit": 3}, {"max_cost": 0.5}, {"max_exit": 3, "max_cost": 0.5}),
        ({"confidence": 0.9}, {"deadline_ms": 50}, {"confidence": 0.9, "deadline_ms": 50}),
        ({"min_exit": 2, "level": "fine"}, {"confidence": 0.5}, {"min_exit": 2, "level": "fine", "confidence": 0.5}),
        ({"priority": 1, "max_ms": 3.0}, {"priority": 2}, {"priority": 2, "max_ms": 3.0}),
        ({"exact": True}, {"exact": False}, {"exact": False}),
    ],
)
def test_all_else_merges_field_by_field(below, above, expected):
    """A field outside the group replaces its own kind only."""
    assert merged(below, above) == expected


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        ({"confidence": 0.9, "patience": 2}, {"confidence": None}, {"patience": 2}),
        ({"confidence": 0.9, "combine": "all"}, {"combine": None}, {"confidence": 0.9}),
        ({"deadline_ms": 50, "max_exit": 2}, {"deadline_ms": None}, {"max_exit": 2}),
        ({"confidence": 0.9}, {"confidence": None, "entropy": 0.5}, {"entropy": 0.5}),
        ({"target": "t"}, {"target": None}, {}),
        ({"exact": True}, {"exact": None}, {}),
        ({}, {"confidence": None}, {}),
        ({"confidence": None}, {"confidence": 0.9}, {"confidence": 0.9}),
    ],
)
def test_a_null_removes_one_field(below, above, expected):
    """A null takes out one inherited field and leaves the rest of its group alone."""
    assert merged(below, above) == expected


def test_a_null_beside_an_inherited_target_is_remembered():
    """A rule set to null over an inherited target is kept as null, so that the target expands without it."""
    whole = merge([policy(target="t"), policy(patience=None)])

    assert whole.target == "t"
    assert "patience" in whole.model_fields_set
    assert "patience" not in merge([policy(target="t"), policy(patience=None), policy(confidence=0.5)]).model_fields_set


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        (
            {"confidence": 0.9, "combine": "all", "max_exit": 2, "deadline_ms": 9.0},
            {"exact": True},
            {"exact": True, "deadline_ms": 9.0},
        ),
        ({"target": "t", "max_cost": 0.5, "min_exit": 2}, {"exact": True}, {"exact": True, "min_exit": 2}),
        ({"exact": True}, {"confidence": 0.9}, {"confidence": 0.9}),
        ({"exact": True}, {"target": "t"}, {"target": "t"}),
        ({"exact": True}, {"max_macs": 5}, {"max_macs": 5}),
        ({"exact": True}, {"max_exit": 2}, {"max_exit": 2}),
        ({"exact": True}, {"combine": "all"}, {"exact": True, "combine": "all"}),
        ({"exact": True}, {"deadline_ms": 9.0}, {"exact": True, "deadline_ms": 9.0}),
        ({"confidence": 0.9}, {"exact": False}, {"confidence": 0.9, "exact": False}),
    ],
)
def test_between_layers_exact_and_what_stops_early_replace_each_other(below, above, expected):
    """Of exact in one layer and a rule, target or max_* in another the upper one wins."""
    assert merged(below, above) == expected


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"target": "t", "confidence": 0.9}, "confidence"),
        ({"target": "t", "patience": 1}, "patience"),
        ({"target": "t", "stable": 0.1}, "stable"),
        ({"target": "t", "combine": "any"}, "combine"),
        ({"exact": True, "entropy": 0.5}, "entropy"),
        ({"exact": True, "target": "t"}, "target"),
        ({"exact": True, "max_cost": 0.5}, "max_cost"),
        ({"exact": True, "max_macs": 5}, "max_macs"),
        ({"exact": True, "max_ms": 5}, "max_ms"),
        ({"exact": True, "max_exit": 5}, "max_exit"),
    ],
)
def test_one_layer_may_not_contradict_itself(fields, field):
    """A target beside a rule, and exact beside a rule, a target or max_*, are refused within a layer."""
    with pytest.raises(PolicyConflict) as refused:
        merged({"priority": 1}, fields)

    assert refused.value.field == field


@pytest.mark.parametrize(
    "fields",
    [
        {"exact": True, "deadline_ms": 50.0},
        {"exact": True, "min_exit": 2},
        {"exact": False, "confidence": 0.9},
        {"target": "t", "max_cost": 0.5},
    ],
)
def test_one_layer_may_say_what_does_not_contradict(fields):
    """What exact and target do not exclude stays beside them."""
    assert merged(fields) == fields


def test_merges_from_the_service_up():
    """The request lies over the bundle's default, and that over the service's."""
    service, bundle, request = (
        {"max_exit": 4, "deadline_ms": 100.0},
        {"target": "t", "max_exit": 3},
        {"confidence": 0.5},
    )

    assert merged(service, bundle, request) == {"max_exit": 3, "deadline_ms": 100.0, "confidence": 0.5}
