"""How long an ONNX network takes for a row, here and now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from anytime.model_store import Manifest
from anytime.model_store.telemetry import silence_runtime
from anytime.training.attach.inputs import Axes, NetworkInput, read_inputs, sized
from anytime.training.errors import BadClassifier

silence_runtime()

import onnxruntime as ort  # noqa: E402  # silent only from here on

_WARM_UPS = 5


def time_network(path: Path, manifest: Manifest, runs: int = 100) -> float:
    """Median milliseconds of one row on one thread. Open axes have the bundle's usual sizes, and the row is random.

    Raises ``BadClassifier`` for what is no network that ONNX Runtime takes, ``BadOption`` for an axis that the bundle lacks.
    """
    try:
        model = onnx.load(path, load_external_data=False)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except FileNotFoundError:
        raise
    except Exception as error:  # protobuf's and ONNX Runtime's own classes have no common root
        raise BadClassifier(f"{path} cannot be run: {error}; wanted an ONNX network") from error
    tensors, one_row = read_inputs(model, path.name)
    inputs = sized(tensors, _known_axes(tensors, manifest), one_row, path.name)
    row = inputs.random(inputs.typical(1))
    elapsed_ms = []
    for _ in range(_WARM_UPS + runs):
        start = time.perf_counter()
        session.run(None, row)
        elapsed_ms.append((time.perf_counter() - start) * 1000.0)
    return float(np.median(elapsed_ms[_WARM_UPS:]))


def _known_axes(tensors: Sequence[NetworkInput], manifest: Manifest) -> Axes:
    """The bundle's sizes of the open axes; one that the bundle lacks is told by ``sized``."""
    is_open = {axis for entry in tensors for axis in entry.shape[1:] if isinstance(axis, str)}
    return {axis: size for axis, size in manifest.axes.items() if axis in is_open}
