"""Running every stage of a bundle over rows whose labels are known: traces, the input of evaluation and calibration."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from anytime.model_store import Bundle, Flow, Node
from anytime.model_store.blocked import runnable
from anytime.model_store.telemetry import silence_runtime
from anytime.model_store.tensors import ROW_AXIS
from anytime.policy import Trace

silence_runtime()

import onnxruntime as ort  # noqa: E402  # silent only from here on


class Recorder:
    """A bundle's graphs, loaded and warmed up once, for rows that come in pieces."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._sessions = open_sessions(bundle)
        self._is_warm = False

    def record(self, inputs: Mapping[str, np.ndarray], label: np.ndarray | None = None) -> Trace:
        """As ``record``. Before the first row of all every graph runs once untimed: first runs allocate."""
        rows = len(next(iter(inputs.values())))
        flow, manifest = self._bundle.flow, self._bundle.manifest
        ms = np.empty((rows, len(flow.nodes)))
        columns = dict(zip(manifest.logits_names, map(len, manifest.level_labels), strict=True))
        written = {name for node in flow.heads for _, name in node.outputs}
        outputs = {name: np.full((rows, flow.exits, *([columns[name]] if name in columns else [])), np.nan, np.float32)
                   for name in sorted(written)}  # fmt: skip
        for row in range(rows):
            for node, said, elapsed_ms in self._run(inputs, row):
                ms[row, node.index] = elapsed_ms
                for name, values in said.items():
                    outputs[name][row, node.stage - 1] = values[0] if name in columns else values[0, 0]
        known = np.full(rows, -1) if label is None else label
        return Trace(outputs, ms, known.astype(np.int64))

    def _run(self, inputs: Mapping[str, np.ndarray], row: int) -> Iterator[tuple[Node, dict[str, np.ndarray], float]]:
        one = {name: values[row : row + 1] for name, values in inputs.items()}
        if not self._is_warm:
            self._is_warm = True
            list(walk(self._bundle.flow, self._sessions, starts(self._bundle, one)))
        return walk(self._bundle.flow, self._sessions, starts(self._bundle, one))


def record(bundle: Bundle, inputs: Mapping[str, np.ndarray], label: np.ndarray | None = None) -> Trace:
    """Every exit's raw head outputs and every graph's milliseconds, for each row by itself, as an idle service has it.

    ``inputs``: (rows, ...) by input name; ``label``: (rows,), the index of the right label. The plain loop: no policy, no
    graph skipped. Head outputs that an exit lacks are NaN.
    """
    return Recorder(bundle).record(inputs, label)


def join(traces: Sequence[Trace]) -> Trace:
    """The rows of several traces of one bundle, at least one, as one trace."""
    return Trace(
        {name: np.concatenate([trace.outputs[name] for trace in traces]) for name in traces[0].outputs},
        np.concatenate([trace.ms for trace in traces]),
        np.concatenate([trace.label for trace in traces]),
    )


def walk(
    flow: Flow, sessions: Mapping[str, ort.InferenceSession], slots: dict[int, np.ndarray]
) -> Iterator[tuple[Node, dict[str, np.ndarray], float]]:
    """Each graph in the bundle's order: what its head wrote, by head output name, and the milliseconds it took."""
    for node in flow.nodes:
        feeds = {tensor: slots[slot] for tensor, slot in node.reads}
        fetches = [tensor for tensor, _ in (*node.writes, *node.outputs)]
        start = time.perf_counter()
        results = sessions[node.graph.file].run(fetches, feeds)
        elapsed_ms = (time.perf_counter() - start) * 1000.0
        slots |= {slot: value for (_, slot), value in zip(node.writes, results, strict=False)}
        said = {name: value for (_, name), value in zip(node.outputs, results[len(node.writes) :], strict=True)}
        yield node, said, elapsed_ms


def starts(bundle: Bundle, inputs: Mapping[str, np.ndarray]) -> dict[int, np.ndarray]:
    """The slots that are there before anything runs, by index, (rows, ...): inputs and starts."""
    rows = len(next(iter(inputs.values())))
    dims = {axis: size for entry in bundle.manifest.inputs
            for axis, size in zip(entry.shape, inputs[entry.name].shape, strict=True)
            if isinstance(axis, str) and axis != ROW_AXIS}  # fmt: skip
    values = {"input": lambda name: inputs[name], "start": lambda name: np.stack([bundle.start(name, dims)] * rows)}
    return {slot.index: values[slot.source](slot.name) for slot in bundle.flow.slots if slot.source in values}


def open_sessions(bundle: Bundle) -> dict[str, ort.InferenceSession]:
    """Each file of the stages as a session of one thread, of the same model as the service's."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return {
        file: ort.InferenceSession(runnable(bundle.path(file)), options, providers=["CPUExecutionProvider"])
        for file in {node.graph.file for node in bundle.flow.nodes}
    }
