"""Where an ONNX model keeps tensors outside its own file, found in every corner that can hold one."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import onnx

from anytime.model_store.errors import ExternalDataOutside
from anytime.model_store.manifest import File


def external_files(model: onnx.ModelProto, file: str, listed: Mapping[str, File]) -> frozenset[str]:
    """The bundle's files that hold external data of ``model``, itself the bundle's ``file``.

    Raises ``ExternalDataOutside`` for data outside the bundle, not listed, or beyond the end of its file.
    """
    return frozenset(_located(tensor, file, listed) for tensor in _tensors(model) if _is_external(tensor))


def has_external_data(model: onnx.ModelProto) -> bool:
    """Whether any tensor's data is in another file."""
    return any(map(_is_external, _tensors(model)))


def _is_external(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data)


def _located(tensor: onnx.TensorProto, file: str, listed: Mapping[str, File]) -> str:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    path = posixpath.join(posixpath.dirname(file), location)
    if not location or location.startswith("/") or ".." in location.split("/") or path not in listed:
        raise ExternalDataOutside(
            f"tensor {tensor.name!r} of {file!r} keeps its data in {location!r}; "
            f"wanted a file of the bundle, listed in files, at or below the model's own folder"
        )
    try:
        end = int(entries.get("offset", "0")) + int(entries.get("length", "0"))
        fits = 0 <= int(entries.get("offset", "0")) <= end <= listed[path].bytes
    except ValueError:
        fits = False
    if not fits:
        raise ExternalDataOutside(
            f"tensor {tensor.name!r} of {file!r} points outside {path!r} of {listed[path].bytes} bytes; export it anew"
        )
    return path


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _in_graph(model.graph)
    for function in model.functions:
        yield from _in_nodes(function.node)
        yield from _in_attributes(function.attribute_proto)
    for training in model.training_info:
        yield from _in_graph(training.initialization)
        yield from _in_graph(training.algorithm)


def _in_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from chain.from_iterable((sparse.values, sparse.indices) for sparse in graph.sparse_initializer)
    yield from _in_nodes(graph.node)


def _in_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        yield from _in_attributes(node.attribute)


def _in_attributes(attributes: Iterable[onnx.AttributeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in attributes:
        yield attribute.t
        yield from attribute.tensors
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from _in_graph(graph)
