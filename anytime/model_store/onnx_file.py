"""An ONNX file as a protobuf, its external data left alone."""

from __future__ import annotations

from pathlib import Path

import onnx

from anytime.model_store.errors import GraphUnreadable


def read_model(location: Path, path: str) -> onnx.ModelProto:
    """The model in a file that messages call ``path``. Raises ``GraphUnreadable``."""
    return parse_model(location.read_bytes(), path)


def parse_model(data: bytes, path: str) -> onnx.ModelProto:
    """The model in ``data``. Raises ``GraphUnreadable``."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except MemoryError:
        raise
    except Exception as error:  # protobuf's DecodeError depends on its backend, and its package is not ours to import
        raise GraphUnreadable(f"{path!r} is not an ONNX model: {error}; export it anew") from error
    if model.ir_version < 1 or not model.graph.output:
        raise GraphUnreadable(f"{path!r} is not an ONNX model: it has no IR version or no output; export it anew")
    return model
