"""The metrics of several processes as one exposition: what each counted, added up, that of ended processes included.

A counter must never fall, or Prometheus takes it for started anew: what a process had counted when it was last asked stays
in the sum when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

_ADDED_UP = ("counter", "histogram")
_NOT_ADDED: dict[str, Callable[[float, float], float]] = {
    "process_start_time_seconds": min,
    "process_max_fds": min,
    "python_info": max,
}
"""Gauges whose sum says nothing."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric of one process. ``samples``: (name, labels, value) each."""

    name: str
    help: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


def families(registry: CollectorRegistry) -> list[Family]:
    """All that a process has counted until now."""
    return [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            [(sample.name, dict(sample.labels), sample.value) for sample in metric.samples],
        )
        for metric in registry.collect()
    ]


def added(processes: Iterable[Sequence[Family]]) -> list[Family]:
    """The families of all of them, each once, its samples added where their labels are the same."""
    merged: dict[str, tuple[Family, dict[tuple[str, ...], float]]] = {}
    for family in (family for of_one in processes for family in of_one):
        values = merged.setdefault(family.name, (family, {}))[1]
        add = _NOT_ADDED.get(family.name, float.__add__)
        for name, labels, value in family.samples:
            key = (name, *(part for pair in labels.items() for part in pair))
            values[key] = add(values[key], float(value)) if key in values else float(value)
    return [
        Family(
            family.name,
            family.help,
            family.kind,
            [(key[0], dict(zip(key[1::2], key[2::2], strict=True)), value) for key, value in values.items()],
        )
        for family, values in merged.values()
    ]


def lasting(of_one: Iterable[Family]) -> list[Family]:
    """What stays of a process that has ended: its counters and histograms, and no gauge."""
    return [family for family in of_one if family.kind in _ADDED_UP]


def exposition(of_all: Sequence[Family]) -> str:
    """As Prometheus reads it."""
    registry = CollectorRegistry()
    registry.register(_Elsewhere(of_all))
    return generate_latest(registry).decode()


class _Elsewhere(Collector):
    """What was collected elsewhere."""

    def __init__(self, of_all: Sequence[Family]) -> None:
        self._of_all = of_all

    def collect(self) -> Iterable[Metric]:
        for family in self._of_all:
            metric = Metric(family.name, family.help, family.kind)
            metric.samples = [Sample(name, labels, value) for name, labels, value in family.samples]
            yield metric
