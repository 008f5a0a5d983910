"""A merged policy read against one bundle."""

from __future__ import annotations

import pytest

from anytime.model_store import build_flow
from anytime.policy import (
    Policy,
    PolicyConflict,
    PolicyError,
    PolicyOutOfRange,
    PolicyUnsupported,
    check_default,
    make_plan,
    merge,
    resolve,
)
from tests.policy.conftest import make_flow, make_manifest, policy, resolved

LEVELS = {"species": 3, "genus": 2}


@pytest.mark.parametrize(
    ("given", "thresholds"),
    [
        (0.9, (0.9, 0.9, 0.9)),
        (0, (0, 0, 0)),
        (1, (None, None, None)),
        ([0.9, None, 0.8], (0.9, None, 0.8)),
        ([0.9, 1, 0.8], (0.9, None, 0.8)),
        ([None, None, None], (None, None, None)),
    ],
)
@pytest.mark.parametrize("rule", ["confidence", "entropy", "commitment", "learned"])
def test_spreads_thresholds_over_the_exits(rule, given, thresholds):
    """A number is every exit's threshold, a list gives one each; null and 1 cannot fire."""
    manifest = make_manifest(commitment=True, stop=True)

    assert getattr(resolved(manifest, **{rule: given}), rule) == thresholds


@pytest.mark.parametrize("rule", ["confidence", "entropy", "commitment", "learned"])
@pytest.mark.parametrize("given", [[], [0.9], [0.9, 0.9], [0.9, 0.9, 0.9, 0.9]])
def test_a_list_has_one_entry_per_exit(rule, given):
    """A list of another length than the exits is refused."""
    with pytest.raises(PolicyOutOfRange, match=f"{len(given)} entries.*3 exits") as refused:
        resolved(make_manifest(commitment=True, stop=True), **{rule: given})

    assert refused.value.field == rule


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"max_exit": 4}, PolicyOutOfRange, "max_exit"),
        ({"min_exit": 4}, PolicyOutOfRange, "min_exit"),
        ({"min_exit": 3, "max_exit": 2}, PolicyConflict, "min_exit"),
        ({"commitment": 0.5}, PolicyUnsupported, "commitment"),
        ({"entropy": 0.5, "commitment": 0.5}, PolicyUnsupported, "commitment"),
        ({"learned": 0.5}, PolicyUnsupported, "learned"),
        ({"stable": 0.1}, PolicyUnsupported, "stable"),
        ({"stable": [0.1, None, None]}, PolicyUnsupported, "stable"),
        ({"level": "species"}, PolicyUnsupported, "level"),
        ({"level": "auto", "confidence": 0.5}, PolicyUnsupported, "level"),
        ({"target": "cheap"}, PolicyUnsupported, "target"),
    ],
)
def test_refuses_what_the_bundle_cannot_honour(fields, error, field):
    """A field that asks for an exit, head, level, task or operating point that the bundle lacks is refused by name."""
    with pytest.raises(error) as refused:
        resolved(make_manifest(), **fields)

    assert type(refused.value) is error
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("fields", "bounds"),
    [
        ({}, (1, 3)),
        ({"max_exit": 2}, (1, 2)),
        ({"min_exit": 3}, (3, 3)),
        ({"min_exit": 2, "max_exit": 2}, (2, 2)),
    ],
)
def test_bounds_the_depth(fields, bounds):
    """Without bounds every exit is permitted; equal bounds are no contradiction."""
    policy = resolved(**fields)

    assert (policy.min_exit, policy.max_exit) == bounds


@pytest.mark.parametrize(("rule", "head"), [("commitment", "commitment"), ("learned", "stop")])
def test_a_number_skips_exits_without_the_head(rule, head):
    """One number holds where the head exists, and the rule cannot fire elsewhere."""
    manifest = make_manifest(**{head: [1, 3]})

    assert getattr(resolved(manifest, **{rule: 0.5}), rule) == (0.5, None, 0.5)
    assert getattr(resolved(manifest, **{rule: [0.5, None, None]}), rule) == (0.5, None, None)
    with pytest.raises(PolicyUnsupported, match="at exit 1, 3 only"):
        resolved(manifest, **{rule: [0.5, 0.5, None]})


@pytest.mark.parametrize(("level", "expected"), [(None, 0), ("species", 0), ("genus", 1), ("auto", "auto")])
def test_finds_the_level(level, expected):
    """A level is named; the finest is read by default."""
    fields = {} if level is None else {"level": level}

    assert resolved(make_manifest(levels=LEVELS), confidence=0.5, **fields).level == expected


def test_refuses_levels_that_are_not_there():
    """An unknown level is refused with the known ones, and auto without a confidence."""
    manifest = make_manifest(levels=LEVELS)

    with pytest.raises(PolicyUnsupported, match="species, genus, auto"):
        resolved(manifest, level="family", confidence=0.5)
    with pytest.raises(PolicyConflict) as refused:
        resolved(manifest, level="auto", entropy=0.5)
    assert refused.value.field == "level"


