"""One row's way through the exits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anytime.policy import Ahead, HeadOutputInvalid, Reader, Walk, limit
from tests.policy.conftest import make_manifest, planned, said

SURE, UNSURE = [0.9, 0.05, 0.05], [0.4, 0.3, 0.3]


def run_leg(walk, ms=1.0):
    """Runs the graphs of the leg under way; returns them as ``b1``, ``h1``, ..."""
    ran = []
    while not walk.at_boundary:
        node = walk.node
        walk.begin()
        walk.finish(ms)
        ran.append(f"{node.part[0]}{node.stage}")
    return ran


def test_walks_its_plan_to_the_end():
    """Without a stop a walk runs every leg in order, counts what it ran, and ends at full depth."""
    walk = Walk(planned(make_manifest(3), confidence=0.5))
    ran = []
    for exit, following in ((1, 2), (2, 3), (3, None)):
        assert walk.leg.exit == exit
        ran += run_leg(walk)
        assert (walk.next_leg.exit if walk.next_leg else None) == following
        decision = walk.heard(said(exit, UNSURE), Ahead(0) if following else None)
        assert decision.stops is (following is None)

    assert ran == ["b1", "h1", "b2", "h2", "b3", "h3"]
    assert (walk.decision.reason, walk.depth, walk.macs, walk.compute_ms) == ("full_depth", 3, 330, 6.0)
    assert walk.cost == pytest.approx(330 / 310)
    assert walk.answer().outcome.exit == 3


def test_stops_where_a_rule_fires():
    """A rule that fires ends the walk at its exit, with its outcome as the answer."""
    walk = Walk(planned(make_manifest(3), confidence=0.5))
    run_leg(walk)
    walk.heard(said(1, SURE), walk.next_leg.ahead)

    assert (walk.decision.reason, walk.decision.fired) == ("confidence", True)
    assert (walk.answer().outcome.exit, walk.macs, walk.depth) == (1, 110, 1)


def test_a_budget_refuses_the_leg_that_it_does_not_allow():
    """What is spent and what the next leg costs meet the budget: the walk ends before the leg beyond it."""
    walk = Walk(planned(make_manifest(3), max_macs=220, confidence=0.95))
    for exit in (1, 2):
        run_leg(walk)
        walk.heard(said(exit, UNSURE), walk.next_leg.ahead)

    assert (walk.decision.reason, walk.macs) == ("budget", 220)


def test_shows_what_is_next():
    """A walk tells the graph to run, what is left of its leg, and whether its exit is due."""
    walk = Walk(planned(make_manifest(3)))
    assert [node.part for node in walk.rest] == ["body", "body", "body", "head"]
    assert walk.node is walk.rest[0]

    walk.finish(1.0)
    assert [node.stage for node in walk.rest] == [2, 3, 3]
    assert not walk.at_boundary

    run_leg(walk)
    assert walk.at_boundary
    assert walk.rest == ()


def test_a_graph_counts_when_it_starts_and_its_time_when_it_ends():
    """Multiply-adds of a graph in flight count; its milliseconds and its depth only once it has finished."""
    walk = Walk(planned(make_manifest(3), confidence=0.5))
    walk.begin()
    assert (walk.macs, walk.compute_ms, walk.depth) == (100, 0.0, 0)

    walk.finish(2.5)
    walk.begin()
    assert (walk.macs, walk.compute_ms, walk.depth) == (110, 2.5, 0)

    walk.finish(0.5)
    assert (walk.macs, walk.compute_ms, walk.depth) == (110, 3.0, 1)


def test_depth_is_the_deepest_head_that_finished_asked_or_not():
    """A head that runs because another graph reads it counts as depth."""
    walk = Walk(planned(make_manifest(3, reads_heads={3: [2]})))
    depths = []
    while not walk.at_boundary:
        walk.finish(1.0)
        depths.append(walk.depth)

    assert depths == [0, 0, 2, 2, 3]


def test_depth_does_not_fall_back():
    """A shallow head that runs late, for a deeper graph that reads it, leaves the depth where it was."""
    walk = Walk(planned(make_manifest(4, reads_heads={4: [2]}), confidence=[None, None, 0.9, None]))
    run_leg(walk)
    walk.heard(said(3, UNSURE), Ahead(0))
    assert walk.node.stage == 2

    walk.finish(1.0)
    assert walk.depth == 3


@pytest.mark.parametrize("reason", ["deadline", "overload", "cancelled"])
def test_can_be_stopped_from_outside(reason):
    """A timer or a shutdown stops a walk with its reason; the answer is the best so far."""
    walk = Walk(planned(make_manifest(3), stream=True))
    assert not walk.has_said
    run_leg(walk)
    walk.heard(said(1, SURE), Ahead(0))
    walk.begin()
    walk.stop(limit(reason))

    assert walk.has_said
    assert (walk.decision.reason, walk.answer().outcome.exit, walk.macs) == (reason, 1, 210)


def test_answers_with_an_exit_on_the_way():
    """A prediction on the way is that exit's outcome at the level that the policy reads, whatever will answer at last."""
    manifest = make_manifest(2, levels={"species": 3, "genus": 2}, answer="most_confident")
    walk = Walk(planned(manifest, stream=True, level="genus", confidence=0.99))
    outcome = said(1, UNSURE, [0.9, 0.1])

    assert (walk.answer_with(outcome).outcome, walk.answer_with(outcome).level) == (outcome, 1)


