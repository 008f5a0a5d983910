"""Networks to measure with: plain residual nets with an exit after every stage, built with onnx.helper and random weights.

What a network predicts does not matter here; how long it takes does. Written as stages, and as one graph with every exit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from anytime.model_store import Bundle, write_bundle

LABELS = 10
SIDE = 32
OPSET, IR = 17, 9
IMAGE: list[str | int] = ["batch", 3, SIDE, SIDE]
Layout = Literal["split", "joined", "whole"]


@dataclass(frozen=True)
class Net:
    """``stages`` stages of ``blocks`` residual blocks of ``width`` channels on 32 x 32 maps, a linear head on each."""

    name: str
    stages: int
    blocks: int
    width: int

    @property
    def state_shape(self) -> list[str | int]:
        return ["batch", self.width, SIDE, SIDE]

    def block(self, reads: str, writes: str, seed: int) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """writes = relu(reads + conv3x3(relu(conv3x3(reads))))"""
        names = [f"{writes}_{part}" for part in ("w1", "c1", "r1", "w2", "c2", "sum")]
        w1, c1, r1, w2, c2, total = names
        weights = [
            self._weight(name, (self.width, self.width, 3, 3), seed + place) for place, name in enumerate((w1, w2))
        ]
        nodes = [
            helper.make_node("Conv", [reads, w1], [c1], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [c1], [r1]),
            helper.make_node("Conv", [r1, w2], [c2], pads=[1, 1, 1, 1]),
            helper.make_node("Add", [reads, c2], [total]),
            helper.make_node("Relu", [total], [writes]),
        ]
        return nodes, weights

    def body(self, stage: int, reads: str, writes: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """One stage's features; the first begins with the stem."""
        nodes: list[onnx.NodeProto] = []
        weights: list[onnx.TensorProto] = []
        if stage == 1:
            weights.append(self._weight("stem", (self.width, 3, 3, 3), 1))
            nodes.append(helper.make_node("Conv", [reads, "stem"], ["stem_out"], pads=[1, 1, 1, 1]))
            reads = "stem_out"
        for number in range(self.blocks):
            out = writes if number == self.blocks - 1 else f"{writes}_{number}"
            more_nodes, more_weights = self.block(reads, out, 1000 * stage + 10 * number)
            nodes += more_nodes
            weights += more_weights
            reads = out
        return nodes, weights

    def head(self, stage: int, reads: str, writes: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """Global average pool and a linear layer."""
        weight = self._weight(f"{writes}_w", (self.width, LABELS), 7 * stage)
        nodes = [
            helper.make_node("GlobalAveragePool", [reads], [f"{writes}_p"]),
            helper.make_node("Flatten", [f"{writes}_p"], [f"{writes}_f"]),
            helper.make_node("MatMul", [f"{writes}_f", weight.name], [writes]),
        ]
        return nodes, [weight]

    def whole(self) -> onnx.ModelProto:
        """The network as one graph with an output per exit."""
        nodes, weights, outputs = [], [], []
        for stage in range(1, self.stages + 1):
            for part in (
                self.body(stage, "image" if stage == 1 else f"h{stage - 1}", f"h{stage}"),
                self.head(stage, f"h{stage}", f"logits{stage}"),
            ):
                nodes += part[0]
                weights += part[1]
            outputs.append(_info(f"logits{stage}", ["batch", LABELS]))
        return _model(nodes, weights, [_info("image", IMAGE)], outputs)

    def bundle(self, folder: Path, layout: Layout = "split") -> Bundle:
        """The network as a bundle.

        ``split``: a body and a head per stage. ``joined``: one graph per stage, which writes the state and the logits.
        ``whole``: full depth as a single stage.
        """
        files: dict[str, onnx.ModelProto] = {}
        if layout == "whole":
            files["whole.onnx"] = self.whole()
            writes = {f"logits{self.stages}": "logits"}
            stages: list[dict[str, object]] = [
                {"head": {"file": "whole.onnx", "reads": {"image": "image"}, "writes": writes}}
            ]
        else:
            stages = [self._stage(number, layout, files) for number in range(1, self.stages + 1)]
        draft = {
            "name": self.name,
            "task": "classification",
            "inputs": [{"name": "image", "dtype": "float32", "shape": IMAGE}],
            "labels": [str(label) for label in range(LABELS)],
            "state": [] if layout == "whole" else [{"name": "h", "dtype": "float32", "shape": self.state_shape}],
            "stages": stages,
        }
        return write_bundle(folder, draft, files)

    def _stage(self, number: int, layout: Layout, files: dict[str, onnx.ModelProto]) -> dict[str, object]:
        reads = {"x": "image" if number == 1 else "h"}
        x = _info("x", IMAGE if number == 1 else self.state_shape)
        y, logits = _info("y", self.state_shape), _info("logits", ["batch", LABELS])
        body, head = self.body(number, "x", "y"), self.head(number, "y", "logits")
        if layout == "joined":
            files[f"stage{number}.onnx"] = _model(body[0] + head[0], body[1] + head[1], [x], [y, logits])
            writes = {"y": "h", "logits": "logits"}
            return {"head": {"file": f"stage{number}.onnx", "reads": reads, "writes": writes}}
        files[f"body{number}.onnx"] = _model(*body, [x], [y])
        files[f"head{number}.onnx"] = _model(*head, [y], [logits])
        return {
            "body": {"file": f"body{number}.onnx", "reads": reads, "writes": {"y": "h"}},
            "head": {"file": f"head{number}.onnx", "reads": {"y": "h"}, "writes": {"logits": "logits"}},
        }

    def _weight(self, name: str, shape: tuple[int, ...], seed: int) -> onnx.TensorProto:
        scale = 0.5 / np.sqrt(np.prod(shape[1:]))
        values = np.random.default_rng(seed).normal(0.0, scale, shape).astype(np.float32)
        return numpy_helper.from_array(values, name)


NETS = {
    "1 ms": Net("net-1ms", 9, 2, 16),
    "2 ms": Net("net-2ms", 9, 4, 16),
    "3 ms": Net("net-3ms", 9, 2, 24),
    "10 ms": Net("net-10ms", 9, 3, 48),
}
"""By about what the whole network takes on one core."""


def image(seed: int = 0) -> np.ndarray:
    """(1, 3, 32, 32)"""
    return np.random.default_rng(seed).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)


def _info(name: str, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(
    nodes: list[onnx.NodeProto],
    weights: list[onnx.TensorProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "net", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
