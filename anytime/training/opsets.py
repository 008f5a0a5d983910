"""Models of different operator versions, made to speak one: relabelled where nothing changed between, else converted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx
from onnx import defs, helper, version_converter

from anytime.training.errors import GraphsUnjoinable

_LEAST = {"": 9}
"""ConstantOfShape, which a state that starts with zeros becomes, is as old."""


def align(
    models: Mapping[str, onnx.ModelProto],
) -> tuple[Mapping[str, onnx.ModelProto], list[onnx.OperatorSetIdProto]]:
    """The models by file, each at the highest version that any of them asks for, and these versions.

    Raises ``GraphsUnjoinable`` where an operator means something else there and ``onnx`` cannot convert it.
    """
    wanted = dict(_LEAST)
    for model in models.values():
        for domain, version in _versions(model).items():
            wanted[domain] = max(wanted.get(domain, 0), version)
    aligned = {file: _raised(file, model, wanted) for file, model in models.items()}
    return aligned, [helper.make_opsetid(domain, version) for domain, version in sorted(wanted.items())]


def _raised(file: str, model: onnx.ModelProto, wanted: Mapping[str, int]) -> onnx.ModelProto:
    changed = sorted(
        {(node.domain, node.op_type) for node in _nodes(model.graph) if _changes(node, _versions(model), wanted)}
    )
    if not changed:
        return model
    for domain, kind in changed:
        if _plain(domain):
            raise GraphsUnjoinable(
                f"{file!r} has the operator {domain}.{kind} of version {_versions(model)[domain]} and another graph asks "
                f"for version {wanted[domain]}; export both with the same"
            )
    try:
        return version_converter.convert_version(model, wanted[""])
    except (RuntimeError, ValueError) as error:  # the converter's own, from C++
        first = str(error).strip().splitlines()[0][:300]
        kinds = ", ".join(kind for _, kind in changed)
        raise GraphsUnjoinable(
            f"{file!r} has {kinds} of opset {_versions(model)['']} and another graph asks for opset {wanted['']}; it cannot "
            f"be converted: {first}: export both with the same opset"
        ) from error


def _changes(node: onnx.NodeProto, own: Mapping[str, int], wanted: Mapping[str, int]) -> bool:
    """Whether an operator means, or may mean, something else at the wanted version."""
    domain = _plain(node.domain)
    if own.get(domain) == wanted.get(domain):
        return False
    try:
        kinds = [defs.get_schema(node.op_type, one[domain], domain).since_version for one in (own, wanted)]
    except (defs.SchemaError, KeyError):
        return True
    return kinds[0] != kinds[1]


def _versions(model: onnx.ModelProto) -> Mapping[str, int]:
    return {_plain(one.domain): one.version for one in model.opset_import}


def _plain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Those of subgraphs included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from _nodes(inner)
