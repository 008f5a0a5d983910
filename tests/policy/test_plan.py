"""Which graphs a row runs. A graph runs only if something needs what it writes."""

from __future__ import annotations

import pytest

from anytime.policy import BudgetTooSmall
from tests.policy.conftest import make_manifest, planned


def legs(plan):
    """Each leg's graphs: ``b2`` is stage 2's body, ``h2`` its head."""
    return [" ".join(f"{node.part[0]}{node.stage}" for node in leg.nodes) for leg in plan.legs]


def exits(plan):
    """The consulted exits."""
    return [leg.exit for leg in plan.legs]


def may_run(plan):
    """The graphs that the plan may run, in the bundle's order."""
    return " ".join(f"{n.part[0]}{n.stage}" for n in plan.flow.nodes if plan.nodes >> n.index & 1)


FOUR = ["b1 h1", "b2 h2", "b3 h3", "b4 h4"]
STRAIGHT = ["b1 b2 b3 b4 h4"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"confidence": 1},
        {"confidence": [None, 1, None, None]},
        {"min_exit": 2},
        {"combine": "all"},
        {"exact": True},
        {"exact": True, "deadline_ms": 50},
        {"priority": 3},
        {"patience": 4},
        {"confidence": 0.5, "patience": 9, "combine": "all"},
    ],
)
def test_goes_straight_where_nobody_looks(fields):
    """With no rule that can fire, no stream, trace or deadline, only the last head runs, as one piece of work."""
    plan = planned(make_manifest(4), **fields)

    assert (legs(plan), plan.watched) == (STRAIGHT, False)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, {"stream": True}),
        ({}, {"trace": True}),
        ({"deadline_ms": 50}, {}),
        ({"max_ms": 5}, {}),
        ({"confidence": 0.9}, {}),
        ({"exact": True}, {"stream": True}),
        ({"confidence": [None, None, None, 0.5]}, {"stream": True}),
    ],
)
def test_every_head_is_needed_by_who_sees_or_may_take_each_exit(fields, shown):
    """A stream, a trace, a deadline, max_ms, or a rule that can fire at every exit needs every head."""
    plan = planned(make_manifest(4), **fields, **shown)

    assert (legs(plan), plan.watched) == (FOUR, True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"confidence": [0.9, None, None, None]}, ["b1 h1", "b2 b3 b4 h4"]),
        ({"confidence": [None, 0.9, 1, 0.9]}, ["b1 b2 h2", "b3 b4 h4"]),
        ({"confidence": [0.9, None, None, None], "entropy": [None, None, 0.5, None]}, ["b1 h1", "b2 b3 h3", "b4 h4"]),
        ({"confidence": 0.9, "min_exit": 3}, ["b1 b2 b3 h3", "b4 h4"]),
        ({"learned": [None, 0.5, None, None]}, ["b1 b2 h2", "b3 b4 h4"]),
        ({"entropy": 0.9, "commitment": [None, None, 0.5, None]}, ["b1 b2 b3 h3", "b4 h4"]),
        (
            {"confidence": [0.9, 0.9, None, None], "entropy": [None, 0.5, 0.5, None], "combine": "all"},
            ["b1 b2 h2", "b3 b4 h4"],
        ),
        ({"confidence": [None, 0.9, None, None], "max_exit": 3}, ["b1 b2 h2", "b3 h3"]),
    ],
)
def test_a_rule_needs_the_heads_where_it_can_fire(fields, expected):
    """A rule needs a head from min_exit on where its threshold is below 1; bodies of other exits run with the next."""
    plan = planned(make_manifest(4, commitment=True, stop=True), **fields)

    assert (legs(plan), plan.watched) == (expected, True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"patience": 1}, [1, 2, 3, 4]),
        ({"patience": 3}, [1, 2, 3, 4]),
        ({"patience": 1, "min_exit": 4}, [1, 2, 3, 4]),
        ({"patience": 2, "max_exit": 3}, [1, 2, 3]),
        ({"patience": 2, "max_exit": 2}, [2]),
        ({"patience": 9, "confidence": [None, 0.9, None, None]}, [2, 4]),
        ({"patience": 1, "confidence": [None, 0.9, None, None], "combine": "all"}, [1, 2, 4]),
        ({"patience": 2, "confidence": [0.9, 0.9, None, None], "combine": "all"}, [4]),
    ],
)
def test_patience_needs_every_head_from_exit_1(fields, expected):
    """Patience needs the heads from exit 1 up to where it can stop the row, and none if it never can."""
    assert exits(planned(make_manifest(4), **fields)) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"min_exit": 3}, [3, 4]),
        ({"max_exit": 2}, [1, 2]),
        ({"confidence": [0.9, None, None, None], "min_exit": 1}, [1, 2, 3, 4]),
    ],
)
def test_most_confident_needs_the_heads_it_may_choose(fields, expected):
    """Under most_confident the answer may be any exit from min_exit on, so all those heads run."""
    plan = planned(make_manifest(4, answer="most_confident"), **fields)

    assert exits(plan) == expected
    assert plan.watched is ("confidence" in fields)


