"""Models of any size as sessions of ONNX Runtime, and its many faults as two named errors."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx

from anytime.model_store.telemetry import silence_runtime
from anytime.training.attach.inputs import Batch
from anytime.training.errors import BadClassifier, UnsupportedOperator
from anytime.training.weights import part_weights

silence_runtime()

import numpy as np  # noqa: E402  # after the silence, as its neighbour
import onnxruntime as ort  # noqa: E402  # silent only from here on

RUNTIME = f"onnxruntime {ort.__version__}"
INLINE_BYTES = 2**30
"""Weights beyond it go to a file of their own: a protobuf must stay below twice as much."""
_UNSUPPORTED = re.compile(
    r"NOT_IMPLEMENTED|is not a registered function/op|No Op registered|Could not find an impl|"
    r"No opset import for domain|is under development and support|[Uu]nsupported (?:model )?IR"
)


def weight_bytes(model: onnx.ModelProto) -> int:
    """Bytes of a model's initializers that are held in memory."""
    return sum(tensor.ByteSize() for tensor in model.graph.initializer)


def with_outputs(model: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    """A copy of a model that gives these tensors of its main graph, of whatever type, and nothing else."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {value.name: value for value in model.graph.output}
    del copy.graph.output[:]
    copy.graph.output.extend(known.get(name) or onnx.ValueInfoProto(name=name) for name in tensors)
    return copy


def open_session(
    model: onnx.ModelProto, said: str, threads: int = 1, *, inline_bytes: int = INLINE_BYTES
) -> ort.InferenceSession:
    """A session on the CPU: explicit threads, no spinning. ``said`` names the model in messages.

    Weights beyond ``inline_bytes`` go by a temporary file.

    Raises ``UnsupportedOperator`` or ``BadClassifier`` where ONNX Runtime refuses it.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        if weight_bytes(model) <= inline_bytes:
            return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return _open_large(model, options)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types here
        raise _fault(error, f"{said}: ONNX Runtime cannot load it") from error


def run_session(session: ort.InferenceSession, names: Sequence[str], batch: Batch, said: str) -> list[np.ndarray]:
    """Some outputs on some rows, of which inputs that the model lacks are left out. Raises as ``open_session``."""
    taken = {entry.name for entry in session.get_inputs()}
    try:
        outputs: list[np.ndarray] = session.run(list(names), {k: v for k, v in batch.items() if k in taken})
    except Exception as error:  # as above
        shapes = ", ".join(f"{name} {list(values.shape)}" for name, values in batch.items() if name in taken)
        raise _fault(error, f"{said}: ONNX Runtime cannot run it on {shapes}") from error
    return outputs


def _open_large(model: onnx.ModelProto, options: ort.SessionOptions) -> ort.InferenceSession:
    """The runtime finds the weights beside the graph, and holds them once it is open."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    with tempfile.TemporaryDirectory(prefix="anytime-") as folder:
        Path(folder, "weights").write_bytes(part_weights(bare, "weights"))
        graph = Path(folder, "model.onnx")
        graph.write_bytes(bare.SerializeToString())
        return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _fault(error: Exception, said: str) -> UnsupportedOperator | BadClassifier:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    shown = text.rsplit("] : ", 1)[-1].split("/onnxruntime_src/", 1)[0][:300]
    if _UNSUPPORTED.search(text):
        return UnsupportedOperator(f"{said}: {shown}; export it with operators that ONNX Runtime's CPU provider knows")
    return BadClassifier(
        f"{said}: {shown}; export it anew, with axes that are free throughout, or fixed, and give sizes that it takes"
    )
