"""One bundle version made ready to serve: its sessions, its warm-up, its times, its programs."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from anytime.model_store.bundle import Bundle
from anytime.model_store.flow import Node
from anytime.model_store.tensors import DTYPES, ROW_AXIS, Dims, bind
from anytime.policy import Policy, check_default, make_plan, merge, resolve
from anytime.service.engine.program import Compiler, Program
from anytime.service.engine.runner import Runner, check_outputs
from anytime.service.engine.timing import Timing

_PROGRAMS = 512
"""Programs remembered per bundle; a request with a policy seen lately pays nothing for planning."""
_SIZES = (2, 4, 8, 16, 32)
_PAYS = 0.9
"""A batch of twice the rows pays if a row then takes at most this share of its time."""


@dataclass(frozen=True, slots=True)
class _Ask:
    policy: Policy
    stream: bool
    trace: bool


class Served:
    """A bundle in memory. Not thread-safe but for ``run`` and the timings, which worker threads use under the GIL."""

    def __init__(
        self, bundle: Bundle, service_default: Policy, intra_op_threads: int = 1, warmup_s: float = 0.5
    ) -> None:
        """Loads, warms up and profiles. Raises ``BundleError`` or ``PolicyError`` where the bundle cannot be served."""
        self.bundle = bundle
        self.manifest = bundle.manifest
        self.flow = bundle.flow
        bundle_default = check_default(bundle.manifest, bundle.flow)
        self._defaults = [service_default, *([bundle_default] if bundle_default else [])]
        self._programs: OrderedDict[_Ask, Program] = OrderedDict()
        self._compiler = Compiler(bundle.flow, self._batch_pays)
        self._starts: dict[int, np.ndarray] = {}
        self.runner = Runner(bundle, intra_op_threads)
        self.timings: tuple[Timing, ...] = ()
        self.batch_limits: tuple[int, ...] = ()
        """Per graph: the largest batch that the profile says pays."""
        self.in_flight = 0
        """Rows admitted and not ended; a bundle with any is never unloaded."""
        self._warm_up(warmup_s)

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> int:
        return self.manifest.version

    def program(self, policy: Policy, *, stream: bool = False, trace: bool = False) -> Program:
        """The program of a request's policy over the defaults. Raises ``PolicyError``."""
        ask = _Ask(policy, stream, trace)
        program = self._programs.get(ask)
        if program is None:
            resolved = resolve(merge([*self._defaults, policy]), self.manifest, self.flow)
            program = self._compiler.compile(make_plan(resolved, self.flow, stream=stream, trace=trace))
            self._programs[ask] = program
            if len(self._programs) > _PROGRAMS:
                self._programs.popitem(last=False)
        return program

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
        return sum([self.timings[node.index].typical() for node in nodes])

    def worst_ms(self, nodes: tuple[Node, ...], now: float) -> float:
        """The longest that graphs took lately, one after another."""
        return sum([self.timings[node.index].worst(now) for node in nodes])

    def exit_ms(self, exit: int) -> float:
        """The typical time of going straight to an exit."""
        plan_nodes = self.flow.needs(exit)
        return sum(self.timings[node.index].typical() for node in self.flow.nodes if plan_nodes >> node.index & 1)

    def _batch_pays(self, nodes: Iterable[Node]) -> int:
        """The most rows that pay for graphs run one after another: what the slowest of them gains decides."""
        slowest = max(nodes, key=lambda node: self.timings[node.index].typical())
        return self.batch_limits[slowest.index]

    def _warm_up(self, budget_s: float) -> None:
        """Runs every graph on zeros: checks what it writes, and measures what a batch gains, within the budget."""
        end = time.perf_counter() + budget_s
        measured: dict[tuple[str, tuple[str, ...]], tuple[Timing, int]] = {}
        timings: list[Timing] = []
        limits: list[int] = []
        for node in self.flow.nodes:
            key = (node.graph.file, tuple(node.graph.writes))
            if key not in measured:
                row_ms = self._measure(node, 1, check=True)
                left = max(0.0, end - time.perf_counter()) / (len(self.flow.nodes) - len(timings))
                measured[key] = (Timing(row_ms), self._batch_limit(node, row_ms, left))
            row_timing, limit = measured[key]
            timings.append(Timing(row_timing.typical()))
            limits.append(limit)
        self.timings, self.batch_limits = tuple(timings), tuple(limits)

    def _batch_limit(self, node: Node, row_ms: float, budget_s: float) -> int:
        if not self.runner.batches(node.graph.file):
            return 1
        limit, end = 1, time.perf_counter() + budget_s
        for size in _SIZES:
            if time.perf_counter() + 4 * size * row_ms / 1e3 > end:
                break
            each = self._measure(node, size) / size
            if each > _PAYS * row_ms:
                break
            limit, row_ms = size, each
        return limit

    def _measure(self, node: Node, rows: int, *, check: bool = False) -> float:
        """Milliseconds of one run on zeros: the best of three after one that is not counted."""
        dims = {name: size.typical for name, size in self.manifest.axes.items()} | {ROW_AXIS: rows}
        slots = self.flow.slots
        feeds = {name: np.zeros(bind(slots[s].shape, dims), DTYPES[slots[s].dtype]) for name, s in node.reads}
        fetches = list(node.graph.writes)
        best = math.inf
        for turn in range(4):
            outputs, seconds = self.runner.run(node.graph.file, fetches, feeds)
            if turn == 0 and check:
                self._check(node, fetches, outputs, dims)
            elif turn > 0:
                best = min(best, seconds * 1e3)
        return best

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
