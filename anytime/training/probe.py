"""Running an ONNX classifier on a few random rows, to see what no graph says for sure."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from anytime.model_store.telemetry import silence_runtime
from anytime.training.errors import BadClassifier

silence_runtime()

import onnxruntime as ort  # noqa: E402  # silent only from here on

ROWS = 4
_SUM_WITHIN = {"float16": 1e-2, "float32": 1e-3, "float64": 1e-3}
"""How far a row of probabilities may sum from 1."""
_FLOATS = tuple(_SUM_WITHIN)

Kind = Literal["probabilities", "logits"]


def run_random(
    model: onnx.ModelProto, weights: tuple[str, bytes] | None, feed: tuple[str, str, tuple[int, ...]], *, one_row: bool,
    said: str,
) -> np.ndarray:  # fmt: skip
    """The model's one output on ``ROWS`` random rows, (ROWS, classes), of a float type.

    ``weights``: the location and bytes of external data; ``feed``: the name, dtype and row shape of its one input;
    ``one_row``: its row axis is fixed at 1. Raises ``BadClassifier`` where it does not run, or gives anything else.
    """
    name, dtype, row_shape = feed
    rows = _random_rows(dtype, row_shape)
    try:
        session = _session(model, weights)
        parts = np.split(rows, ROWS) if one_row else [rows]
        outputs = [session.run(None, {name: part})[0] for part in parts]
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types here
        what = "one row" if one_row else f"{ROWS} rows"
        cure = "export it anew" if one_row else "export it anew, with a row axis that is free throughout, or fixed at 1"
        raise BadClassifier(
            f"{said}: ONNX Runtime cannot run it on {what}: {str(error).splitlines()[0]}; {cure}"
        ) from error
    return _checked(outputs, said)


def tell_kind(scores: np.ndarray, said: str) -> Kind:
    """Whether rows of scores are probabilities or logits. Raises ``BadClassifier`` where they might be either."""
    values = scores.astype(np.float64)
    if not np.isfinite(values).all():
        raise BadClassifier(
            f"{said} gives infinities or NaN on random inputs, so nothing tells probabilities from logits; "
            f"say which with --outputs"
        )
    if values.min() < 0.0 or values.max() > 1.0 + _SUM_WITHIN[str(scores.dtype)]:
        return "logits"
    if np.abs(values.sum(axis=1) - 1.0).max() <= _SUM_WITHIN[str(scores.dtype)]:
        return "probabilities"
    raise BadClassifier(
        f"{said} gives numbers in 0..1 that do not sum to 1, as a sigmoid per class does; "
        f"say what they are with --outputs probabilities (they will be normalised) or --outputs logits"
    )


def _random_rows(dtype: str, row_shape: tuple[int, ...]) -> np.ndarray:
    """Normal for floats, bytes for ``uint8``, else 0 and 1, which are indices into any table."""
    draw = np.random.default_rng(0)
    shape = (ROWS, *row_shape)
    if dtype in _FLOATS:
        return draw.standard_normal(shape).astype(dtype)
    return draw.integers(0, 256 if dtype == "uint8" else 2, shape).astype(dtype)


def _session(model: onnx.ModelProto, weights: tuple[str, bytes] | None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    providers = ["CPUExecutionProvider"]
    if weights is None:
        return ort.InferenceSession(model.SerializeToString(), options, providers=providers)
    with tempfile.TemporaryDirectory(prefix="anytime-") as folder:
        location, data = weights
        Path(folder, location).write_bytes(data)
        graph = Path(folder, "model.onnx")
        graph.write_bytes(model.SerializeToString())
        return ort.InferenceSession(str(graph), options, providers=providers)


def _checked(outputs: list[object], said: str) -> np.ndarray:
    arrays = [output for output in outputs if isinstance(output, np.ndarray)]
    shapes = [array.shape for array in arrays]
    if len(arrays) != len(outputs) or str(arrays[0].dtype) not in _FLOATS:
        raise BadClassifier(f"{said} gives no float tensor; wanted the scores of the classes as float32")
    if any(len(shape) != 2 for shape in shapes) or sum(shape[0] for shape in shapes) != ROWS or shapes[0][1] < 2:
        raise BadClassifier(
            f"{said} gives the shape {list(shapes[0])} for {ROWS // len(outputs)} rows; "
            f"wanted (rows, classes) with a score for each of two classes or more"
        )
    return np.concatenate(arrays)
