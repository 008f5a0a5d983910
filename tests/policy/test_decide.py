"""When to stop a row."""

from __future__ import annotations

import math
from itertools import count

import numpy as np
import pytest

from anytime.policy import REASONS, Ahead, Outcome, Spent, Verdict, choose_answer, decide, limit
from tests.policy.conftest import load_vector, make_manifest, resolved, said, voted

FREE = Ahead(0)
SPENT = Spent(0, 0.0)
THIRDS = [0.5, 0.25, 0.25]
"""Its top is exactly 0.5, and its certainty exactly what ``CERTAINTY`` says."""
CERTAINTY = Verdict(np.log(THIRDS)).certainty
BELOW = math.nextafter(CERTAINTY, 0.0)


def full(exits=4, **given):
    """A bundle with every head that a policy can ask for."""
    return make_manifest(exits, commitment=True, stop=True, **given)


def reason(policy, *outcomes, spent=SPENT, ahead=FREE):
    """What stops a row after these outcomes, if anything."""
    return decide(policy, outcomes, spent, ahead).reason


@pytest.mark.parametrize(
    ("fields", "outcome", "expected"),
    [
        ({"confidence": math.nextafter(0.5, 0)}, said(1, THIRDS), "confidence"),
        ({"confidence": 0.5}, said(1, THIRDS), None),
        ({"confidence": 0}, said(1, THIRDS), "confidence"),
        ({"confidence": 1}, said(1, [1.0, 0.0, 0.0]), None),
        ({"confidence": 0.999999}, said(1, [1.0, 0.0, 0.0]), "confidence"),
        ({"confidence": [None, 0, 0, 0]}, said(1, THIRDS), None),
        ({"confidence": [None, 0, 0, 0]}, said(2, THIRDS), "confidence"),
        ({"entropy": BELOW}, said(1, THIRDS), "entropy"),
        ({"entropy": CERTAINTY}, said(1, THIRDS), None),
        ({"entropy": 1}, said(1, [1.0, 0.0, 0.0]), None),
        ({"entropy": 0.999999}, said(1, [1.0, 0.0, 0.0]), "entropy"),
        ({"entropy": 0}, said(1, [1 / 3, 1 / 3, 1 / 3]), None),
        ({"entropy": [0, None, 0, 0]}, said(2, THIRDS), None),
        ({"commitment": 0.5}, said(1, commitment=0.5), None),
        ({"commitment": 0.5}, said(1, commitment=0.51), "commitment"),
        ({"commitment": 1}, said(1, commitment=0.999999), None),
        ({"commitment": [None, 0, 0, 0]}, said(1, commitment=0.9), None),
        ({"learned": 0.5}, said(1, stop=0.5), None),
        ({"learned": 0.5}, said(1, stop=0.51), "learned"),
        ({"learned": [None, 0, 0, 0]}, said(1, stop=0.9), None),
        ({}, said(1, [1.0, 0.0, 0.0], commitment=0.99, stop=0.99), None),
        ({"combine": "all"}, said(1, [1.0, 0.0, 0.0], commitment=0.99, stop=0.99), None),
    ],
)
def test_a_rule_fires_strictly_above_its_threshold(fields, outcome, expected):
    """A rule fires above its threshold, not at it; never at 1 or null; and not if it was not asked for."""
    decision = decide(resolved(full(), **fields), [outcome], SPENT, FREE)

    assert (decision.reason, decision.fired, decision.stops) == (expected, expected is not None, expected is not None)


ALL_RULES = {"confidence": 0.4, "entropy": BELOW, "patience": 1, "learned": 0.5}


@pytest.mark.parametrize("combine", ["any", "all"])
@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (("confidence", "entropy", "patience", "learned"), "confidence"),
        (("entropy", "patience", "learned"), "entropy"),
        (("patience", "learned"), "patience"),
        (("learned",), "learned"),
    ],
)
def test_of_rules_that_hold_the_first_names_the_reason(rules, expected, combine):
    """Of several rules that hold the first of the table is the reason, under any and all alike."""
    policy = resolved(full(), combine=combine, **{rule: ALL_RULES[rule] for rule in rules})

    assert reason(policy, said(1, THIRDS, stop=0.9), said(2, THIRDS, stop=0.9)) == expected


