"""Nothing calls home: ONNX Runtime's official builds send telemetry unless an environment variable says no beforehand."""

from __future__ import annotations

import os


def silence_runtime() -> None:
    """To be called before ``onnxruntime`` is first imported; afterwards it is too late. Who set the variable is obeyed."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
