"""What Prometheus sees. Names and labels as in the design; times in seconds, buckets from 50 microseconds up.

Counting happens on the hot path, once per graph: so the tallies are plain lists, and ``prometheus_client`` only writes them
out. Each tally has one writer at a time: the engine's lock, the event loop or, for what graphs took, a lock of its own.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from anytime.model_store.flow import Node
from anytime.policy import Walk

SECONDS = (
    5e-5, 1e-4, 2e-4, 4e-4, 8e-4, 1.5e-3, 3e-3, 6e-3, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8,
)  # fmt: skip
DEPTHS = tuple(float(depth) for depth in range(1, 65))
RATIOS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_UNCOUNTED = 16
"""Runs that wait to be counted at most: they are counted together, and not each between two graphs."""


class Histograms:
    """One histogram per set of label values."""

    def __init__(self, name: str, help: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        self._name, self._help, self._labels, self._buckets = name, help, labels, buckets
        self._series: dict[tuple[object, ...], list[float]] = {}

    def observe(self, value: float, *labels: object) -> None:
        """Counts one value; the last entry of a series is the sum, the rest are its buckets."""
        series = self._series.get(labels) or self.start(*labels)
        series[bisect_left(self._buckets, value)] += 1.0
        series[-1] += value

    def start(self, *labels: object) -> list[float]:
        """The series of these labels, from now on there."""
        return self._series.setdefault(labels, [0.0] * (len(self._buckets) + 2))

    def collect(self) -> Metric:
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        bounds = [*map(str, self._buckets), "+Inf"]
        for labels, series in list(self._series.items()):
            total, cumulative = 0.0, []
            for bound, count in zip(bounds, series[:-1], strict=True):
                total += count
                cumulative.append((bound, total))
            family.add_metric([str(label) for label in labels], buckets=cumulative, sum_value=series[-1])
        return family


class Counters:
    """One counter per set of label values."""

    def __init__(self, name: str, help: str, labels: Sequence[str]) -> None:
        self._name, self._help, self._labels = name, help, labels
        self._series: dict[tuple[str, ...], float] = {}

    def add(self, amount: float, *labels: str) -> None:
        self._series[labels] = self._series.get(labels, 0.0) + amount

    def collect(self) -> Metric:
        family = CounterMetricFamily(self._name, self._help, labels=self._labels)
        for labels, value in list(self._series.items()):
            family.add_metric(labels, value)
        return family


class Gauges:
    """Values that are read when Prometheus asks."""

    def __init__(self) -> None:
        self._read: list[tuple[str, str, Callable[[], float]]] = []

    def add(self, name: str, help: str, read: Callable[[], float]) -> None:
        self._read.append((name, help, read))

    def collect(self) -> Iterator[Metric]:
        for name, help, read in self._read:
            yield GaugeMetricFamily(name, help, value=read())


class Metrics(Collector):
    """All that the service counts."""

    def __init__(self) -> None:
        model, version = ["model"], ["model", "version"]
        self._admitted = Counters("anytime_rows_admitted", "Rows let in.", model)
        self._rows = Counters("anytime_rows", "Rows that ended: answered, cancelled, failed.", ["model", "end"])
        self._depth = Histograms("anytime_exit_depth", "Deepest exit whose head finished.", version, DEPTHS)
        self._stops = Counters("anytime_stops", "Answered rows by what stopped them.", [*version, "reason"])
        self._request = Histograms(
            "anytime_request_seconds", "Request's head to the reply's last byte.", model, SECONDS
        )
        self._first = Histograms(
            "anytime_first_prediction_seconds", "Request's head to a row's first exit.", model, SECONDS
        )
        self._queue = Histograms(
            "anytime_queue_seconds", "Admission to the start of a row's first graph.", model, SECONDS
        )
        self._graph = Histograms("anytime_graph_seconds", "One run of a graph.", ["model", "stage", "part"], SECONDS)
        self._batch = Histograms("anytime_batch_rows", "Rows that shared a run.", ["model", "stage"], ROWS)
        self._cost = Histograms("anytime_cost_ratio", "Multiply-adds over full depth's.", model, RATIOS)
        self._saved = Counters("anytime_saved_macs", "Multiply-adds that full depth would have cost more.", model)
        self._missed = Counters("anytime_deadline_misses", "Rows whose deadline passed without an answer.", model)
        self._late = Histograms(
            "anytime_lateness_seconds", "Last byte after the deadline; 0 if in time.", model, SECONDS
        )
        self._shed = Counters("anytime_shed", "Rows refused, by the error's code.", ["model", "code"])
        self._ran: deque[tuple[str, Iterable[tuple[Node, float]], int]] = deque()
        self._counting = threading.Lock()
        self.gauges = Gauges()
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def collect(self) -> Iterator[Metric]:
        self._count_runs()
        for family in (
            self._admitted, self._rows, self._depth, self._stops, self._request, self._first, self._queue, self._graph,
            self._batch, self._cost, self._saved, self._missed, self._late, self._shed,
        ):  # fmt: skip
            yield family.collect()
        yield from self.gauges.collect()

    def exposition(self) -> bytes:
        """The text that ``/metrics`` answers with."""
        return generate_latest(self.registry)

    def known(self, model: str) -> None:
        """A model is served: its series begin at 0, so that ``rate()`` sees the first miss."""
        for counters in (self._admitted, self._saved, self._missed):
            counters.add(0.0, model)
        for histograms in (self._request, self._first, self._queue, self._cost, self._late):
            histograms.start(model)

    def admitted(self, model: str, rows: int) -> None:
        self._admitted.add(rows, model)

    def shed(self, model: str, code: str, rows: int) -> None:
        self._shed.add(rows, model, code)

    def queued(self, model: str, seconds: float) -> None:
        self._queue.observe(seconds, model)

    def first_prediction(self, model: str, seconds: float) -> None:
        self._first.observe(seconds, model)

    def ran(self, model: str, graphs: Iterable[tuple[Node, float]], rows: int) -> None:
        """Graphs that ran one after another for the same rows, and the milliseconds each took. Called by any thread."""
        self._ran.append((model, graphs, rows))
        if len(self._ran) >= _UNCOUNTED:
            self._count_runs()

    def _count_runs(self) -> None:
        with self._counting:
            while self._ran:
                model, graphs, rows = self._ran.popleft()
                stage = 0
                for node, ms in graphs:
                    self._graph.observe(ms / 1e3, model, node.stage, node.part)
                    if node.stage != stage:
                        stage = node.stage
                        self._batch.observe(rows, model, stage)

    def request(self, model: str, seconds: float) -> None:
        self._request.observe(seconds, model)

    def lateness(self, model: str, seconds: float, rows: int) -> None:
        """Of one reply with a deadline, for each of its rows; negative: in time."""
        for _ in range(rows):
            self._late.observe(max(0.0, seconds), model)

    def deadline_missed(self, model: str) -> None:
        self._missed.add(1.0, model)

    def ended(self, model: str, end: str) -> None:
        """A row ended: ``answered``, ``cancelled`` or ``failed``."""
        self._rows.add(1.0, model, end)

    def answered(self, model: str, version: int, walk: Walk) -> None:
        """A row was answered: how deep it went, what stopped it, what it cost."""
        assert walk.decision is not None and walk.decision.reason is not None
        number = str(version)
        self._depth.observe(walk.depth, model, number)
        self._stops.add(1.0, model, number, walk.decision.reason)
        self._cost.observe(walk.cost, model)
        self._saved.add(max(0, walk.plan.flow.macs_full - walk.macs), model)
