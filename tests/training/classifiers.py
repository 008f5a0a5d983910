"""Trained classifiers to put together: real ones of scikit-learn, and small ones written down with ``onnx.helper``."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

ROWS = 50
NETWORKS = {
    "logistic": LogisticRegression(max_iter=20),
    "mlp": MLPClassifier((16,), max_iter=10, random_state=0),
    "forest": RandomForestClassifier(5, max_depth=6, random_state=0),
}
WEIGHT = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """(rows, 64) in 0..1 and (rows,)"""
    rows, label = load_digits(return_X_y=True)
    return (rows / 16).astype(np.float32), label


@functools.cache
def fitted(name: str, named: bool = False):
    """One of ``NETWORKS``, fitted; ``named``: to labels that are texts."""
    rows, label = digits()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return (
            NETWORKS[name]
            .__class__(**NETWORKS[name].get_params())
            .fit(rows, np.array(LABELS)[label] if named else label)
        )


LABELS = ["nought", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SORTED_LABELS = tuple(sorted(LABELS))
"""As scikit-learn orders them."""


def export(folder: Path, name: str, named: bool = False, **options: object) -> Path:
    """One of ``NETWORKS`` as an ONNX file in ``folder``, ZipMap off unless asked for."""
    model = to_onnx(fitted(name, named), digits()[0][:1], options={"zipmap": False, **options})
    return save(folder / f"{name}.onnx", model)


def save(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def linear(
    *tail: str, dtype: str = "float32", shape: tuple = ("batch", 4), weight: np.ndarray = WEIGHT, input: str = "x",
    opset: int = 13, rank: int = 2,
) -> onnx.ModelProto:  # fmt: skip
    """x @ weight, then one node of each operator in ``tail``."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [helper.make_node("MatMul", [input, "w"], ["t0"])]
    nodes += [helper.make_node(op, [f"t{k}"], [f"t{k + 1}"]) for k, op in enumerate(tail)]
    graph = helper.make_graph(
        nodes, "linear",
        [helper.make_tensor_value_info(input, element, shape)],
        [helper.make_tensor_value_info(f"t{len(tail)}", element, [None] * rank)],
        [numpy_helper.from_array(weight.astype(dtype), "w")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def scores(path: Path, rows: np.ndarray) -> np.ndarray:
    """What the file itself says by ONNX Runtime: its last output, one row at a time."""
    session = onnxruntime.InferenceSession(path)
    feed = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {feed: rows[k : k + 1]})[-1] for k in range(len(rows))])


def softmax(logits: np.ndarray) -> np.ndarray:
    z = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def stacked(element: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Two inputs, for what takes one."""
    values = [helper.make_tensor_value_info(name, element, ["batch", 4]) for name in ("a", "b")]
    out = [helper.make_tensor_value_info("y", element, ["batch", 4])]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "stacked", values, out)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
