"""Filling in what a draft leaves out: the multiply-adds and parameters of each graph of each stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx

from anytime.model_store.errors import MissingFile, Uncountable
from anytime.model_store.macs import count_macs, count_params
from anytime.model_store.nearest import nearest
from anytime.model_store.onnx_file import parse_model
from anytime.model_store.tensors import ROW_AXIS


def count_graphs(raw: dict[str, Any], files: Mapping[str, object]) -> None:
    """Set ``macs`` and ``params``, where absent, in a draft that is not checked yet.

    Whatever else is malformed is left as it is, for the parser to name. Raises ``Uncountable``, ``MissingFile`` or
    ``GraphUnreadable``.
    """
    sizes = {name: size["typical"] for name, size in _items(raw.get("axes")) if _is_size(size)}
    shapes = {
        tensor["name"]: bound
        for part in ("inputs", "state")
        for tensor in _objects(raw.get(part))
        if isinstance(tensor.get("name"), str) and (bound := _bound(tensor.get("shape"), sizes))
    }
    for number, stage in enumerate(_objects(raw.get("stages")), start=1):
        for part in ("body", "head"):
            graph: dict[str, Any] = stage.get(part) or {}
            where = f"stage {number}'s {part}"
            model = _model(where, graph, files)
            if model is not None:
                _count(where, graph, model, sizes, shapes)


def _count(
    where: str, graph: dict[str, Any], model: onnx.ModelProto, sizes: Mapping[str, int],
    shapes: Mapping[str, tuple[int, ...]],
) -> None:  # fmt: skip
    if "macs" not in graph:
        inputs = {tensor: shapes[str(name)] for tensor, name in _items(graph.get("reads")) if str(name) in shapes}
        try:
            graph["macs"] = count_macs(model, sizes, inputs)
        except Uncountable as error:
            raise Uncountable(f"{where}: {error}; or give its macs in the draft") from error
    if "params" not in graph:
        graph["params"] = count_params(model)


def _model(where: str, graph: object, files: Mapping[str, object]) -> onnx.ModelProto | None:
    """The model of a graph that still has something to count."""
    if not isinstance(graph, dict) or {"macs", "params"} <= graph.keys() or not isinstance(graph.get("file"), str):
        return None
    content = files.get(graph["file"])
    if isinstance(content, onnx.ModelProto):
        return content
    if not isinstance(content, bytes):
        raise MissingFile(f"{where} uses {graph['file']!r}; {nearest(graph['file'], files)}: give it among the files")
    return parse_model(content, graph["file"])


def _bound(shape: object, sizes: Mapping[str, int]) -> tuple[int, ...] | None:
    if not isinstance(shape, list):
        return None
    known = {**sizes, ROW_AXIS: 1}
    axes = [known.get(axis) if isinstance(axis, str) else axis for axis in shape]
    return tuple(axis for axis in axes if isinstance(axis, int)) if all(isinstance(a, int) for a in axes) else None


def _is_size(size: object) -> bool:
    return isinstance(size, dict) and isinstance(size.get("typical"), int)


def _items(mapping: object) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in mapping.items()] if isinstance(mapping, dict) else []


def _objects(array: object) -> list[dict[str, Any]]:
    return [entry for entry in array if isinstance(entry, dict)] if isinstance(array, list) else []
