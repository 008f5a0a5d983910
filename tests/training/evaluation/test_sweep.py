import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anytime.model_store import build_flow
from anytime.policy import HeadOutputInvalid, PolicyOutOfRange, Trace, replay
from anytime.training.evaluation.sweep import sweep
from tests.policy.conftest import make_manifest, planned


@st.composite
def cases(draw):
    """A bundle of up to five exits and a trace of seven rows with whole milliseconds and many ties."""
    exits = draw(st.integers(1, 5))
    numbers = range(1, exits + 1)
    macs = st.integers(1, 50)
    manifest = make_manifest(
        exits,
        body_macs=[draw(st.one_of(macs, st.none(), st.integers(200, 300))) for _ in numbers],
        head_macs=[draw(macs) for _ in numbers],
        restarts=[k for k in numbers if draw(st.integers(0, 3)) == 0],
        reads_heads={k: [j for j in range(1, k) if draw(st.integers(0, 3)) == 0] for k in numbers},
        answer=draw(st.sampled_from(["latest", "most_confident", "best_validated"])),
        accuracy=[draw(st.sampled_from([0.5, 0.6, 0.7, 0.8])) for _ in numbers],
        temperature=[[draw(st.sampled_from([0.5, 1.0, 1.7]))] for _ in numbers],
    )
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    graphs = sum(1 if stage.body is None else 2 for stage in manifest.stages)
    logits = random.integers(-2, 3, size=(7, exits, 3)) * 0.5
    ms = random.integers(0, 4, size=(7, graphs)).astype(float)
    low, high = sorted((draw(st.integers(1, exits)), draw(st.integers(1, exits))))
    return manifest, Trace({"logits": logits}, ms, random.integers(0, 3, size=7)), {"min_exit": low, "max_exit": high}


def expect_replay(manifest, trace, rule, values, bounds):
    """The sweep says what the service's own walk says, to the last bit."""
    swept = sweep(manifest, build_flow(manifest), trace, rule, values, **bounds)
    for number, value in enumerate(values):
        rows = list(replay(planned(manifest, **{rule: value}, **bounds), manifest, trace))
        assert swept.exits[number].tolist() == [row.exit for row in rows]
        assert swept.accuracy[number] == np.mean([row.index for row in rows] == trace.label)
        assert swept.cost[number] == np.mean([row.cost for row in rows])
        assert swept.ms[number] == np.mean([row.compute_ms for row in rows])


@settings(max_examples=80, deadline=None)
@given(cases())
def test_a_sweep_is_the_replay_of_every_confidence(case):
    """Also at thresholds that are exactly a confidence that was said, at 0, at 1 and just below it."""
    manifest, trace, bounds = case
    said = {row.confidence for row in replay(planned(manifest), manifest, trace)}
    early = {row.confidence for row in replay(planned(manifest, max_exit=1), manifest, trace)}
    expect_replay(manifest, trace, "confidence", sorted({0.0, *said, *early, 0.6, np.nextafter(1, 0), 1.0}), bounds)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_a_sweep_is_the_replay_of_every_patience(case):
    """Up to more agreements than there are exits, which nothing reaches."""
    manifest, trace, bounds = case
    expect_replay(manifest, trace, "patience", [1, 2, 3, 4, 5, 6], bounds)


def test_what_cannot_fire_runs_no_head():
    """At threshold 1 and at a patience beyond the exits the row goes straight to full depth, past the other heads."""
    manifest = make_manifest(3, body_macs=100, head_macs=10)
    trace = Trace({"logits": np.zeros((2, 3, 3))}, np.ones((2, 6)), np.zeros(2, np.int64))
    flow = build_flow(manifest)
    assert sweep(manifest, flow, trace, "confidence", [0.9, 1.0]).cost * flow.macs_full == pytest.approx([330, 310])
    patient = sweep(manifest, flow, trace, "patience", [2, 3])
    assert patient.ms.tolist() == [6.0, 4.0]
    assert patient.exits.tolist() == [[3, 3]] * 2


def test_a_graph_without_a_time_counts_as_typical():
    """As in replay: the median of the rows that know it, and nothing where none does."""
    manifest = make_manifest(2)
    ms = np.array([[1, 1, np.nan, np.nan], [1, 1, 7, np.nan]])
    trace = Trace({"logits": np.zeros((2, 2, 3))}, ms, np.zeros(2, np.int64))
    expect_replay(manifest, trace, "confidence", [0.2, 0.5, 1.0], {})


def test_hundreds_of_labels_are_read_as_the_service_reads_them():
    """Where the service sums with NumPy, thresholds that are said to the bit still agree."""
    random = np.random.default_rng(3)
    manifest = make_manifest(3, labels=200)
    trace = Trace({"logits": random.standard_normal((20, 3, 200)) * 3}, np.ones((20, 6)), random.integers(0, 200, 20))
    said = [row.confidence for row in replay(planned(manifest, max_exit=1), manifest, trace)]
    expect_replay(manifest, trace, "confidence", sorted(said), {})


def test_what_was_not_recorded_is_refused():
    """At an exit that the rule consults; one that is never consulted may lack."""
    manifest = make_manifest(3)
    logits = np.zeros((2, 3, 3))
    logits[1, 1] = np.nan
    trace = Trace({"logits": logits}, np.ones((2, 6)), np.zeros(2, np.int64))
    with pytest.raises(HeadOutputInvalid, match="row 1 has no probabilities at exit 2"):
        sweep(manifest, build_flow(manifest), trace, "confidence", [0.9])
    assert sweep(manifest, build_flow(manifest), trace, "confidence", [1.0]).exits.tolist() == [[3, 3]]


def test_a_value_that_no_policy_takes_is_refused():
    """By the policy's own check."""
    manifest = make_manifest(2)
    trace = Trace({"logits": np.zeros((1, 2, 3))}, np.ones((1, 4)))
    with pytest.raises(PolicyOutOfRange):
        sweep(manifest, build_flow(manifest), trace, "confidence", [1.5])


def test_ten_thousand_rows_sweep_in_well_under_a_second():
    """16 exits, 100 thresholds; in processor time, so that busy neighbours do not count."""
    random = np.random.default_rng(0)
    manifest = make_manifest(16, labels=10)
    trace = Trace(
        {"logits": random.standard_normal((10_000, 16, 10)) * 4}, np.ones((10_000, 32)), random.integers(0, 10, 10_000)
    )
    start = time.process_time()
    sweep(manifest, build_flow(manifest), trace, "confidence", np.linspace(0, 1, 101).tolist())
    assert time.process_time() - start < 2.0
