"""One bundle version made ready to serve: its sessions, its warm-up, its times, its programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from statistics import median

import numpy as np

from anytime.model_store.bundle import Bundle
from anytime.model_store.flow import Node, Slot
from anytime.model_store.manifest import Manifest
from anytime.model_store.tensors import DTYPES, ROW_AXIS, Dims, bind
from anytime.policy import Policy, Reader, check_default, make_plan, merge, resolve
from anytime.service.engine.program import Call, Compiler, Program
from anytime.service.engine.runner import Runner, check_outputs
from anytime.service.engine.timing import Timing, Timings
from anytime.service.errors import ModelFailed

_PROGRAMS = 512
"""Programs remembered per bundle; a request with a policy seen lately pays nothing for planning."""
_SIZES = (2, 4, 8, 16, 32)
_PAYS = 0.9
"""A batch of twice the rows pays if a row then takes at most this share of its time."""
_FEWEST_TURNS, _TURNS = 3, 8
"""Runs of each size that decide it, as many as the budget allows; the first is not counted."""
Feeds = Mapping[str, np.ndarray]


class Served:
    """A bundle in memory. Not thread-safe but for ``run`` and the timings, which worker threads use under the GIL."""

    def __init__(
        self,
        bundle: Bundle,
        service_default: Policy,
        intra_op_threads: int = 1,
        warmup_s: float = 0.5,
        make_runner: Callable[[Bundle, int], Runner] = Runner,
    ) -> None:
        """Loads, warms up and profiles.

        Raises ``BundleError``, ``PolicyError`` or ``ModelFailed`` where the bundle cannot be served.
        """
        self.bundle = bundle
        self.manifest = bundle.manifest
        self.name, self.version = bundle.manifest.name, bundle.manifest.version
        self.flow = bundle.flow
        self.readers = tuple(Reader(bundle.manifest, exit) for exit in range(1, bundle.manifest.exits + 1))
        """Per exit: how its head's outputs are read."""
        bundle_default = check_default(bundle.manifest, bundle.flow)
        self._defaults = [service_default, *([bundle_default] if bundle_default else [])]
        resolve(merge(self._defaults), bundle.manifest, bundle.flow)  # what every request would meet is told now
        self._programs = lru_cache(_PROGRAMS)(self._make_program)
        self._starts: dict[int, np.ndarray] = {}
        self.runner = make_runner(bundle, intra_op_threads)
        self._compiler = Compiler(bundle.flow, self.runner.prepare, self._batch_pays, _outcome_bytes(bundle.manifest))
        self.timings = Timings(())
        self.batch_limits: tuple[int, ...] = ()
        """Per graph: the largest batch that the profile says pays."""
        self._lone: set[int] = set()
        """The graphs that take no more than one row at a time."""
        self.in_flight = 0
        """Rows admitted and not ended; a bundle with any is never unloaded."""
        self._warm_up(warmup_s)
        self.runner.started = 0

    def program(self, policy: Policy, *, stream: bool = False, trace: bool = False) -> Program:
        """The program of a request's policy over the defaults. Raises ``PolicyError``."""
        return self._programs(policy, stream, trace)

    def _make_program(self, policy: Policy, stream: bool, trace: bool) -> Program:
        resolved = resolve(merge([*self._defaults, policy]), self.manifest, self.flow)
        return self._compiler.compile(make_plan(resolved, self.flow, stream=stream, trace=trace))

    def start(self, slot: int, dims: Dims) -> np.ndarray:
        """The start value of one row, (1, ...); shared between rows, for graphs never write to what they read."""
        value = self._starts.get(slot)
        if value is not None:
            return value
        entry = self.flow.slots[slot]
        state = next(state for state in self.manifest.state if state.name == entry.name)
        if state.start == "zeros":
            value = np.zeros(bind(entry.shape, dims), DTYPES[entry.dtype])
        else:
            value = np.ascontiguousarray(self.bundle.start(entry.name)[np.newaxis])
        if all(axis == ROW_AXIS or not isinstance(axis, str) for axis in entry.shape):
            self._starts[slot] = value
        return value

    def typical_ms(self, nodes: tuple[Node, ...]) -> float:
        """What graphs usually take a row, one after another."""
        return self.timings.typical_ms(nodes)

    def evident_ms(self, nodes: tuple[Node, ...], now: float) -> float:
        """As ``typical_ms``, as far as there is evidence for it."""
        return self.timings.evident_ms(nodes, now)

    def worst_ms(self, nodes: tuple[Node, ...], now: float) -> float:
        """The longest that graphs took lately, one after another."""
        return self.timings.worst_ms(nodes, now)

    def exit_ms(self, exit: int) -> float:
        """The typical time of going straight to an exit."""
        plan_nodes = self.flow.needs(exit)
        return self.timings.typical_ms(node for node in self.flow.nodes if plan_nodes >> node.index & 1)

    def _batch_pays(self, nodes: Iterable[Node]) -> int:
        """The most rows that pay for graphs run one after another: what the slowest of them gains decides."""
        nodes = tuple(nodes)
        if any(node.index in self._lone for node in nodes):
            return 1
        slowest = max(nodes, key=lambda node: self.timings.typical_ms((node,)))
        return self.batch_limits[slowest.index]

    def _warm_up(self, budget_s: float) -> None:
        """Takes a row of zeros through every graph: checks what it writes, and measures what a batch gains in the budget."""
        end = time.perf_counter() + budget_s
        dims = {name: size.typical for name, size in self.manifest.axes.items()} | {ROW_AXIS: 1}
        values = {slot.index: self._first_value(slot, dims) for slot in self.flow.slots if slot.source != "graph"}
        measured: dict[tuple[str, tuple[str, ...]], tuple[float, int]] = {}
        timings: list[Timing] = []
        limits: list[int] = []
        for node in self.flow.nodes:
            feeds = {name: values[slot] for name, slot in node.reads}
            call = self.runner.prepare(node.graph.file, list(node.graph.writes))
            outputs, _ = call(feeds)
            self._check(node, list(node.graph.writes), outputs, dims)
            values |= _written(node, outputs)
            values = {slot: value for slot, value in values.items() if self.flow.readers(slot) >> node.index + 1}
            key = (node.graph.file, tuple(node.graph.writes))
            if key not in measured:
                left = max(0.0, end - time.perf_counter()) / (len(self.flow.nodes) - len(timings))
                row_ms = _best_ms(call, feeds)
                measured[key] = (row_ms, self._batch_limit(node, call, feeds, row_ms, left))
            row_ms, limit = measured[key]
            if not limit:
                self._lone.add(node.index)
            timings.append(Timing(row_ms, time.perf_counter()))
            limits.append(max(1, limit))
        self.timings, self.batch_limits = Timings(timings), tuple(limits)

    def _first_value(self, slot: Slot, dims: Dims) -> np.ndarray:
        return (
            np.zeros(bind(slot.shape, dims), DTYPES[slot.dtype])
            if slot.source == "input"
            else self.start(slot.index, dims)
        )

    def _batch_limit(self, node: Node, call: Call, feeds: Feeds, row_ms: float, budget_s: float) -> int:
        """The largest batch that pays; 0 where the graph takes one row at a time, which is tried whatever the budget."""
        if not self.runner.batches(node.graph.file) or not _takes_two(call, feeds):
            return 0
        limit, end = 1, time.perf_counter() + budget_s
        for size in _SIZES:
            turns = int((end - time.perf_counter()) / max((limit + size) * row_ms / 1e3, 1e-6))
            if turns < _FEWEST_TURNS:
                break
            share = _share(call, _repeated(feeds, limit), _repeated(feeds, size), min(turns, _TURNS))
            if share > _PAYS:
                break
            limit, row_ms = size, share * row_ms
        return limit

    def _check(self, node: Node, fetches: list[str], outputs: list[np.ndarray], dims: Dims) -> None:
        states = {tensor: self.flow.slots[slot] for tensor, slot in node.writes}
        heads = dict(node.outputs)
        labels = dict(zip(self.manifest.logits_names, map(len, self.manifest.level_labels), strict=True))
        wanted = []
        for tensor, output in zip(fetches, outputs, strict=True):
            if tensor in states:
                wanted.append((states[tensor].dtype, bind(states[tensor].shape, dims)))
            else:
                wanted.append((str(output.dtype), (dims[ROW_AXIS], labels.get(heads[tensor], 1))))
        check_outputs(node.graph.file, fetches, outputs, wanted)


