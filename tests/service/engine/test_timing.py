"""Typical and worst times of a graph, on a clock of the test's own."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from anytime.service.engine.timing import AGE_S, PROBE_S, RUNS, Timing, Timings
from tests.policy.conftest import make_manifest, planned


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


def nodes_of(count: int):
    return planned(make_manifest(count)).flow.nodes


def test_a_run_counts_as_soon_as_somebody_asks():
    """Each graph of a run that was put down is in what is said next, per row where that is asked for."""
    first, second = nodes_of(1)
    timings = Timings([Timing(7.0), Timing(7.0)])
    assert timings.typical_ms([first, second]) == 14.0
    timings.add(0.0, [(first, 2.0), (second, 6.0)], 2)
    assert (timings.typical_ms([first]), timings.typical_ms([second])) == (1.0, 3.0)
    timings.add(0.0, [(first, 4.0)], 1)
    assert timings.worst_ms([first, second], 0.0) == 4.0 + 6.0
    timings.add(0.0, [(second, 8.0)], 1)
    assert timings.evident_ms([second], 0.0) == 5.5


def test_runs_that_nobody_asks_about_do_not_pile_up():
    """After so many runs they are read all the same."""

    class Heard(Timing):
        __slots__ = ("times",)

        def __init__(self) -> None:
            super().__init__()
            self.times = 0

        def add(self, now, run_ms, rows):
            self.times += 1

    (node, _), heard = nodes_of(1), Heard()
    timings = Timings([heard])
    for _ in range(RUNS):
        timings.add(0.0, [(node, 2.0)], 1)
    assert heard.times > RUNS // 2


def test_many_threads_may_add_and_ask():
    """Threads that put runs down and ask at once see no half-read figure, and every run counts once."""
    (node, _) = nodes_of(1)
    counted: list[float] = []

    class Counting(Timing):
        __slots__ = ()

        def add(self, now, run_ms, rows):
            counted.append(run_ms)
            super().add(now, run_ms, rows)

    timings = Timings([Counting()])

    def work(thread: int) -> None:
        for n in range(3000):
            now = n / 10.0  # every look remembers anew
            timings.add(now, [(node, 1.0 + (3000 * thread + n) % 5)], 1)
            assert 1.0 <= timings.typical_ms([node]) <= 5.0
            assert 1.0 <= timings.worst_ms([node], now) <= 5.0

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(work, range(4)))
    finally:
        sys.setswitchinterval(before)
    assert len(counted) == 4 * 3000