GLANCES = [
    ({"confidence": 0.6}, [0.6] * 4),
    ({"confidence": [0.9, None, 0.5, 1]}, [0.9, 1.0, 0.5, 1.0]),
    ({"confidence": 0.6, "min_exit": 3}, [1.0, 1.0, 0.6, 0.6]),
    ({"confidence": 0.6, "max_exit": 3}, [0.6] * 3),
    ({"confidence": 0.6, "commitment": 0.5}, [0.6] * 4),
    ({}, [1.0] * 4),
    ({"confidence": 0.6, "max_macs": 330}, [None] * 4),
    ({"confidence": 0.6, "max_ms": 3.0}, [None] * 4),
    ({"confidence": 0.6, "patience": 1}, [None] * 4),
    ({"confidence": 0.6, "patience": 1, "combine": "all"}, [1.0, None, None, None]),
    ({"confidence": 0.6, "entropy": 0.3}, [None] * 4),
    ({"patience": 1}, [1.0, None, None, None]),
]
"""A policy, and what its exits are glanced at with, every exit shown."""


@pytest.mark.parametrize(("fields", "glances"), GLANCES)
def test_where_a_confidence_is_all_there_is(fields, glances):
    """A glance is the exit's threshold, 1 where nothing can fire; none where anything else may stop the row."""
    plan = planned(make_manifest(4, commitment=True), stream=True, **fields)
    assert [leg.glance for leg in plan.legs] == glances


@given(
    fields=st.sampled_from([fields for fields, _ in GLANCES]),
    shows=st.booleans(),
    tops=st.lists(st.sampled_from([0.4, 0.5, 0.6, 0.7, 0.95]), min_size=4, max_size=4),
    overloaded=st.booleans(),
)
def test_a_glance_spares_the_question_and_nothing_else(fields, shows, tops, overloaded):
    """A walk whose exits are glanced at ends where and why the same walk ends when every exit is asked about."""
    plan = planned(make_manifest(4, commitment=True), stream=shows, **fields)
    blind = replace(plan, legs=tuple(replace(leg, glance=None) for leg in plan.legs))
    ends = []
    for way in (plan, blind):
        walk = Walk(way)
        while walk.decision is None:
            run_leg(walk)
            exit, following = walk.leg.exit, walk.next_leg
            rest = (1 - tops[exit - 1]) / 2
            ahead = following and Ahead(following.macs, 1.0, overloaded=overloaded and exit == 2)
            walk.heard(said(exit, [tops[exit - 1], rest, rest], commitment=0.7), ahead)
        ends.append((walk.decision, walk.macs, [outcome.exit for outcome in walk.outcomes]))
    assert ends[0] == ends[1]


@given(
    st.lists(st.lists(st.floats(-4, 4, width=32), min_size=3, max_size=3), min_size=3, max_size=3),
    st.sampled_from([0, 0, 0, 1, 2, 3]),
    st.sampled_from([0.0, 0.4, 0.5, 0.75, 0.9, 1.0]),
    st.sampled_from([{}, {"min_exit": 2}, {"max_exit": 2}, {"patience": 2}, {"max_macs": 220}, {"entropy": 0.3}]),
)
def test_passing_an_exit_is_hearing_it(logits, broken, threshold, more):
    """Two rows under one policy: one hears every exit, the other passes those that it may. They decide and say the same,
    and an exit that is ``broken`` passes neither way.
    """
    manifest = make_manifest(3)
    plan = planned(manifest, confidence=threshold, **more)
    hears, passes, passed = Walk(plan), Walk(plan), 0
    while hears.decision is None:
        assert run_leg(hears) == run_leg(passes)
        leg, following = passes.leg, passes.next_leg
        spoken = np.array(logits[leg.exit - 1], dtype=np.float32)
        if leg.exit == broken:
            spoken[1] = np.nan
        reader = Reader(manifest, leg.exit)
        if passes.passes(reader, spoken):
            passed += 1
        elif leg.exit == broken:
            with pytest.raises(HeadOutputInvalid):
                reader.read({"logits": spoken})
            return
        else:
            passes.heard(reader.read({"logits": spoken}), following.ahead if following else None)
        hears.heard(reader.read({"logits": spoken}), following.ahead if following else None)
        assert (hears.decision, hears.leg, hears.has_said) == (passes.decision, passes.leg, passes.has_said)
    assert [(o.exit, o.confidence, o.outputs["logits"].tolist()) for o in passes.outcomes] == [
        (o.exit, o.confidence, o.outputs["logits"].tolist()) for o in hears.outcomes
    ]
    assert passes.answer().outcome.exit == hears.answer().outcome.exit
    assert passed == 0 or more.keys() <= {"min_exit", "max_exit"}


def test_an_outcome_is_read_once():
    """What an exit said that was passed is looked at when somebody asks, and then stays."""
    manifest = make_manifest(3)
    walk = Walk(planned(manifest, confidence=0.9))
    run_leg(walk)
    assert walk.passes(Reader(manifest, 1), np.zeros(3, np.float32))
    (outcome,) = walk.outcomes
    assert outcome is walk.outcomes[0]
    assert (outcome.exit, outcome.confidence) == (1, pytest.approx(1 / 3))


def test_no_exit_of_many_labels_is_passed():
    """Its sum is another, in the last bit, by another way."""
    manifest = make_manifest(3, labels=65)
    walk = Walk(planned(manifest, confidence=0.9))
    run_leg(walk)
    assert not walk.passes(Reader(manifest, 1), np.zeros(65, np.float32))
    assert not walk.has_said