@pytest.mark.parametrize(("second", "expected"), [("commitment", "patience"), ("learned", "commitment")])
def test_commitment_stands_between_patience_and_learned(second, expected):
    """As a rule of its own commitment names the reason after patience and before learned."""
    others = {"commitment": {"patience": 1, "commitment": 0.5}, "learned": {"commitment": 0.5, "learned": 0.5}}
    outcomes = [said(k, THIRDS, commitment=0.9, stop=0.9) for k in (1, 2)]

    assert reason(resolved(full(), **others[second]), *outcomes) == expected


@pytest.mark.parametrize("failing", ["confidence", "entropy", "patience", "learned"])
def test_all_needs_every_given_rule_at_the_same_exit(failing):
    """Under all one rule that does not hold keeps the row going; under any the others stop it."""
    fails = {"confidence": 0.6, "entropy": CERTAINTY, "patience": 2, "learned": 0.95}
    fields = ALL_RULES | {failing: fails[failing]}
    outcomes = [said(k, THIRDS, stop=0.9) for k in (1, 2)]

    assert reason(resolved(full(), combine="all", **fields), *outcomes) is None
    assert reason(resolved(full(), combine="any", **fields), *outcomes) == (
        "entropy" if failing == "confidence" else "confidence"
    )


def test_all_does_not_add_up_over_exits():
    """Rules that hold at different exits do not stop under all."""
    policy = resolved(full(), combine="all", confidence=0.6, learned=0.5)

    assert reason(policy, said(1, [0.7, 0.2, 0.1], stop=0.1), said(2, THIRDS, stop=0.9)) is None


def test_a_null_threshold_blocks_all_and_leaves_any():
    """A rule that cannot fire at an exit keeps all from stopping there, and does not hinder any."""
    fields = {"confidence": [None, 0.4, 0.4, 0.4], "learned": 0.5}
    outcome = said(1, THIRDS, stop=0.9)

    assert reason(resolved(full(), combine="all", **fields), outcome) is None
    assert reason(resolved(full(), combine="any", **fields), outcome) == "learned"


@pytest.mark.parametrize("combine", ["any", "all"])
@pytest.mark.parametrize(
    ("fields", "commitment", "expected"),
    [
        ({"commitment": 0.5}, 0.6, "commitment"),
        ({"commitment": 0.5}, 0.5, None),
        ({"confidence": 0.4, "commitment": 0.5}, 0.6, "confidence"),
        ({"confidence": 0.4, "commitment": 0.5}, 0.5, None),
        ({"confidence": 0.6, "commitment": 0.5}, 0.6, None),
        ({"entropy": BELOW, "commitment": 0.5}, 0.6, "entropy"),
        ({"entropy": BELOW, "commitment": 0.5}, 0.5, None),
        ({"entropy": CERTAINTY, "commitment": 0.5}, 0.6, None),
        ({"confidence": 0.4, "entropy": BELOW, "commitment": 0.5}, 0.5, None),
        ({"confidence": 0.4, "commitment": [None, 0.5, 0.5, 0.5]}, 0.9, None),
        ({"confidence": 0.4, "commitment": 1}, 0.9, None),
    ],
)
def test_commitment_is_a_rule_alone_and_a_condition_beside(fields, commitment, expected, combine):
    """Alone commitment stops; beside confidence or entropy it only lets those two stop, under any and all alike."""
    policy = resolved(full(), combine=combine, **fields)

    assert reason(policy, said(1, THIRDS, commitment=commitment)) == expected


def test_commitment_conditions_each_of_the_two_and_nothing_else():
    """Of confidence and entropy the one that holds needs the commitment; patience and learned do not."""
    one = resolved(full(), confidence=0.6, entropy=BELOW, commitment=0.5)
    assert reason(one, said(1, THIRDS, commitment=0.6)) == "entropy"
    assert reason(one, said(1, THIRDS, commitment=0.4)) is None

    beside = resolved(full(), confidence=0.4, commitment=0.5, learned=0.5)
    assert reason(beside, said(1, THIRDS, commitment=0.4, stop=0.9)) == "learned"
    both = resolved(full(), confidence=0.4, commitment=0.5, learned=0.5, combine="all")
    assert reason(both, said(1, THIRDS, commitment=0.4, stop=0.9)) is None
    assert reason(both, said(1, THIRDS, commitment=0.6, stop=0.9)) == "confidence"


