"""The smallest network worth a request, 784-256-10 with random weights: next to it, the server is what takes time.

As one graph for anybody's session, as a bundle of one stage, and as one of two, with a linear exit before the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
from onnx import TensorProto, helper, numpy_helper

from anytime.model_store import Bundle, write_bundle

PIXELS, HIDDEN, LABELS = 784, 256, 10
OPSET, IR = 17, 9


@dataclass(frozen=True)
class Layer:
    """writes = reads @ weights, through a relu if ``relu``."""

    reads: str
    writes: str
    sizes: tuple[int, int]
    relu: bool = False


def image(seed: int = 0) -> np.ndarray:
    """(1, 784), float32, in 0..1, of five decimals: some 6 kB as JSON."""
    return np.random.default_rng(seed).random((1, PIXELS)).round(5).astype(np.float32)


def as_json(x: np.ndarray) -> bytes:
    """The body that every server here is sent: ``{"inputs": [[...]]}``"""
    return orjson.dumps({"inputs": x}, option=orjson.OPT_SERIALIZE_NUMPY)


def whole() -> onnx.ModelProto:
    """image -> logits"""
    return _model(
        Layer("image", "hidden", (PIXELS, HIDDEN), relu=True),
        Layer("hidden", "logits", (HIDDEN, LABELS)),
    )


def one_stage(folder: Path) -> Bundle:
    """The network as the head of a single stage."""
    return write_bundle(folder, _draft("mlp-1", [_head("mlp.onnx")]), {"mlp.onnx": whole()})


def two_stages(folder: Path) -> Bundle:
    """A linear exit, then the network as a body and a head."""
    body = {"file": "body.onnx", "reads": {"image": "image"}, "writes": {"hidden": "hidden"}}
    draft = _draft("mlp-2", [_head("linear.onnx"), {"body": body, **_head("head.onnx", "hidden")}])
    draft["state"] = [{"name": "hidden", "dtype": "float32", "shape": ["batch", HIDDEN]}]
    files = {
        "linear.onnx": _model(Layer("image", "logits", (PIXELS, LABELS))),
        "body.onnx": _model(Layer("image", "hidden", (PIXELS, HIDDEN), relu=True)),
        "head.onnx": _model(Layer("hidden", "logits", (HIDDEN, LABELS))),
    }
    return write_bundle(folder, draft, files)


def large(folder: Path) -> Bundle:
    """Some 110 MB of weights: a linear exit, then 784-4096-4096-2048-10."""
    body = {"file": "body.onnx", "reads": {"image": "image"}, "writes": {"h3": "h3"}}
    draft = _draft("mlp-large", [_head("linear.onnx"), {"body": body, **_head("head.onnx", "h3")}])
    draft["state"] = [{"name": "h3", "dtype": "float32", "shape": ["batch", 2048]}]
    files = {
        "linear.onnx": _model(Layer("image", "logits", (PIXELS, LABELS))),
        "body.onnx": _model(
            Layer("image", "h1", (PIXELS, 4096), relu=True),
            Layer("h1", "h2", (4096, 4096), relu=True),
            Layer("h2", "h3", (4096, 2048), relu=True),
        ),
        "head.onnx": _model(Layer("h3", "logits", (2048, LABELS))),
    }
    return write_bundle(folder, draft, files)


def _head(file: str, reads: str = "image") -> dict[str, Any]:
    return {"head": {"file": file, "reads": {reads: reads}, "writes": {"logits": "logits"}}}


def _draft(name: str, stages: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "task": "classification",
        "inputs": [{"name": "image", "dtype": "float32", "shape": ["batch", PIXELS]}],
        "labels": [str(label) for label in range(LABELS)],
        "stages": stages,
    }


def _model(*layers: Layer) -> onnx.ModelProto:
    nodes, weights = [], []
    for seed, layer in enumerate(layers):
        values = np.random.default_rng(seed).normal(0.0, layer.sizes[0] ** -0.5, layer.sizes).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"{layer.writes}_w"))
        product = f"{layer.writes}_x" if layer.relu else layer.writes
        nodes.append(helper.make_node("MatMul", [layer.reads, f"{layer.writes}_w"], [product]))
        if layer.relu:
            nodes.append(helper.make_node("Relu", [product], [layer.writes]))
    first, last = layers[0], layers[-1]
    graph = helper.make_graph(
        nodes, "mlp", [_info(first.reads, first.sizes[0])], [_info(last.writes, last.sizes[1])], weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def _info(name: str, size: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
