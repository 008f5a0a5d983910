"""Trained networks as users bring them: exported by torch, from ``transformers`` and scikit-learn, or written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from anytime.model_store.manifest import Size
from anytime.training.attach import ExitHead, Network, NetworkInput, Piece, read_network

SEQUENCE = {"sequence": Size(min=2, max=32, typical=8)}
TOKENS = [NetworkInput(name, "int64", ("batch", "sequence")) for name in ("input_ids", "attention_mask")]
LENGTH = {"length": Size(min=8, max=64, typical=24)}
SIGNAL = [NetworkInput("signal", "float32", ("batch", 4, "length"))]
PICTURE = [NetworkInput("pixel_values", "float32", ("batch", 3, 32, 32))]
FACTORIES = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width, out, stride):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
            nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out),
        )
        self.skip = nn.Identity() if width == out else nn.Conv2d(width, out, 1, stride)

    def forward(self, x):
        return torch.relu(self.conv(x) + self.skip(x))


def cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), Block(8, 8, 1), Block(8, 16, 2), Block(16, 16, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(16, 5),
    )


def vit():
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    return ViTForImageClassification(ViTConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8,
        num_labels=5,
    ))


def bert():
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=32, num_labels=4,
    ))


def signal():
    torch.manual_seed(0)
    layers = []
    for width, out in ((4, 16), (16, 16), (16, 24)):
        layers += [nn.Conv1d(width, out, 5, padding=2, bias=False), nn.BatchNorm1d(out), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(24, 5))


class Wide(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.mix = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x):  # (N, H, W, C), as Keras and Swin have it
        return x + self.mix(self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class Pooled(nn.Module):
    def forward(self, x):
        return x.mean(dim=(1, 2))


class Last(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1)


def channels_last():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 4, 4), Last(), Wide(12), Wide(12), nn.Linear(12, 20), Wide(20), Pooled(), nn.Linear(20, 5)
    )


def drawn():
    class Drawn(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, x):
            return self.linear(x + torch.randn_like(x))

    return Drawn()


def picky():
    class Picky(nn.Module):
        def forward(self, x):
            if len(x) < 2:
                raise RuntimeError("one row is too few")
            return 2 * x

    return Picky()


def branch():
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    return Branch()


def number():
    return 3


def broken():
    raise RuntimeError("no weights here")
"""


class Graph:
    """A network written down node by node: ``(rows, 4)`` in ``x``, float32 throughout."""

    def __init__(self, rows: str | int = "batch", width: int = 4, shape: Sequence[str | int] | None = None) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.width = width
        self.inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape or [rows, width])]
        self._draw = np.random.default_rng(0)

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=f"n_{output}", **attributes))
        return output

    def linear(self, read: str, output: str, columns: int | None = None, rows: int | None = None) -> str:
        weight = self._draw.standard_normal((rows or self.width, columns or self.width)).astype(np.float32) * 2
        self.weights.append(numpy_helper.from_array(weight, f"w_{output}"))
        return self.add("MatMul", [read, f"w_{output}"], output)

    def constant(self, name: str, value: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def model(self, output: str, shape: Sequence[str | int | None] | None = None, **options: object) -> onnx.ModelProto:
        out = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape or [None, None])]
        graph = helper.make_graph(self.nodes, "graph", self.inputs, out, self.weights)
        opsets = [helper.make_opsetid("", 17), *options.pop("opsets", [])]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8, **options)

    def read(self, folder: Path, output: str, **options: object) -> Network:
        return read_network(save(folder / "graph.onnx", self.model(output)), **options)


def mlp(rows: str | int = "batch") -> Graph:
    """Three layers: x -> a, ra -> b, rb -> y."""
    graph = Graph(rows)
    graph.add("Relu", [graph.linear("x", "a")], "ra")
    graph.add("Relu", [graph.linear("ra", "b")], "rb")
    graph.linear("rb", "y", 3)
    return graph


def dense(layers: int) -> Graph:
    """Behind the stem every layer reads all earlier ones, one by one, as DenseNet's do within a block."""
    graph = Graph()
    graph.linear("x", "h1")
    for layer in range(2, layers + 1):
        parts = [graph.linear(f"h{k}", f"from_{k}_{layer}") for k in range(1, layer)]
        graph.add("Relu", [graph.add("Sum", parts, f"s{layer}")], f"h{layer}")
    graph.add("Sum", [graph.linear(f"h{k}", f"out_{k}", 3) for k in range(1, layers + 1)], "y")
    return graph


def towers() -> Graph:
    """Two networks on one input, added at the end."""
    graph = Graph()
    for name in "ab":
        graph.linear(graph.add("Relu", [graph.linear("x", f"{name}1")], f"{name}2"), f"{name}3", 3)
    graph.add("Add", ["a3", "b3"], "y")
    return graph


def save(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def linear_head(piece: Piece, classes: int) -> ExitHead:
    """Mean over all axes but rows and channels, then a linear layer, as any method's export might look."""
    cut = piece.cut
    weight = np.random.default_rng(1).standard_normal((cut.shape[cut.channels], classes)).astype(np.float32)
    places = [axis for axis in range(1, len(cut.shape)) if axis != cut.channels]
    node = (helper.make_node("ReduceMean", ["h"], ["p"], axes=places, keepdims=0) if places
            else helper.make_node("Identity", ["h"], ["p"]))  # fmt: skip
    graph = helper.make_graph(
        [node, helper.make_node("MatMul", ["p", "w"], ["logits"])], "head",
        [helper.make_tensor_value_info("h", TensorProto.FLOAT, list(cut.shape))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return ExitHead(model, {"h": piece.state}, {"logits": "logits"})


def whole(path: Path, batch: Mapping[str, np.ndarray], output: str | None = None) -> np.ndarray:
    """What the user's own file says, by ONNX Runtime."""
    session = onnxruntime.InferenceSession(path)
    taken = {entry.name for entry in session.get_inputs()}
    return session.run(None if output is None else [output], {k: v for k, v in batch.items() if k in taken})[-1]


def apart(got: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, relative to the largest number."""
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())