PASSIVE = {"answer": "best_validated", "accuracy": [0.5, 0.4, 0.6, 0.6]}
"""Exits 2 and 4 are passive."""


@pytest.mark.parametrize(
    ("fields", "shown", "expected"),
    [
        ({}, {}, ["b1 b2 b3 h3"]),
        ({"confidence": 0.9}, {}, ["b1 h1", "b2 b3 h3"]),
        ({"patience": 1}, {}, ["b1 h1", "b2 b3 h3"]),
        ({"patience": 2}, {}, ["b1 b2 b3 h3"]),
        ({"deadline_ms": 50}, {}, ["b1 h1", "b2 b3 h3"]),
        ({"max_ms": 50}, {}, ["b1 h1", "b2 b3 h3"]),
        ({"max_exit": 2}, {}, ["b1 h1"]),
        ({"exact": True}, {}, ["b1 b2 b3 h3"]),
        ({"confidence": 0.9}, {"stream": True}, FOUR),
        ({}, {"trace": True}, FOUR),
        ({"max_cost": 5.0}, {"stream": True}, FOUR),
    ],
)
def test_a_passive_head_runs_only_to_be_seen(fields, shown, expected):
    """A passive exit's head runs only for a stream or a trace, and nothing runs behind the last exit that may answer."""
    assert legs(planned(make_manifest(4, **PASSIVE), **fields, **shown)) == expected


def test_a_passive_head_runs_if_another_graph_reads_it():
    """A passive exit's head runs where a needed graph reads what it writes, without being consulted."""
    plan = planned(make_manifest(4, **PASSIVE, reads_heads={3: [2]}), confidence=0.9)

    assert legs(plan) == ["b1 h1", "b2 h2 b3 h3"]


@pytest.mark.parametrize(
    ("given", "fields", "expected"),
    [
        ({"reads_heads": {3: [1, 2]}}, {}, ["b1 h1 b2 h2 b3 h3"]),
        ({"reads_heads": {3: [2], 2: [1]}}, {"confidence": [None, 0.9, None]}, ["b1 h1 b2 h2", "b3 h3"]),
        ({"restarts": [3]}, {}, ["b3 h3"]),
        ({"restarts": [3]}, {"confidence": [0.9, None, None]}, ["b1 h1", "b3 h3"]),
        ({"restarts": [2, 3]}, {"deadline_ms": 9}, ["b1 h1", "b2 h2", "b3 h3"]),
        ({"restarts": [3], "reads_heads": {3: [1]}}, {}, ["b1 h1 b3 h3"]),
        ({"body_macs": [100, None, 100]}, {}, ["b1 b3 h3"]),
        ({"body_macs": [100, None, 100]}, {"confidence": 0.9}, ["b1 h1", "h2", "b3 h3"]),
    ],
)
def test_a_graph_runs_with_all_that_it_reads_and_nothing_else(given, fields, expected):
    """A needed graph brings what it reads, transitively; bodies that nobody reads are passed by."""
    assert legs(planned(make_manifest(3, **given), **fields)) == expected


@pytest.mark.parametrize("shown", [{}, {"stream": True}])
@pytest.mark.parametrize("fields", [{}, {"confidence": 0.5}, {"max_exit": 2}, {"patience": 1, "max_macs": 250}])
def test_nothing_runs_twice_and_legs_add_up(fields, shown):
    """A graph is in one leg at most, legs end in their exit's head, and their multiply-adds are their graphs'."""
    plan = planned(make_manifest(4, restarts=[3], reads_heads={4: [1, 3]}), **fields, **shown)
    nodes = [node for leg in plan.legs for node in leg.nodes]

    assert len({node.index for node in nodes}) == len(nodes)
    assert [leg.nodes[-1] for leg in plan.legs] == [plan.flow.heads[leg.exit - 1] for leg in plan.legs]
    assert [leg.macs for leg in plan.legs] == [sum(node.macs for node in leg.nodes) for leg in plan.legs]
    assert [leg.ahead.macs for leg in plan.legs] == [leg.macs for leg in plan.legs]


