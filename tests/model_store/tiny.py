"""The smallest bundle with a body, a state with a start file, two exits and a symbolic axis: what most tests break."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

LABELS = ["cat", "dog", "eel"]
WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3) / 10


def model(nodes, inputs, outputs, weights=(), **graph):
    """An ONNX model; ``inputs`` and ``outputs`` are {name: (dtype, shape)}, ``weights`` {name: array}."""

    def values(named):
        return [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
            for name, (dtype, shape) in named.items()
        ]

    tensors = [numpy_helper.from_array(array, name) for name, array in dict(weights).items()]
    proto = helper.make_graph(nodes, "tiny", values(inputs), values(outputs), tensors, **graph)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(proto, opset_imports=opsets, ir_version=10)


def body() -> onnx.ModelProto:
    """(batch, 4) + (batch, 4) -> (batch, 4)"""
    return model(
        [helper.make_node("Add", ["x", "m"], ["y"])],
        {"x": ("float32", ["batch", 4]), "m": ("float32", ["n", 4])},
        {"y": ("float32", ["batch", 4])},
    )


def head() -> onnx.ModelProto:
    """(batch, 4) -> (batch, 3)"""
    return model(
        [helper.make_node("MatMul", ["y", "w"], ["scores"])],
        {"y": ("float32", ["batch", 4])},
        {"scores": ("float32", ["batch", 3])},
        {"w": WEIGHT},
    )


def draft() -> dict:
    """A draft for ``write_bundle``: two exits; body 2 adds ``memory``, which starts from a file."""
    first = {"head": {"file": "head.onnx", "reads": {"y": "image"}, "writes": {"scores": "logits"}}}
    second = {
        "body": {"file": "body.onnx", "reads": {"x": "image", "m": "memory"}, "writes": {"y": "memory"}},
        "head": {"file": "head.onnx", "reads": {"y": "memory"}, "writes": {"scores": "logits"}},
    }
    return {
        "name": "tiny",
        "created": "2024-05-06T07:08:09Z",
        "task": "classification",
        "inputs": [{"name": "image", "dtype": "float32", "shape": ["batch", 4]}],
        "labels": list(LABELS),
        "state": [{"name": "memory", "dtype": "float32", "shape": ["batch", 4], "start": {"file": "memory.npy"}}],
        "stages": copy.deepcopy([first, second]),
    }


def files() -> dict:
    return {"head.onnx": head(), "body.onnx": body(), "memory.npy": np.array([1, 2, 3, 4], np.float32)}


def manifest() -> dict:
    """The whole manifest as plain data, its files not on any disk."""
    raw = draft()
    for stage in raw["stages"]:
        for graph in stage.values():
            graph.update(macs=12, params=12)
    named = {name: {"sha256": "0" * 64, "bytes": 10} for name in files()}
    return {**raw, "format": 1, "version": 1, "method": "custom", "files": named}


def as_json(raw: object) -> bytes:
    return json.dumps(raw).encode()


def rewrite(folder: Path, path: str, data: bytes) -> None:
    """Replace or add a file of a bundle and hash it anew, so that only what is in it can be wrong."""
    (folder / path).write_bytes(data)
    raw = json.loads((folder / "manifest.json").read_text())
    raw["files"][path] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / "manifest.json").write_bytes(as_json(raw))


def edit(folder: Path, change) -> None:
    """Change the plain data of a bundle's manifest in place."""
    raw = json.loads((folder / "manifest.json").read_text())
    change(raw)
    (folder / "manifest.json").write_bytes(as_json(raw))
