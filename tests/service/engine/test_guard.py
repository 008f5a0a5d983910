"""The guard: how far before a deadline its timer fires, learnt from how late replies were."""

from __future__ import annotations

import pytest

from anytime.service.engine.guard import Guard

LONG_S = 10.0


def test_lateness_raises_it_at_once():
    """One late reply, and the next timers fire earlier by more than that."""
    guard = Guard()
    before = guard.before(LONG_S)
    guard.learn(0.010)
    assert before < 0.010 < guard.before(LONG_S)


def test_it_comes_down_slowly():
    """After a spell of punctual replies it falls, step by step, to its floor and no lower."""
    guard = Guard(start_s=0.020)
    values = []
    for _ in range(300):
        guard.learn(0.0001)
        values.append(guard.before(LONG_S))
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.9 * 0.020
    assert values[-1] == pytest.approx(Guard.FLOOR_S)


def test_one_client_in_many_does_not_decide():
    """A client that takes minutes to read its reply is one of a hundred, and the ceiling bounds even a hundred of them."""
    guard = Guard()
    for _ in range(127):
        guard.learn(0.001)
    guard.learn(60.0)
    assert guard.before(LONG_S) < 0.005
    for _ in range(200):
        guard.learn(60.0)
    assert guard.before(LONG_S) == Guard.CEILING_S


def test_a_short_deadline_keeps_most_of_its_time():
    """However late replies are, no more than a quarter of a deadline is given up."""
    guard = Guard()
    guard.learn(1.0)
    assert guard.before(0.004) == 0.001