POINTS = {"accuracy-1": {"confidence": [0.9, 0.8, None], "patience": 2, "combine": "all"}, "cost-50": {"entropy": 0.5}}


def test_a_target_expands_to_its_stored_rules():
    """A target stands for the rules of its operating point, beside whatever else is asked."""
    given = resolved(make_manifest(points=POINTS), target="accuracy-1", max_exit=2)

    assert (given.confidence, given.patience, given.combine) == ((0.9, 0.8, None), 2, "all")
    assert (given.entropy, given.max_exit) == (None, 2)


def test_a_target_expands_before_the_layers_above_it():
    """Over an inherited target a null takes out one of its rules, and a rule replaces them all."""
    manifest = make_manifest(points=POINTS)
    flow = build_flow(manifest)

    without = resolve(merge([policy(target="accuracy-1"), policy(patience=None)]), manifest, flow)
    assert (without.confidence, without.patience, without.combine) == ((0.9, 0.8, None), None, "all")
    replaced = resolve(merge([policy(target="accuracy-1"), policy(patience=1)]), manifest, flow)
    assert (replaced.confidence, replaced.patience, replaced.combine) == (None, 1, "any")
    another = resolve(merge([policy(target="accuracy-1"), policy(target="cost-50")]), manifest, flow)
    assert (another.confidence, another.entropy) == (None, (0.5, 0.5, 0.5))
    removed = resolve(merge([policy(target="accuracy-1"), policy(target=None)]), manifest, flow)
    assert removed.rules == ()


def test_an_unknown_target_is_refused_with_the_known_ones():
    """The message of an unknown target lists the bundle's operating points."""
    with pytest.raises(PolicyUnsupported, match="it has: accuracy-1, cost-50"):
        resolved(make_manifest(points=POINTS), target="accuracy-2")


def test_refuses_an_unmerged_contradiction():
    """A policy that contradicts itself is refused here too, merged or not."""
    with pytest.raises(PolicyConflict):
        resolved(make_manifest(points=POINTS), target="cost-50", entropy=0.1)
    with pytest.raises(PolicyConflict):
        resolved(exact=True, max_exit=2)


@pytest.mark.parametrize(
    ("accuracy", "passive"),
    [
        ([0.5, 0.6, 0.7, 0.8], set()),
        ([0.5, 0.5, 0.7, 0.8], {2}),
        ([0.5, 0.4, 0.5, 0.8], {2, 3}),
        ([0.9, 0.4, 0.5, 0.8], {2, 3, 4}),
        ([0.0, 0.0, 0.0, 0.0], {2, 3, 4}),
    ],
)
def test_best_validated_makes_exits_passive(accuracy, passive):
    """Under best_validated an exit is passive unless its accuracy is strictly above every earlier one's."""
    best = make_manifest(4, answer="best_validated", accuracy=accuracy)
    latest = make_manifest(4, answer="latest", accuracy=accuracy)

    assert resolved(best).passive == passive
    assert resolved(latest).passive == frozenset()


@pytest.mark.parametrize(
    ("fields", "macs", "field"),
    [
        ({}, None, "max_macs"),
        ({"max_macs": 7}, 7, "max_macs"),
        ({"max_cost": 1.0}, 310, "max_cost"),
        ({"max_cost": 0.5}, 155, "max_cost"),
        ({"max_cost": 0.5, "max_macs": 155}, 155, "max_macs"),
        ({"max_cost": 0.5, "max_macs": 200}, 155, "max_cost"),
        ({"max_cost": 0.5, "max_macs": 110}, 110, "max_macs"),
        ({"max_cost": 2.0}, 620, "max_cost"),
    ],
)
def test_the_tighter_budget_holds(fields, macs, field):
    """max_cost counts in shares of full depth (310 here: three bodies and the last head); the tighter budget holds."""
    policy = resolved(**fields)

    assert (policy.max_macs, policy.budget_field) == (macs, field)


@pytest.mark.parametrize("scale", [1, 3, 7, 1_000_003, 10**12 + 39])
def test_a_printed_cost_may_be_sent_back(scale):
    """A cost as the reply prints it, sent back as max_cost, allows exactly the exit that cost it."""
    given = {"body_macs": [7 * scale, 13 * scale, 11 * scale], "head_macs": [scale, 3 * scale, scale]}
    flow = make_flow(3, **given)
    for exit in (1, 2, 3):
        cost = flow.macs(flow.needs(exit)) / flow.macs_full
        plan = make_plan(resolved(make_manifest(3, **given), max_cost=cost), flow)
        within = [leg.exit for leg in plan.legs if flow.macs(plan.nodes) >= flow.macs(flow.needs(leg.exit))]
        assert within == [exit]


