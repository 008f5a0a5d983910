"""A small reader of token sequences: two named inputs, a symbolic axis, and what follows from a mask.

Stresses: ``ids`` and ``mask``, int64 of shape (batch, sequence); the symbolic axis in states too, one of them bool; a
first stage without a body, whose head costs no multiply-adds at all; one head file under two stages; ``macs`` that grow
with the square of the length and are counted at typical. The reference drops what the mask drops, row by row. Outputs
agree within 1e-6 (attention holds exponentials).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anytime.model_store import Bundle, write_bundle
from tests.bundles.arithmetic import integers, softmax, weights
from tests.bundles.graphs import Sketch, Spec

NAME = "sequence"
TOLERANCE = 1e-6
VOCABULARY, WIDTH, LABELS = 11, 4, 3
MIN, MAX, TYPICAL = 2, 32, 8
WORDS = weights(500, VOCABULARY, LABELS, scale=2.0)
"""Each word's own say: all that exit 1 knows."""
EMBEDDING = weights(501, VOCABULARY, WIDTH)
FEED = weights(502, WIDTH, WIDTH)
QUERY, KEY, VALUE = (weights(503 + i, WIDTH, WIDTH, scale=0.5) for i in range(3))
LINEAR = weights(506, WIDTH, LABELS)
BIAS = weights(507, LABELS, scale=0.25)
MACS = {
    (1, "head"): 0,
    (2, "body"): TYPICAL * WIDTH * WIDTH, (2, "head"): WIDTH * LABELS,
    (3, "body"): 3 * TYPICAL * WIDTH * WIDTH + 2 * TYPICAL * TYPICAL * WIDTH, (3, "head"): WIDTH * LABELS,
}  # fmt: skip


def inputs(rows: int, seed: int = 0, length: int = TYPICAL) -> dict[str, np.ndarray]:
    """Row r keeps ``length - r % length`` tokens; the ids behind them are noise that must not matter."""
    kept = length - np.arange(rows) % length
    mask = (np.arange(length) < kept[:, None]).astype(np.int64)
    return {"ids": integers(seed + 5, (rows, length), 0, VOCABULARY - 1), "mask": mask}


def reference(inputs: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Every exit's raw head outputs, (rows, labels)."""
    rows = [_row(ids[mask != 0]) for ids, mask in zip(inputs["ids"], inputs["mask"], strict=True)]
    return [{"logits": np.stack(logits)} for logits in zip(*rows, strict=True)]


def _row(ids: np.ndarray) -> tuple[np.ndarray, ...]:
    """The three exits' logits of one sequence without padding."""
    first = _mean(WORDS[ids])
    tokens = np.maximum(EMBEDDING[ids].astype(np.float64) @ FEED, 0.0)
    second = _mean(tokens) @ LINEAR + BIAS
    weight = softmax((tokens @ QUERY) @ (tokens @ KEY).T / 2.0) if len(ids) else np.zeros((0, 0))
    third = _mean(tokens + weight @ (tokens @ VALUE)) @ LINEAR + BIAS
    return first, second, third


def _mean(tokens: np.ndarray) -> np.ndarray:
    """Over the tokens; of none it is 0."""
    return tokens.astype(np.float64).sum(axis=0) / max(1, len(tokens))


def build(folder: Path) -> Bundle:
    head = {"file": "mean.onnx", "reads": {"tokens": "tokens", "padding": "padding"}, "writes": {"logits": "logits"}}
    stages = [
        {"head": {"file": "words.onnx", "reads": {"ids": "ids", "mask": "mask"}, "writes": {"logits": "logits"}}},
        {"body": {"file": "embed.onnx", "reads": {"ids": "ids", "mask": "mask"},
                  "writes": {"tokens": "tokens", "padding": "padding"}}, "head": head},
        {"body": {"file": "attend.onnx", "reads": {"tokens": "tokens", "padding": "padding"},
                  "writes": {"attended": "tokens"}}, "head": head},
    ]  # fmt: skip
    draft = {
        "name": NAME, "version": 1, "method": "sdn", "created": "2026-01-01T00:00:00Z", "task": "classification",
        "inputs": [{"name": name, "dtype": "int64", "shape": ["batch", "sequence"]} for name in ("ids", "mask")],
        "axes": {"sequence": {"min": MIN, "max": MAX, "typical": TYPICAL}},
        "labels": ["question", "order", "statement"],
        "state": [
            {"name": "tokens", "dtype": "float32", "shape": ["batch", "sequence", WIDTH]},
            {"name": "padding", "dtype": "bool", "shape": ["batch", "sequence"]},
        ],
        "stages": stages,
    }  # fmt: skip
    files = {"words.onnx": _words(), "embed.onnx": _embed(), "attend.onnx": _attend(), "mean.onnx": _mean_head()}
    return write_bundle(folder, draft, files)


_INTEGERS: Spec = ("int64", ("batch", "sequence"))
_TOKENS: Spec = ("float32", ("batch", "sequence", WIDTH))
_PADDING: Spec = ("bool", ("batch", "sequence"))
_LOGITS: Spec = ("float32", ("batch", LABELS))
_LAST = np.int64([2])
_SECOND = np.int64([1])


def _words():
    sketch = Sketch(ids=_INTEGERS, mask=_INTEGERS)
    keep = sketch.cast(sketch.cast("mask", "bool"), "float32")
    _masked_mean(sketch, sketch.op("Gather", WORDS, "ids"), keep, to="logits")
    return sketch.model(logits=_LOGITS)


def _embed():
    sketch = Sketch(ids=_INTEGERS, mask=_INTEGERS)
    sketch.op("Relu", sketch.op("MatMul", sketch.op("Gather", EMBEDDING, "ids"), FEED), to="tokens")
    sketch.op("Equal", "mask", np.int64([0]), to="padding")
    return sketch.model(tokens=_TOKENS, padding=_PADDING)


def _attend():
    sketch = Sketch(tokens=_TOKENS, padding=_PADDING)
    query, key, value = (sketch.op("MatMul", "tokens", weight) for weight in (QUERY, KEY, VALUE))
    scores = sketch.op("MatMul", query, sketch.op("Transpose", key, perm=[0, 2, 1]))
    scores = sketch.op("Mul", scores, np.float32(0.5))
    hidden = sketch.op("Unsqueeze", "padding", _SECOND)
    weight = sketch.op("Softmax", sketch.op("Where", hidden, np.float32(-10000.0), scores), axis=-1)
    sketch.op("Add", "tokens", sketch.op("MatMul", weight, value), to="attended")
    return sketch.model(attended=_TOKENS)


def _mean_head():
    sketch = Sketch(tokens=_TOKENS, padding=_PADDING)
    keep = sketch.cast(sketch.op("Not", "padding"), "float32")
    sketch.gemm(_masked_mean(sketch, "tokens", keep), LINEAR, BIAS, to="logits")
    return sketch.model(logits=_LOGITS)


def _masked_mean(sketch: Sketch, tokens: str, keep: str, to: str | None = None) -> str:
    """tokens (N, S, W), keep (N, S) of 0 and 1 -> (N, W)."""
    kept = sketch.op("Mul", tokens, sketch.op("Unsqueeze", keep, _LAST))
    total = sketch.op("ReduceSum", kept, _SECOND, keepdims=0)
    count = sketch.op("ReduceSum", keep, _SECOND, keepdims=1)
    return sketch.op("Div", total, sketch.op("Max", count, np.float32([1.0])), to=to)
