"""What a policy would have done on recorded traces."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from anytime.policy import BudgetTooSmall, HeadOutputInvalid, Trace, TraceError, replay
from tests.policy.brute_force import Simulator
from tests.policy.conftest import make_manifest, make_trace, planned

SHARES = [0.013, 0.373, 0.419, 0.533, 0.617, 0.811, 0.937, 1, None]
"""Thresholds that no softmax or sigmoid of the logits below comes near."""


@st.composite
def bundles(draw):
    """A bundle of up to five exits: restarts, absent bodies, heads that read heads, levels, any answer field."""
    exits = draw(st.integers(1, 5))
    numbers = range(1, exits + 1)
    macs = st.integers(1, 50)
    return make_manifest(
        exits,
        body_macs=[draw(st.one_of(macs, macs, st.none(), st.integers(200, 300))) for _ in numbers],
        head_macs=[draw(macs) for _ in numbers],
        restarts=[k for k in numbers if draw(st.integers(0, 3)) == 0],
        reads_heads={k: [j for j in range(1, k) if draw(st.integers(0, 3)) == 0] for k in numbers},
        levels=draw(st.sampled_from([None, {"species": 3, "genus": 2}])),
        commitment=True,
        stop=True,
        answer=draw(st.sampled_from(["latest", "most_confident", "best_validated"])),
        accuracy=[draw(st.sampled_from([0.5, 0.6, 0.7, 0.8])) for _ in numbers],
    )


@st.composite
def policies(draw, manifest):
    """The fields of a policy that contradicts nothing."""
    exits = manifest.exits
    fields = {}
    shares = st.one_of(st.sampled_from(SHARES[:-1]), st.lists(st.sampled_from(SHARES), min_size=exits, max_size=exits))
    for rule in ("confidence", "entropy", "commitment", "learned"):
        if draw(st.integers(0, 2)) == 0:
            fields[rule] = draw(shares)
    optional = {
        "patience": st.integers(1, 4),
        "combine": st.sampled_from(["any", "all"]),
        "max_macs": st.integers(20, 600),
        "max_cost": st.floats(0.1, 1.5),
        "max_ms": st.integers(1, 12),
        "deadline_ms": st.integers(1, 20),
    }
    for field, values in optional.items():
        if draw(st.integers(0, 3)) == 0:
            fields[field] = draw(values)
    low, high = sorted((draw(st.integers(1, exits)), draw(st.integers(1, exits))))
    fields |= draw(st.sampled_from([{}, {"min_exit": low}, {"max_exit": high}, {"min_exit": low, "max_exit": high}]))
    if manifest.level_names:
        levels = ["species", "genus", *(["auto"] if "confidence" in fields else [])]
        fields |= draw(st.sampled_from([{}, *({"level": name} for name in levels)]))
    return fields


@st.composite
def cases(draw):
    """A bundle, a policy, whether it streams, and a trace of five rows with whole milliseconds."""
    manifest = draw(bundles())
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    graphs = sum(1 if stage.body is None else 2 for stage in manifest.stages)
    outputs = {
        name: random.integers(-3, 4, size=(5, manifest.exits, len(labels))) * 0.5
        for name, labels in zip(manifest.logits_names, manifest.level_labels, strict=True)
    }
    outputs |= {
        name: random.choice([-2.0, -1.0, 1.0, 3.0], size=(5, manifest.exits)) for name in ("commitment", "stop")
    }
    trace = Trace(outputs, random.integers(0, 4, size=(5, graphs)).astype(float))
    return manifest, draw(policies(manifest)), draw(st.booleans()), trace


@settings(max_examples=1500, deadline=None)
@given(cases())
def test_agrees_with_brute_force(case):
    """Every row of any bundle ends under any policy as the slow and obvious simulator says."""
    manifest, fields, stream, trace = case
    simulator = Simulator(manifest, fields, stream, trace)
    if simulator.way() is None:
        event("budget refused")
        with pytest.raises(BudgetTooSmall):
            planned(manifest, stream=stream, **fields)
        return
    for row, ended in enumerate(replay(planned(manifest, stream=stream, **fields), manifest, trace)):
        wanted = simulator.end(row)
        event(wanted["reason"])
        assert {name: getattr(ended, name) for name in wanted} == wanted


FAST, SLOW = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 5.0, 5.0, 9.0, 9.0]
FLAT = np.zeros((1, 3, 3))


def only(plan, manifest, trace):
    """The one row of a trace, replayed."""
    (ended,) = replay(plan, manifest, trace)
    return ended


@pytest.mark.parametrize(
    ("fields", "ms", "exit", "reason", "compute_ms"),
    [
        ({"deadline_ms": 6}, FAST, 3, "full_depth", 6.0),
        ({"deadline_ms": 5.9}, FAST, 2, "deadline", 4.0),
        ({"deadline_ms": 14}, SLOW, 2, "deadline", 14.0),
        ({"deadline_ms": 13.9}, SLOW, 1, "deadline", 4.0),
        ({"deadline_ms": 4}, SLOW, 1, "deadline", 4.0),
        ({"deadline_ms": 3.9}, SLOW, 0, "deadline", 2.0),
        ({"deadline_ms": 1}, SLOW, 0, "deadline", 0.0),
        ({"max_ms": 14}, SLOW, 2, "budget", 14.0),
        ({"max_ms": 13.9}, SLOW, 1, "budget", 4.0),
        ({"max_ms": 0.1}, SLOW, 1, "budget", 4.0),
        ({"exact": True, "deadline_ms": 32}, SLOW, 0, "deadline", 7.0),
        ({"exact": True, "deadline_ms": 99}, SLOW, 3, "full_depth", 25.0),
    ],
)
def test_clocks_read_the_recorded_times(fields, ms, exit, reason, compute_ms):
    """A deadline and max_ms go by recorded times; exit 1 always runs under max_ms, and exact is all or nothing."""
    manifest = make_manifest()
    if fields.get("deadline_ms") == 32:
        ms = [2.0, 2.0, 5.0, 5.0, 26.0, 9.0]  # bodies 1, 2 and 3 alone take 33
    ended = only(planned(manifest, **fields), manifest, make_trace(FLAT, [ms]))

    assert (ended.exit, ended.reason, ended.compute_ms) == (exit, reason, compute_ms)


def test_a_row_without_an_answer_says_so():
    """A row whose deadline passed before its first exit has exit 0, index -1, and the cost of what was started."""
    manifest = make_manifest()
    ended = only(planned(manifest, deadline_ms=3), manifest, make_trace(FLAT, [SLOW]))

    assert (ended.exit, ended.depth, ended.index, ended.level) == (0, 0, -1, 0)
    assert math.isnan(ended.confidence)
    assert ended.cost == pytest.approx(110 / 310)


@pytest.mark.parametrize(("deadline_ms", "exit", "depth"), [(31.9, 0, 2), (32, 3, 3)])
def test_exact_takes_no_exit_on_the_way(deadline_ms, exit, depth):
    """Exact has no answer before full depth, though exits on the way were heard for a stream."""
    manifest = make_manifest()
    plan = planned(manifest, stream=True, exact=True, deadline_ms=deadline_ms)
    ended = only(plan, manifest, make_trace(FLAT, [SLOW]))

    assert (ended.exit, ended.depth, ended.reason) == (exit, depth, "full_depth" if exit else "deadline")


def test_max_ms_takes_the_median_as_typical():
    """Whether the next exit fits max_ms is judged by the graphs' median times, what was spent by the row's own."""
    manifest = make_manifest()
    slow, usual = [2.0, 2.0, 90.0, 90.0, 1.0, 1.0], [2.0, 2.0, 3.0, 3.0, 1.0, 1.0]
    rows = list(replay(planned(manifest, max_ms=12), manifest, make_trace(np.zeros((3, 3, 3)), [slow, usual, usual])))

    assert [(row.exit, row.reason) for row in rows] == [(2, "budget"), (3, "full_depth"), (3, "full_depth")]


def test_an_unknown_time_counts_as_typical():
    """A graph that was not timed for a row takes its median; without any time a clock is refused, and nothing else is."""
    manifest = make_manifest()
    gap = make_trace(np.zeros((2, 3, 3)), [[1, 1, np.nan, 1, 1, 1], [1, 1, 5, 1, 1, 1]])
    assert [row.compute_ms for row in replay(planned(manifest), manifest, gap)] == [1 + 5 + 1 + 1] * 2

    never = make_trace(FLAT, [[1, 1, np.nan, 1, 1, 1]])
    assert only(planned(manifest, confidence=0.9), manifest, never).compute_ms == 5
    for clock in ({"deadline_ms": 50}, {"max_ms": 50}):
        with pytest.raises(TraceError, match="no time of stage 2's body"):
            list(replay(planned(manifest, **clock), manifest, never))
    assert only(planned(manifest, deadline_ms=50, max_exit=1), manifest, never).reason == "max_exit"


def test_reads_calibrated_outcomes():
    """Replay divides by the bundle's temperatures, as the live service does."""
    logits = np.array([[[2.0, 0.0, 0.0]] * 2])
    cold, warm = make_manifest(2), make_manifest(2, temperature=[[4.0], [1.0]])
    ended = [only(planned(m, confidence=0.7), m, make_trace(logits)).exit for m in (cold, warm)]

    assert ended == [1, 2]


def test_an_exit_that_was_not_recorded_is_refused():
    """A row that reaches an exit whose outputs are NaN stops the replay; one that stops before does not."""
    logits = np.full((1, 3, 3), np.nan)
    logits[0, 0] = [9.0, 0.0, 0.0]
    manifest = make_manifest()

    assert only(planned(manifest, confidence=0.9), manifest, make_trace(logits)).exit == 1
    with pytest.raises(HeadOutputInvalid):
        only(planned(manifest, confidence=0.9999), manifest, make_trace(logits))


def test_no_rows_replay_to_nothing():
    """An empty trace has no ends, under a clock or not."""
    manifest = make_manifest()
    empty = make_trace(np.zeros((0, 3, 3)))

    assert list(replay(planned(manifest), manifest, empty)) == []
    assert list(replay(planned(manifest, deadline_ms=5), manifest, empty)) == []
