"""The network as every peer runs it: ONNX Runtime with one thread that does not spin. Knows no server."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime as ort

MODEL = "BENCHMARK_MODEL"
"""The environment variable that names the ONNX file."""


class Network:
    """One session."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(os.environ[MODEL], options, providers=["CPUExecutionProvider"])

    def logits(self, image: np.ndarray) -> np.ndarray:
        """(N, 784) -> (N, 10)"""
        logits: np.ndarray = self._session.run(["logits"], {"image": image})[0]
        return logits


def answer(logits: np.ndarray) -> dict[str, float]:
    """What a hand-written endpoint replies: the label of the first row, and its probability."""
    exponentials = np.exp(logits[0] - logits[0].max())
    index = int(exponentials.argmax())
    return {"label": index, "confidence": float(exponentials[index] / exponentials.sum())}