@pytest.mark.parametrize(
    ("patience", "labels", "expected"),
    [
        (1, [0], None),
        (1, [0, 0], "patience"),
        (1, [0, 1], None),
        (2, [0, 0], None),
        (2, [0, 0, 0], "patience"),
        (2, [1, 0, 0], None),
        (2, [1, 0, 0, 0], "patience"),
        (2, [0, 0, 1, 0], None),
        (3, [0, 0, 0], None),
        (3, [0, 0, 0, 0], "patience"),
    ],
)
def test_patience_counts_comparisons_in_a_row(patience, labels, expected):
    """Patience holds after that many agreeing comparisons of consecutive exits: a run of one more answers."""
    outcomes = [voted(exit, label) for exit, label in enumerate(labels, 1)]

    assert reason(resolved(make_manifest(6), patience=patience), *outcomes) == expected


def test_patience_counts_from_exit_1_across_min_exit():
    """Agreement before min_exit counts, and stops the row as soon as min_exit lets it."""
    policy = resolved(make_manifest(5), patience=2, min_exit=4)
    outcomes = [voted(exit, 0) for exit in (1, 2, 3, 4)]

    assert [reason(policy, *outcomes[:k]) for k in (1, 2, 3, 4)] == [None, None, None, "patience"]


def test_patience_skips_passive_exits():
    """What a passive exit says neither counts nor breaks a run."""
    manifest = make_manifest(4, answer="best_validated", accuracy=[0.5, 0.4, 0.6, 0.7])
    policy = resolved(manifest, patience=1)

    assert reason(policy, voted(1, 0), voted(2, 0)) is None
    assert reason(policy, voted(1, 0), voted(2, 1), voted(3, 0)) == "patience"
    assert reason(policy, voted(1, 0), voted(2, 1), voted(3, 1)) is None


@pytest.mark.parametrize("rule", [{"confidence": 0.1}, {"entropy": 0.0}, {"commitment": 0.1}, {"learned": 0.1}])
def test_rules_skip_passive_exits_and_those_before_min_exit(rule):
    """No rule stops at a passive exit, or before min_exit."""
    manifest = full(answer="best_validated", accuracy=[0.5, 0.4, 0.6, 0.7])
    outcomes = [said(exit, THIRDS, commitment=0.9, stop=0.9) for exit in (1, 2, 3, 4)]
    (name,) = rule

    assert [reason(resolved(manifest, **rule), *outcomes[:k]) for k in (1, 2, 3, 4)] == [name, None, name, name]
    assert [reason(resolved(manifest, min_exit=4, **rule), *outcomes[:k]) for k in (1, 3, 4)] == [None, None, name]


LEVELS = {"species": 3, "genus": 2}


@pytest.mark.parametrize(
    ("level", "genus", "expected"),
    [
        ("species", [0.9, 0.1], None),
        ("genus", [0.9, 0.1], "confidence"),
        ("genus", [0.8, 0.2], None),
        ("auto", [0.9, 0.1], "confidence"),
        ("auto", [0.8, 0.2], None),
    ],
)
def test_confidence_reads_the_level_asked_for(level, genus, expected):
    """Confidence reads the level asked for; under auto any level's will do."""
    policy = resolved(make_manifest(levels=LEVELS), confidence=0.85, level=level)

    assert reason(policy, said(1, [0.4, 0.3, 0.3], genus)) == expected


@pytest.mark.parametrize(("level", "expected"), [("species", None), ("auto", None), ("genus", "patience")])
def test_patience_reads_the_level_asked_for(level, expected):
    """Patience compares labels of the level asked for; under auto of the finest."""
    policy = resolved(make_manifest(levels=LEVELS), confidence=0.95, patience=1, level=level)
    outcomes = [said(1, [0.6, 0.2, 0.2], [0.9, 0.1]), said(2, [0.2, 0.6, 0.2], [0.9, 0.1])]

    assert reason(policy, *outcomes) == expected


