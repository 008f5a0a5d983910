"""The only place of the service that knows ONNX Runtime: sessions of one bundle, one run at a time per call."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from anytime.model_store.blocked import runnable
from anytime.model_store.bundle import Bundle
from anytime.model_store.errors import GraphMismatch, GraphUnreadable
from anytime.model_store.telemetry import silence_runtime
from anytime.service.engine.program import Call
from anytime.service.errors import ModelFailed

silence_runtime()

import onnxruntime as ort  # noqa: E402  # silent only from here on

ort.set_default_logger_severity(3)  # warnings about graphs are not the operator's to act on; errors are raised anyway


class Runner:
    """One ``InferenceSession`` per distinct file: explicit threads, no spinning, no arena (its high-water mark stays)."""

    def __init__(self, bundle: Bundle, intra_op_threads: int = 1) -> None:
        """Raises ``GraphUnreadable`` where ONNX Runtime refuses a file that ``onnx`` could read, or it is gone."""
        self._sessions: dict[str, ort.InferenceSession] = {}
        self.started = 0
        """Runs begun on all threads; counted anew from the warm-up on."""
        options = _options(intra_op_threads)
        for node in bundle.flow.nodes:
            file = node.graph.file
            if file in self._sessions:
                continue
            try:
                model = runnable(bundle.path(file))
                session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            except Exception as error:  # ORT raises a dozen unrelated types here
                fault = _first_line(error).replace(str(bundle.path(file)), file)
                raise GraphUnreadable(f"ONNX Runtime cannot load {file}: {fault}") from error
            session._model_bytes = None  # else it holds what it was made of for as long as it lives
            self._sessions[file] = session

    def batches(self, file: str) -> bool:
        """Whether a graph takes more than one row: some are exported with the row axis fixed at 1."""
        return all(not entry.shape or entry.shape[0] != 1 for entry in self._sessions[file].get_inputs())

    def prepare(self, file: str, fetches: Sequence[str]) -> Call:
        """A call of one graph that fetches these outputs.

        It gives the outputs, each (rows, ...), and the seconds it took. It raises ``ModelFailed``, whose message names no
        path.
        """
        # The session beneath the one that Python sees: what ``InferenceSession.run`` looks up before it calls this one takes
        # 2 us a graph in a tight loop and twice that beside a real network, and is true of every feed that a plan makes.
        run, clock, names = self._sessions[file]._sess.run, time.perf_counter, list(fetches)

        def call(feeds: Mapping[str, np.ndarray]) -> tuple[list[np.ndarray], float]:
            self.started += 1
            start = clock()
            try:
                outputs = run(names, feeds, None)
            except Exception as error:  # ORT raises a dozen unrelated types here too
                raise ModelFailed(f"the model failed on this input: {_first_line(error)}") from error
            return outputs, clock() - start

        return call


Kind = tuple[str, tuple[int, ...]]
"""The dtype and shape of an output."""


def check_outputs(file: str, names: Sequence[str], outputs: Sequence[np.ndarray], wanted: Sequence[Kind]) -> None:
    """Raises ``GraphMismatch`` where a run's outputs are not of the dtype and shape that the manifest promises."""
    for name, output, (dtype, shape) in zip(names, outputs, wanted, strict=True):
        if str(output.dtype) != dtype or output.shape != shape:
            raise GraphMismatch(
                f"{file} wrote {name} as {output.dtype} {output.shape}; the manifest says {dtype} {shape}"
            )


def _options(intra_op_threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _first_line(error: BaseException) -> str:
    """ONNX Runtime's message without its bracketed prefix, its source paths and what follows the first line."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.rsplit("] : ", 1)[-1].split("/onnxruntime_src/", 1)[0][:300]