@pytest.mark.parametrize(("macs", "full"), [(15, 22), (13, 23), (31, 39), (30, 44)])
def test_a_cost_that_floats_round_down_holds_too(macs, full):
    """A share whose product with full depth falls just short of its multiply-adds still allows them."""
    assert int(macs / full * full) == macs - 1
    manifest = make_manifest(2, body_macs=[macs - 1, full - macs], head_macs=[1, 1])

    assert resolved(manifest, max_cost=macs / full).max_macs == macs


@pytest.mark.parametrize(
    ("fields", "can_stop"),
    [
        ({}, ()),
        ({"confidence": 0.9}, (1, 2, 3, 4)),
        ({"confidence": 1}, ()),
        ({"confidence": 0.9, "min_exit": 3}, (3, 4)),
        ({"confidence": [0.9, None, 1, 0.5]}, (1, 4)),
        ({"confidence": [0.9, None, None, None], "entropy": [None, None, 0.5, None]}, (1, 3)),
        ({"confidence": [0.9, 0.9, None, None], "entropy": [None, 0.5, 0.5, None], "combine": "all"}, (2,)),
        ({"confidence": 0.9, "commitment": [None, 0.5, 1, 0.5]}, (2, 4)),
        ({"confidence": [0.9, None, None, None], "commitment": 0.5}, (1,)),
        ({"commitment": [None, 0.5, None, None]}, (2,)),
        ({"learned": [None, None, 0.5, 0.5]}, (3, 4)),
        ({"patience": 1}, (2, 3, 4)),
        ({"patience": 3}, (4,)),
        ({"patience": 4}, ()),
        ({"patience": 1, "min_exit": 3}, (3, 4)),
        ({"patience": 2, "confidence": [0.9, None, None, 0.9], "combine": "all"}, (4,)),
        ({"patience": 9, "confidence": 0.9, "combine": "all"}, ()),
        ({"combine": "all"}, ()),
    ],
)
def test_knows_where_a_rule_can_fire(fields, can_stop):
    """A rule can fire from min_exit on, where its threshold can be passed, its condition too, and enough have spoken."""
    policy = resolved(make_manifest(4, commitment=True, stop=True), **fields)

    assert tuple(exit for exit in range(1, 5) if policy.can_stop(exit)) == can_stop


def test_no_rule_fires_at_a_passive_exit():
    """A passive exit stops nothing, and does not count towards patience."""
    manifest = make_manifest(5, answer="best_validated", accuracy=[0.5, 0.4, 0.6, 0.6, 0.7])

    assert [exit for exit in range(1, 6) if resolved(manifest, confidence=0.9).can_stop(exit)] == [1, 3, 5]
    assert [exit for exit in range(1, 6) if resolved(manifest, patience=2).can_stop(exit)] == [5]


@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        (
            {"learned": 0.5, "patience": 1, "entropy": 0.5, "confidence": 0.5},
            ("confidence", "entropy", "patience", "learned"),
        ),
        ({"commitment": 0.5, "patience": 1}, ("patience", "commitment")),
        ({"commitment": 0.5, "entropy": 0.5}, ("entropy",)),
        ({"commitment": 0.5, "confidence": 0.5, "learned": 0.5}, ("confidence", "learned")),
        ({}, ()),
    ],
)
def test_lists_the_rules_in_the_order_of_reasons(fields, rules):
    """Rules come in the order in which they name the reason; a condition is none."""
    assert resolved(make_manifest(commitment=True, stop=True), **fields).rules == rules


def test_checks_the_stored_default():
    """A bundle's default policy is checked against the bundle and handed out as one layer."""
    manifest = make_manifest(points=POINTS, default_policy={"target": "cost-50", "max_exit": 2})

    assert check_default(manifest, build_flow(manifest)) == policy(target="cost-50", max_exit=2)
    assert check_default(make_manifest(points=POINTS), make_flow()) is None
    assert isinstance(check_default(make_manifest(default_policy={}), make_flow()), Policy)


@pytest.mark.parametrize(
    "given",
    [
        {"default_policy": {"max_exit": 9}},
        {"default_policy": {"target": "nowhere"}},
        {"default_policy": {"confidnce": 0.5}},
        {"default_policy": {"exact": True, "max_exit": 1}},
        {"points": {"t": {"confidence": [0.5]}}},
        {"points": {"t": {"learned": 0.5}}},
        {"points": {"t": {"confidence": 2}}},
        {"points": {"t": {"confidence": 0.5, "max_exit": 2}}},
        {"points": {"t": {"target": "t"}}},
    ],
)
def test_refuses_a_stored_policy_that_cannot_be_followed(given):
    """A default or an operating point that the bundle cannot honour, or that holds more than rules, is refused."""
    with pytest.raises(PolicyError):
        check_default(make_manifest(**given), make_flow())