@pytest.mark.parametrize(("level", "expected"), [("species", None), ("auto", None), ("genus", "entropy")])
def test_entropy_reads_the_level_asked_for(level, expected):
    """Entropy reads the level asked for; under auto the finest."""
    policy = resolved(make_manifest(levels=LEVELS), confidence=0.9999, entropy=0.5, level=level)

    assert reason(policy, said(1, [0.4, 0.3, 0.3], [0.99, 0.01])) == expected


BEYOND = Ahead(macs=10, typical_ms=5.0, worst_ms=9.0, left_ms=8.0, overloaded=True)
HURRIED = Ahead(macs=1, typical_ms=1.0, worst_ms=9.0, left_ms=8.0, overloaded=True)
LOADED = Ahead(macs=1, typical_ms=1.0, worst_ms=8.0, left_ms=8.0, overloaded=True)


@pytest.mark.parametrize(
    ("fields", "spent", "ahead", "expected"),
    [
        ({}, SPENT, None, "full_depth"),
        ({"max_exit": 4}, SPENT, None, "full_depth"),
        ({"max_exit": 3}, SPENT, None, "max_exit"),
        ({"max_exit": 3, "max_macs": 110}, Spent(200, 0.0), None, "max_exit"),
        ({"max_macs": 110}, Spent(100, 0.0), Ahead(10), None),
        ({"max_macs": 110}, Spent(100, 0.0), Ahead(11), "budget"),
        ({"max_macs": 110}, Spent(101, 0.0), BEYOND, "budget"),
        ({"max_ms": 10}, Spent(0, 5.0), Ahead(0, typical_ms=5.0), None),
        ({"max_ms": 10}, Spent(0, 5.0), Ahead(0, typical_ms=5.1), "budget"),
        ({"max_ms": 10}, Spent(0, 5.1), BEYOND, "budget"),
        ({"deadline_ms": 99}, Spent(0, 500.0), Ahead(10**9, 9.0, 8.0, 8.0), None),
        ({"deadline_ms": 99}, SPENT, Ahead(0, 0.0, 8.1, 8.0), "deadline"),
        ({"deadline_ms": 99}, SPENT, HURRIED, "deadline"),
        ({"max_macs": 110, "deadline_ms": 99}, Spent(100, 0.0), HURRIED, "deadline"),
        ({"confidence": 0.9}, SPENT, LOADED, "overload"),
        ({"confidence": 0.9}, SPENT, FREE, None),
    ],
)
def test_limits_hold_in_their_order(fields, spent, ahead, expected):
    """full_depth, max_exit, budget, deadline, overload: the first that holds; what just fits is no overspending."""
    policy = resolved(full(), **fields)
    decision = decide(policy, [said(1)], spent, ahead)

    assert (decision.reason, decision.fired) == (expected, False)


@pytest.mark.parametrize("ahead", [None, BEYOND, HURRIED, LOADED, FREE])
def test_a_rule_outranks_every_limit(ahead):
    """At an exit where a rule fires and a limit holds, the rule is the reason."""
    policy = resolved(full(), confidence=0.4, max_macs=110, max_ms=1, max_exit=3, deadline_ms=1)
    decision = decide(policy, [said(1, THIRDS)], Spent(105, 5.0), ahead)

    assert (decision.reason, decision.fired) == ("confidence", True)


@pytest.mark.parametrize(("ahead", "expected"), [(None, "full_depth"), (BEYOND, "budget"), (HURRIED, "deadline")])
def test_min_exit_does_not_outlast_a_limit(ahead, expected):
    """min_exit withholds a rule's stop, and no limit's."""
    policy = resolved(full(), confidence=0.1, min_exit=4, max_macs=110)

    assert reason(policy, said(1, THIRDS), spent=Spent(101, 0.0), ahead=ahead) == expected


@pytest.mark.parametrize("combine", ["any", "all"])
def test_limits_hold_whatever_combines(combine):
    """combine joins stop rules only; a limit always holds."""
    policy = resolved(full(), confidence=0.9, learned=0.9, max_macs=110, combine=combine)

    assert reason(policy, said(1, THIRDS, stop=0.1), spent=Spent(101, 0.0), ahead=BEYOND) == "budget"