@pytest.mark.parametrize(
    ("fields", "shown", "expected", "runs"),
    [
        # exits cost 110, 210, 310, 410 alone; 110, 220, 330, 440 with every head
        ({"max_macs": 410}, {}, ["b1 b2 b3 b4 h4"], "b1 b2 b3 b4 h4"),
        ({"max_macs": 409}, {}, ["b1 b2 b3 h3", "b4 h4"], "b1 b2 b3 h3"),
        ({"max_macs": 309}, {}, ["b1 b2 h2", "b3 b4 h4"], "b1 b2 h2"),
        ({"max_macs": 110}, {}, ["b1 h1", "b2 b3 b4 h4"], "b1 h1"),
        ({"max_cost": 0.76}, {}, ["b1 b2 b3 h3", "b4 h4"], "b1 b2 b3 h3"),
        ({"max_cost": 9.0}, {}, ["b1 b2 b3 b4 h4"], "b1 b2 b3 b4 h4"),
        ({"max_macs": 330, "max_exit": 3}, {}, ["b1 b2 b3 h3"], "b1 b2 b3 h3"),
        ({"max_macs": 300, "max_exit": 3}, {}, ["b1 b2 h2", "b3 h3"], "b1 b2 h2"),
        ({"max_macs": 110, "min_exit": 3}, {}, ["b1 h1", "b2 b3 b4 h4"], "b1 h1"),
        ({"max_macs": 439}, {"stream": True}, ["b1 h1", "b2 h2", "b3 h3", "b4 h4"], "b1 h1 b2 h2 b3 h3"),
        ({"max_macs": 440}, {"stream": True}, ["b1 h1", "b2 h2", "b3 h3", "b4 h4"], "b1 h1 b2 h2 b3 h3 b4 h4"),
        ({"max_macs": 229, "confidence": 0.9}, {}, ["b1 h1", "b2 h2", "b3 b4 h4"], "b1 h1 b2 h2"),
        (
            {"max_macs": 320, "confidence": [0.9, None, None, None]},
            {},
            ["b1 h1", "b2 b3 h3", "b4 h4"],
            "b1 h1 b2 b3 h3",
        ),
        ({"max_macs": 319, "confidence": [0.9, None, None, None]}, {}, ["b1 h1", "b2 h2", "b3 b4 h4"], "b1 h1 b2 h2"),
        ({"max_macs": 409, "confidence": [None, None, None, 0.5]}, {}, ["b1 b2 b3 h3", "b4 h4"], "b1 b2 b3 h3"),
    ],
)
def test_a_budget_leads_to_the_deepest_exit_that_fits(fields, shown, expected, runs):
    """Under a budget the row consults what fits and the deepest that still fits; a leg beyond it never runs."""
    plan = planned(make_manifest(4), **fields, **shown)

    assert (legs(plan), may_run(plan)) == (expected, runs)


DEAR = {"body_macs": [100, 1000, 30], "restarts": [2, 3]}
"""Exits cost 110, 1010 and 40: the middle one is dear, the last restarts and is cheapest."""


@pytest.mark.parametrize(
    ("fields", "shown", "expected"),
    [
        ({"max_macs": 40}, {}, ["b3 h3"]),
        ({"max_macs": 150}, {"stream": True}, ["b1 h1", "b3 h3"]),
        ({"max_macs": 149}, {"stream": True}, ["b1 h1", "b3 h3"]),
        ({"max_macs": 150, "confidence": 0.9}, {}, ["b1 h1", "b3 h3"]),
        ({"max_macs": 1159, "confidence": 0.9}, {}, ["b1 h1", "b2 h2", "b3 h3"]),
        ({"max_macs": 109, "max_exit": 3}, {"stream": True}, ["b3 h3"]),
        ({"max_macs": 110, "max_exit": 2}, {}, ["b1 h1", "b2 h2"]),
        ({"max_macs": 150, "patience": 1}, {}, ["b1 h1", "b3 h3"]),
    ],
)
def test_a_dear_middle_exit_is_passed_over(fields, shown, expected):
    """An exit that the budget does not allow is passed over where a deeper one is cheaper."""
    assert legs(planned(make_manifest(3, **DEAR), **fields, **shown)) == expected


@pytest.mark.parametrize(
    ("given", "fields", "field", "cheapest"),
    [
        ({}, {"max_macs": 109}, "max_macs", 110),
        ({}, {"max_cost": 0.3}, "max_cost", 110),
        ({}, {"max_cost": 0.3, "max_macs": 50}, "max_macs", 110),
        ({}, {"max_macs": 109, "confidence": 0.9}, "max_macs", 110),
        (DEAR, {"max_macs": 39}, "max_macs", 40),
        (DEAR, {"max_macs": 109, "max_exit": 2}, "max_macs", 110),
        (
            {"answer": "best_validated", "accuracy": [0.5, 0.4, 0.3], "body_macs": [100, 5, 5], "restarts": [2]},
            {"max_macs": 50},
            "max_macs",
            110,
        ),
    ],
)
def test_a_budget_below_the_cheapest_permitted_exit_is_refused(given, fields, field, cheapest):
    """A budget that allows no permitted exit is refused by the caller's own field, with the least that would do."""
    with pytest.raises(BudgetTooSmall, match=f"cheapest permitted exit's {cheapest} ") as refused:
        planned(make_manifest(3, **given), **fields)

    assert refused.value.field == field


def test_a_passive_exit_does_not_spend_an_answers_budget():
    """A stream shows a passive exit only with what the exits that may answer leave over."""
    given = {"answer": "best_validated", "accuracy": [0.5, 0.4, 0.6], "body_macs": [100, 20, 40], "restarts": [2, 3]}

    assert exits(planned(make_manifest(3, **given), stream=True, max_macs=79)) == [3]
    assert exits(planned(make_manifest(3, **given), stream=True, max_macs=80)) == [2, 3]