def _outcome_bytes(manifest: Manifest) -> int:
    """Of one outcome: the raw logits and a float64 copy of each level, and the scalar outputs."""
    return 16 * sum(len(labels) + 1 for labels in manifest.level_labels) + 64


def _written(node: Node, outputs: list[np.ndarray]) -> dict[int, np.ndarray]:
    """By slot, what a graph wrote of the state."""
    slots = dict(node.writes)
    return {slots[name]: value for name, value in zip(node.graph.writes, outputs, strict=True) if name in slots}


def _best_ms(call: Call, feeds: Feeds) -> float:
    """Milliseconds of one run: the best of three after one that is not counted."""
    call(feeds)
    return min(call(feeds)[1] for _ in range(3)) * 1e3


def _share(call: Call, fewer: Feeds, more: Feeds, runs: int) -> float:
    """What a row takes among more rows, as a share of its time among fewer: by their best runs, or by the median of
    pairs of runs if that is more.

    They take turns, for a machine that is slow for a moment must not decide how requests are served from then on.
    """
    times = _rows(more) / _rows(fewer)
    turns = [(call(fewer)[1], call(more)[1] / times) for _ in range(runs)][1:]
    few, many = zip(*turns, strict=True)
    share: float = max(min(many) / min(few), median(m / f for f, m in turns))
    return share


def _takes_two(call: Call, feeds: Feeds) -> bool:
    """Whether a graph runs with two rows and writes two."""
    try:
        outputs, _ = call(_repeated(feeds, 2))
    except ModelFailed:
        return False
    return all(output.shape[:1] == (2,) for output in outputs)


def _rows(feeds: Feeds) -> int:
    return len(next(iter(feeds.values())))


def _repeated(feeds: Feeds, rows: int) -> dict[str, np.ndarray]:
    return {name: np.repeat(value, rows, axis=0) for name, value in feeds.items()}