@pytest.mark.parametrize("name", REASONS)
def test_a_stop_without_a_rule_carries_its_reason(name):
    """Whoever stops a row from outside gets a decision that stops, and fired no rule."""
    assert (limit(name).reason, limit(name).stops, limit(name).fired) == (name, True, False)


def follow(policy, outcomes):
    """(exit, decision, answer) of a row that hears these outcomes until it stops; the last is the way's end."""
    for k in count(1):
        decision = decide(policy, outcomes[:k], SPENT, FREE if k < len(outcomes) else None)
        if decision.stops:
            return k, decision, choose_answer(policy, outcomes[:k], decision).outcome
    raise AssertionError


@pytest.mark.parametrize("tau", [1, 2, 3, 4, 5, 6])
def test_patience_stops_where_the_published_vector_says(tau):
    """Patience tau stops each sequence at the published exit with the published prediction."""
    vector = load_vector("c_pbee_exit")
    wanted = vector["outputs"]["by_tau"][str(tau)]
    manifest = make_manifest(6, labels=10)
    policy = resolved(manifest, patience=tau)

    for sequence, exit, label in zip(
        vector["inputs"]["prediction_sequences"], wanted["exit_1based"], wanted["prediction"], strict=True
    ):
        rows = [said(k, np.where(np.arange(10) == said_label, 0.55, 0.05)) for k, said_label in enumerate(sequence, 1)]
        stopped, decision, answer = follow(policy, rows)
        assert (stopped, answer.index) == (exit, label)
        assert decision.fired or exit == 6


def test_confidence_stops_where_the_published_vector_says():
    """Confidence 0.83 stops each trace at the published time, and the trace that sits at 0.83 never before the end."""
    vector = load_vector("h_selection_latency")
    policy = resolved(make_manifest(5), confidence=vector["inputs"]["theta"])
    found, reasons = [], []
    for trace in vector["inputs"]["traces_NxTxC"]:
        stopped, decision, _ = follow(policy, [exactly(exit, p) for exit, p in enumerate(trace, 1)])
        found.append(stopped)
        reasons.append(decision.reason)

    assert found == vector["outputs"]["stop_time"]
    assert reasons == ["confidence"] * 4 + ["full_depth", "confidence"]


def exactly(exit, probabilities):
    """An outcome whose top is this very float: the vector sits exactly at the threshold, and log and exp round."""
    outcome = said(exit, probabilities)
    assert outcome.verdicts[0].top == pytest.approx(max(probabilities), abs=1e-15)
    outcome.verdicts[0].top = max(probabilities)
    return outcome


@pytest.mark.parametrize(
    ("wanted", "committed"), [("inference", {"commitment": 0.5}), ("inference_confidence_only", {})]
)
def test_quicknets_inference_is_entropy_with_commitment(wanted, committed):
    """Entropy with commitment 0.5 and the answer most_confident are QuickNets' exits, fallbacks and predictions."""
    vector = load_vector("j_quicknets")
    labels, t = 10, vector["inputs"]["inference_threshold"]
    manifest = make_manifest(3, labels=labels, commitment=True, answer="most_confident")
    policy = resolved(manifest, entropy=1.0 + t * labels / math.log(labels), **committed)
    logits, commits = (np.array(vector["inputs"][name]) for name in ("logits_exit_x_sample_x_class", "commit_logits"))
    expected = vector["outputs"][wanted]

    for sample, (exit, label) in enumerate(zip(expected["exits"], expected["pred"], strict=True)):
        rows = [
            Outcome(k + 1, {"commitment": commits[k, sample : sample + 1]}, (Verdict(logits[k, sample]),))
            for k in range(3)
        ]
        stopped, decision, answer = follow(policy, rows)
        assert (answer.exit, answer.index) == (exit["exit_1based"], label)
        assert decision.fired is not exit["fallback"]
        assert decision.reason == ("full_depth" if exit["fallback"] else "entropy")
        assert stopped == (3 if exit["fallback"] else exit["exit_1based"])
