"""Test doubles, named after what they replace: small, scripted, slow where that makes them obvious."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime

from anytime.model_store import Bundle
from anytime.model_store.manifest import Graph


def run_stages(bundle: Bundle, inputs: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The engine, slow and obvious: every graph of every stage in the bundle's order, one row at a time.

    ``inputs``: name -> (rows, ...). Returns per exit each head output by name, raw, (rows, columns).
    """
    sessions = open_sessions(bundle)
    rows = len(next(iter(inputs.values())))
    each = [run_batch(bundle, {n: v[r : r + 1] for n, v in inputs.items()}, sessions) for r in range(rows)]
    return [
        {name: np.concatenate([row[exit][name] for row in each]) for name in each[0][exit]}
        for exit in range(bundle.manifest.exits)
    ]


def run_batch(
    bundle: Bundle, inputs: Mapping[str, np.ndarray], sessions: Mapping[str, onnxruntime.InferenceSession] | None = None
) -> list[dict[str, np.ndarray]]:
    """The same with all rows in each run. A name holds its latest write: in the bundle's order the right one."""
    sessions = sessions or open_sessions(bundle)
    rows, *_ = next(iter(inputs.values())).shape
    sizes = {
        axis: size
        for entry in bundle.manifest.inputs
        for axis, size in zip(entry.shape, inputs[entry.name].shape, strict=True)
        if isinstance(axis, str)
    }
    state = dict(inputs)
    for entry in bundle.manifest.state:
        if entry.start is not None:
            state[entry.name] = np.stack([bundle.start(entry.name, sizes)] * rows)
    exits = []
    for stage in bundle.manifest.stages:
        if stage.body is not None:
            state |= run_graph(sessions, stage.body, state)
        said = run_graph(sessions, stage.head, state)
        exits.append({name: said[name] for name in bundle.manifest.head_outputs & said.keys()})
        state |= said
    return exits


def run_graph(
    sessions: Mapping[str, onnxruntime.InferenceSession], graph: Graph, state: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """One graph on the state as it stands; what it wrote, by the names that the manifest gives."""
    feed = {tensor: state[name] for tensor, name in graph.reads.items()}
    said = sessions[graph.file].run(list(graph.writes), feed)
    return dict(zip(graph.writes.values(), said, strict=True))


def open_sessions(bundle: Bundle) -> dict[str, onnxruntime.InferenceSession]:
    """One session per file of the bundle's stages."""
    stages = bundle.manifest.stages
    files = {graph.file for stage in stages for graph in (stage.body, stage.head) if graph is not None}
    return {file: onnxruntime.InferenceSession(bundle.path(file), _options()) for file in sorted(files)}


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options
