"""An ONNX model cut down to what one of its tensors needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set

import onnx


def prune(model: onnx.ModelProto, tensor: str, given: Sequence[onnx.ValueInfoProto] = ()) -> onnx.ModelProto:
    """A copy of ``model`` that computes ``tensor`` and nothing else, as its one output; inputs it does not need go too.

    ``tensor`` may be any tensor of the main graph; where it is no output yet, its type is for the runtime to infer.
    ``given`` are tensors that become inputs, where they are needed, instead of being computed.
    """
    graph = model.graph
    handed = {value.name for value in given}
    nodes = _needed_nodes(graph, tensor, handed)
    names = {tensor} | {name for node in nodes for name in (*tensors_read(node), *node.output)}
    pruned = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name != "graph" and not field.name.startswith("training"):
            _copy(pruned, field.name, value)
    kept = pruned.graph
    kept.name, kept.doc_string = graph.name or "graph", graph.doc_string
    kept.node.extend(nodes)
    for part in ("input", "initializer", "value_info"):
        getattr(kept, part).extend(one for one in getattr(graph, part) if one.name in names - handed)
    kept.input.extend(value for value in given if value.name in names)
    kept.sparse_initializer.extend(one for one in graph.sparse_initializer if one.values.name in names)
    kept.quantization_annotation.extend(one for one in graph.quantization_annotation if one.tensor_name in names)
    known = {value.name: value for value in (*graph.value_info, *graph.output)}
    kept.output.append(known.get(tensor) or onnx.ValueInfoProto(name=tensor))
    return pruned


def tensors_read(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that a node may read, those that its subgraphs take from outside included."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (value.name for value in graph.output)
            for inner in graph.node:
                yield from tensors_read(inner)


def _needed_nodes(graph: onnx.GraphProto, tensor: str, handed: Set[str]) -> Iterable[onnx.NodeProto]:
    """In the graph's own order, which is topological."""
    producer = {output: index for index, node in enumerate(graph.node) for output in node.output
                if output not in handed}  # fmt: skip
    needed: set[int] = set()
    asked = [tensor]
    while asked:
        index = producer.get(asked.pop())
        if index is not None and index not in needed:
            needed.add(index)
            asked.extend(tensors_read(graph.node[index]))
    return [graph.node[index] for index in sorted(needed)]


def _copy(target: onnx.ModelProto, field: str, value: object) -> None:
    if isinstance(value, (str, int)):
        setattr(target, field, value)
    else:
        getattr(target, field).extend(value)
