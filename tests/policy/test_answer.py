"""Which outcome a row is answered with."""

from __future__ import annotations

import pytest

from anytime.policy import Decision, answer_level, choose_answer, limit
from tests.policy.conftest import make_manifest, resolved, said

RULE = Decision("confidence", fired=True)
SURE, SPREAD, LOW = [0.5, 0.5, 0.0], [0.5, 0.25, 0.25], [0.45, 0.45, 0.1]
"""By top probability SURE and SPREAD tie above LOW; by entropy SURE beats LOW, and LOW beats SPREAD."""


def answered(manifest, tops, decision, **fields):
    """The exit that answers, of exits 1, 2, ... with these probabilities."""
    outcomes = [said(exit, p) for exit, p in enumerate(tops, 1)]
    return choose_answer(resolved(manifest, **fields), outcomes, decision).outcome.exit


@pytest.mark.parametrize("answer", ["latest", "most_confident", "best_validated"])
def test_a_rule_answers_with_what_it_read(answer):
    """When a rule fired, the outcome that it read answers, whatever the bundle's answer field says."""
    manifest = make_manifest(answer=answer, accuracy=[0.5, 0.6, 0.7])

    assert answered(manifest, [[0.9, 0.1, 0.0], SURE], RULE, confidence=0.5) == 2


@pytest.mark.parametrize("reason", ["full_depth", "max_exit", "budget", "deadline", "overload", "cancelled"])
@pytest.mark.parametrize(("answer", "expected"), [("latest", 3), ("most_confident", 1), ("best_validated", 2)])
def test_at_every_limit_the_answer_field_chooses(answer, expected, reason):
    """Whatever limit stopped the row, the bundle's answer field chooses among all that was said."""
    manifest = make_manifest(answer=answer, accuracy=[0.5, 0.6, 0.6])

    assert answered(manifest, [[0.9, 0.1, 0.0], SURE, SPREAD], limit(reason)) == expected


@pytest.mark.parametrize(
    ("fields", "said_of_exits", "expected"),
    [
        ({}, [SURE, SPREAD], 2),
        ({}, [SPREAD, SURE], 2),
        ({}, [SURE, LOW], 1),
        ({"confidence": 0.99}, [SURE, SPREAD], 2),
        ({"entropy": 0.99}, [SURE, SPREAD], 1),
        ({"entropy": 0.99}, [SPREAD, LOW], 2),
        ({"entropy": 0.99, "confidence": 0.99}, [SPREAD, LOW], 1),
        ({"entropy": 0.99}, [SURE, SURE, SURE], 3),
        ({"entropy": 0.99}, [SURE, SURE, SPREAD], 2),
    ],
)
def test_most_confident_goes_by_entropy_only_if_it_alone_was_asked(fields, said_of_exits, expected):
    """most_confident compares top probabilities, or certainty under entropy without confidence; ties go deepest."""
    assert answered(make_manifest(answer="most_confident"), said_of_exits, limit("full_depth"), **fields) == expected


def test_most_confident_prefers_exits_from_min_exit_on():
    """Exits below min_exit answer only if there is no other."""
    manifest = make_manifest(answer="most_confident")

    assert answered(manifest, [[0.9, 0.1, 0.0], SURE, LOW], limit("full_depth"), min_exit=2) == 2
    assert answered(manifest, [[0.9, 0.1, 0.0], SURE], limit("budget"), min_exit=3) == 1


def test_best_validated_passes_over_passive_exits():
    """best_validated answers with the deepest exit that is not passive."""
    manifest = make_manifest(4, answer="best_validated", accuracy=[0.5, 0.4, 0.6, 0.6])

    assert answered(manifest, [SURE], limit("deadline")) == 1
    assert answered(manifest, [SURE, SURE], limit("deadline")) == 1
    assert answered(manifest, [SURE, SURE, SURE], limit("deadline")) == 3
    assert answered(manifest, [SURE, SURE, SURE, SURE], limit("full_depth")) == 3


LEVELS = {"species": 3, "genus": 3, "family": 2}
VAGUE, CLEAR = [0.4, 0.3, 0.3], [0.9, 0.05, 0.05]


@pytest.mark.parametrize(
    ("fields", "levels", "expected"),
    [
        ({}, (VAGUE, CLEAR, [0.9, 0.1]), 0),
        ({"level": "genus"}, (CLEAR, VAGUE, [0.9, 0.1]), 1),
        ({"level": "auto", "confidence": 0.8}, (CLEAR, CLEAR, [0.9, 0.1]), 0),
        ({"level": "auto", "confidence": 0.8}, (VAGUE, CLEAR, [0.9, 0.1]), 1),
        ({"level": "auto", "confidence": 0.8}, (VAGUE, VAGUE, [0.9, 0.1]), 2),
        ({"level": "auto", "confidence": 0.8}, (VAGUE, VAGUE, [0.6, 0.4]), 2),
        ({"level": "auto", "confidence": [None, 0.8, 0.8]}, (CLEAR, CLEAR, [0.9, 0.1]), 2),
    ],
)
def test_auto_answers_with_the_finest_level_that_passes(fields, levels, expected):
    """A label is of the level asked for; under auto of the finest that passes, at a limit the coarsest if none does."""
    policy = resolved(make_manifest(levels=LEVELS), **fields)
    outcome = said(1, *levels)

    assert answer_level(policy, outcome) == expected
    assert choose_answer(policy, [outcome], limit("full_depth")).level == expected


def test_a_rule_that_read_the_finest_level_answers_at_it():
    """Under auto another rule than confidence read the finest level, so that answers where none passes."""
    policy = resolved(make_manifest(levels=LEVELS), level="auto", confidence=0.99, patience=1)
    outcomes = [said(exit, CLEAR, CLEAR, [0.9, 0.1]) for exit in (1, 2)]

    assert choose_answer(policy, outcomes, Decision("patience", fired=True)).level == 0
    assert choose_answer(policy, outcomes, limit("budget")).level == 2
