"""Typical and worst times of a graph, on a clock of the test's own."""

from __future__ import annotations

from anytime.service.engine.timing import AGE_S, PROBE_S, RUNS, Timing


def test_before_the_first_run_the_warm_up_speaks():
    """Typical and worst are the warm-up's until something was measured."""
    timing = Timing(7.0)
    assert (timing.typical(), timing.worst(0.0)) == (7.0, 7.0)


def test_typical_is_the_median_per_row():
    """A run of four rows counts a quarter of its time, and one outlier does not move what is typical."""
    timing = Timing(7.0)
    for now, (run_ms, rows) in enumerate([(8.0, 4), (2.0, 1), (500.0, 1)]):
        timing.add(float(now), run_ms, rows)
    assert timing.typical() == 2.0


def test_worst_is_the_longest_run():
    """The worst is a whole run's time, known at once; a warm-up that took longer no longer counts."""
    timing = Timing(9.0)
    timing.add(0.0, 2.0, 1)
    assert timing.worst(0.0) == 2.0
    timing.add(0.1, 5.0, 1)
    assert timing.worst(0.1) == 5.0
    timing.add(0.2, 1.0, 1)
    assert timing.worst(0.2) == 5.0


def test_a_batch_says_little_of_a_row_by_itself():
    """The worst is of batches only as long as no row ran by itself."""
    timing = Timing(1.0)
    timing.add(0.0, 64.0, 32)
    assert timing.worst(0.0) == 64.0
    timing.add(0.3, 2.0, 1)
    assert timing.worst(1.0) == 2.0
    timing.add(1.1, 64.0, 32)
    assert timing.worst(2.0) == 2.0


def test_worst_forgets_what_is_old():
    """After ``AGE_S`` a slow run no longer counts; without any younger one the warm-up speaks again."""
    timing = Timing(3.0)
    timing.add(0.0, 50.0, 1)
    timing.add(6.0, 4.0, 1)
    assert timing.worst(AGE_S) == 50.0
    assert timing.worst(AGE_S + 1.0) == 4.0
    assert timing.worst(6.0 + AGE_S + 1.0) == 3.0


def test_worst_forgets_what_is_many_runs_ago():
    """Of more than ``RUNS`` runs the first no longer count."""
    timing = Timing()
    timing.add(0.0, 50.0, 1)
    for n in range(RUNS):
        timing.add(1.0 + n / 1000.0, 2.0, 1)
    assert timing.worst(2.0) == 2.0


def test_many_runs_in_a_moment_are_followed():
    """What is typical follows a change of speed within a second, however many runs there are."""
    timing = Timing()
    for n in range(1000):
        timing.add(n / 1000.0, 1.0 if n < 500 else 9.0, 1)
    assert timing.typical() == 9.0


def test_evidence_grows_old():
    """What is older than ``AGE_S`` claims no more than the warm-up did."""
    timing = Timing(3.0, now=100.0)
    timing.add(100.0, 50.0, 1)
    assert timing.evident(100.0 + AGE_S) == 50.0
    assert timing.evident(101.0 + AGE_S) == 3.0


def test_after_a_minute_one_request_may_probe():
    """Without a run for ``PROBE_S`` there is no evidence, for one asker; the next is told the old figure again."""
    timing = Timing(3.0, now=100.0)
    assert timing.evident(101.0 + PROBE_S) == 0.0
    assert timing.evident(101.5 + PROBE_S) == 3.0
    timing.add(102.0 + PROBE_S, 1.0, 1)
    assert timing.evident(103.0 + PROBE_S) == 1.0
