"""How long a graph takes: its typical time a row and its worst time a run, from what was measured lately."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from statistics import median

from anytime.model_store.flow import Node

RUNS = 100
"""How many runs are remembered."""
AGE_S = 10.0
"""A worst time older than this no longer counts."""
PROBE_S = 60.0
"""After this long without a run, one request is let in to measure."""
_REFRESH_S = 0.25
_UNREAD = 16
"""Runs that wait to be read at most."""


class Timings:
    """The times of a bundle's graphs. A run is put down as it is and read later.

    Few ask how long a graph takes, and many graphs run: several runs are read together, and not each between two graphs.
    Called by any thread.
    """

    def __init__(self, timings: Sequence[Timing]) -> None:
        """``timings``: by the graphs' index."""
        self._timings = tuple(timings)
        self._unread: deque[tuple[float, Sequence[tuple[Node, float]], int]] = deque()
        self._lock = threading.Lock()
        """Held by whoever reads: what is asked changes what is remembered."""

    def add(self, now: float, ran: Sequence[tuple[Node, float]], rows: int) -> None:
        """Graphs that ran for the same ``rows`` rows, and the milliseconds each took."""
        self._unread.append((now, ran, rows))
        if len(self._unread) >= _UNREAD:
            with self._lock:
                self._read()

    def typical_ms(self, nodes: Iterable[Node]) -> float:
        """What graphs usually take a row, one after another: ``Timing.typical``."""
        with self._lock:
            self._read()
            return sum([self._timings[node.index].typical() for node in nodes])

    def evident_ms(self, nodes: Iterable[Node], now: float) -> float:
        """As ``typical_ms``, as far as there is evidence for it: ``Timing.evident``."""
        with self._lock:
            self._read()
            return sum([self._timings[node.index].evident(now) for node in nodes])

    def worst_ms(self, nodes: Iterable[Node], now: float) -> float:
        """The longest that graphs took lately, one after another: ``Timing.worst``."""
        with self._lock:
            self._read()
            return sum([self._timings[node.index].worst(now) for node in nodes])

    def _read(self) -> None:
        while self._unread:
            now, ran, rows = self._unread.popleft()
            for node, run_ms in ran:
                self._timings[node.index].add(now, run_ms, rows)


class Timing:
    """The times of one graph on this machine. Times in milliseconds, ``now`` in seconds of one monotonic clock."""

    __slots__ = ("_added", "_at", "_last", "_recent", "_typical", "_warm_up", "_worst")

    def __init__(self, warm_up_ms: float = 0.0, now: float = 0.0) -> None:
        """``now``: when the warm-up ran."""
        self._recent: deque[tuple[float, float, int]] = deque(maxlen=RUNS)
        self._warm_up = warm_up_ms
        self._typical = warm_up_ms
        self._worst = warm_up_ms
        self._at = -AGE_S
        self._added = 0
        self._last = now

    def add(self, now: float, run_ms: float, rows: int) -> None:
        """A run of ``rows`` rows took ``run_ms``."""
        self._recent.append((now, run_ms, rows))
        self._added += 1
        self._last = now
        if run_ms > self._worst and rows == 1:
            self._worst = run_ms
        if self._added <= 3 or now - self._at > _REFRESH_S:
            self._refresh(now)

    def typical(self) -> float:
        """The median time of a row over the last runs; before the first, the warm-up's."""
        return self._typical

    def evident(self, now: float) -> float:
        """The typical time as far as there is evidence for it: what is older than ``AGE_S`` claims no more than the warm-up.

        Where nothing was measured for ``PROBE_S`` it is 0, once: so a slow spell does not refuse requests for ever, for one
        that is let in measures anew.
        """
        age = now - self._last
        if age <= AGE_S:
            return self._typical
        if age <= PROBE_S:
            return min(self._typical, self._warm_up)
        self._last = now - AGE_S - 1e-6
        return 0.0

    def worst(self, now: float) -> float:
        """The longest of the last ``RUNS`` runs, none older than ``AGE_S``; if there is none, the warm-up's.

        Of runs of one row where there are any: how long a full batch took says little of a row by itself.
        """
        if now - self._at > _REFRESH_S:
            self._refresh(now)
        return self._worst

    def _refresh(self, now: float) -> None:
        self._at = now
        if self._recent:
            self._typical = median(run_ms / rows for _, run_ms, rows in self._recent)
        lately = [(run_ms, rows) for at, run_ms, rows in self._recent if now - at <= AGE_S]
        single = [run_ms for run_ms, rows in lately if rows == 1]
        self._worst = max(single or [run_ms for run_ms, _ in lately], default=self._warm_up)
