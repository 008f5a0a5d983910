"""What the fields of a manifest say together: names, axes, the dataflow's ends, levels, pictures and files.

Nothing here opens a file; what the files say is checked in ``verify``.
"""

from __future__ import annotations

import math
from itertools import pairwise

from anytime.model_store import limits
from anytime.model_store.calibration import check_calibration
from anytime.model_store.errors import Contradiction, TooLarge
from anytime.model_store.flow import build_flow
from anytime.model_store.manifest import LOGITS, Graph, Input, Level, Manifest, Preprocess, StartFile, State
from anytime.model_store.nearest import nearest
from anytime.model_store.paths import check_path
from anytime.model_store.tensors import ROW_AXIS, row_bytes

PICTURE_DTYPES = ("uint8", "float16", "float32", "float64")
AUTO_LEVEL = "auto"
"""What a policy says for "whichever level passes": no level may be called so."""


def check(manifest: Manifest) -> None:
    """Raise ``Contradiction``, ``PathOutside``, ``TooLarge`` or ``StateUnwritten`` where fields disagree."""
    _check_files(manifest)
    _check_axes(manifest)
    _check_names(manifest)
    for tensor in manifest.tensors:
        _check_tensor(tensor, manifest)
    _check_levels(manifest)
    _check_stages(manifest)
    check_calibration(manifest)
    for entry in manifest.inputs:
        if entry.preprocess is not None:
            _check_picture(entry, entry.preprocess)
    if build_flow(manifest).macs_full <= 0:
        raise Contradiction(
            "the last head and all it needs count 0 multiply-adds; give macs so that a cost has a scale"
        )


def graphs(manifest: Manifest) -> list[tuple[str, Graph]]:
    """Every graph in the bundle's order, with words for where it stands: ``("stage 1's head", graph)``."""
    found: list[tuple[str, Graph]] = []
    for number, stage in enumerate(manifest.stages, start=1):
        if stage.body is not None:
            found.append((f"stage {number}'s body", stage.body))
        found.append((f"stage {number}'s head", stage.head))
    return found


def _check_files(manifest: Manifest) -> None:
    for path in manifest.files:
        check_path(path)
    starts = [state.start.file for state in manifest.state if isinstance(state.start, StartFile)]
    graph_files = [graph.file for _, graph in graphs(manifest)]
    for path in (*graph_files, *starts):
        check_path(path)
        if path not in manifest.files:
            raise Contradiction(f"the file {path!r} is used and not in files; {nearest(path, manifest.files)}")
    for path in graph_files:
        if manifest.files[path].bytes > limits.GRAPH_BYTES:
            raise TooLarge(
                f"the graph {path!r} is larger than {limits.GRAPH_BYTES} bytes; move weights to external data"
            )


def _check_axes(manifest: Manifest) -> None:
    for symbol, size in manifest.axes.items():
        if symbol == ROW_AXIS:
            raise Contradiction(
                f"axes bounds {ROW_AXIS!r}; the rows of a request are the server's to bound: leave it out"
            )
        if not size.min <= size.typical <= size.max:
            raise Contradiction(
                f"axis {symbol!r} has min {size.min}, typical {size.typical}, max {size.max}; wanted them in this order"
            )


def _check_names(manifest: Manifest) -> None:
    seen: set[str] = set()
    for tensor in manifest.tensors:
        if tensor.name in seen:
            raise Contradiction(f"{tensor.name!r} is declared twice among inputs and state; rename one")
        if tensor.name in manifest.head_outputs:
            raise Contradiction(f"{tensor.name!r} is a head output and cannot name an input or a state; rename it")
        seen.add(tensor.name)


def _check_tensor(tensor: Input | State, manifest: Manifest) -> None:
    rows, *axes = tensor.shape
    if rows != ROW_AXIS or ROW_AXIS in axes:
        raise Contradiction(f"{tensor.name!r} has the shape {tensor.shape}; wanted {ROW_AXIS!r} first and nowhere else")
    symbols = [axis for axis in axes if isinstance(axis, str)]
    for symbol in symbols:
        if symbol not in manifest.axes:
            raise Contradiction(
                f"{tensor.name!r} has the axis {symbol!r}, not in axes; {nearest(symbol, manifest.axes)}"
            )
    most = row_bytes(tensor.dtype, tensor.shape, {symbol: size.max for symbol, size in manifest.axes.items()})
    if most > limits.ROW_BYTES:
        raise TooLarge(
            f"a row of {tensor.name!r} may take {most} bytes; the bound is {limits.ROW_BYTES}: lower its axes"
        )
    if isinstance(tensor, State):
        _check_start(tensor, symbols, manifest)


def _check_start(state: State, symbols: list[str], manifest: Manifest) -> None:
    if isinstance(state.start, StartFile) and symbols:
        raise Contradiction(f"state {state.name!r} starts from a file and has the symbolic axis {symbols[0]!r}; fix it")
    asked = {axis for entry in manifest.inputs for axis in entry.shape}
    unknown = [symbol for symbol in symbols if symbol not in asked]
    if state.start is not None and unknown:
        raise Contradiction(f"state {state.name!r} has a start, and no input says how long its axis {unknown[0]!r} is")


def _check_levels(manifest: Manifest) -> None:
    levels = manifest.levels
    if levels is None:
        return
    names = [level.name for level in levels]
    if len(set(names)) != len(names) or AUTO_LEVEL in names:
        raise Contradiction(f"levels are named {names}; wanted distinct names, none of them {AUTO_LEVEL!r}")
    if levels[0].labels != manifest.labels:
        raise Contradiction(f"level {names[0]!r} is the finest and its labels differ from labels; make them equal")
    if levels[-1].parent is not None:
        raise Contradiction(f"level {names[-1]!r} is the coarsest and has a parent; leave it out")
    for level, coarser in pairwise(levels):
        _check_parent(level, coarser)


def _check_parent(level: Level, coarser: Level) -> None:
    if level.parent is None or len(level.parent) != len(level.labels):
        got = "none" if level.parent is None else len(level.parent)
        raise Contradiction(
            f"level {level.name!r} has {got} parents for {len(level.labels)} labels; give one per label"
        )
    if max(level.parent) >= len(coarser.labels):
        raise Contradiction(
            f"level {level.name!r} has the parent {max(level.parent)}; "
            f"level {coarser.name!r} has labels 0 to {len(coarser.labels) - 1}"
        )


def _check_stages(manifest: Manifest) -> None:
    if manifest.repeat is not None and manifest.repeat > manifest.exits:
        raise Contradiction(f"repeat is {manifest.repeat}; the bundle has {manifest.exits} stages")
    states = frozenset(tensor.name for tensor in manifest.tensors)
    for where, graph in graphs(manifest):
        writable = states | manifest.head_outputs if where.endswith("head") else states
        _check_graph(where, graph, states, writable)
    for number, stage in enumerate(manifest.stages, start=1):
        missing = set(manifest.logits_names) - set(stage.head.writes.values())
        if missing:
            raise Contradiction(
                f"stage {number}'s head does not write {min(missing)!r}; every head writes each {LOGITS}"
            )


def _check_graph(where: str, graph: Graph, readable: frozenset[str], writable: frozenset[str]) -> None:
    for name in graph.reads.values():
        if name not in readable:
            raise Contradiction(f"{where} reads the unknown state {name!r}; {nearest(name, sorted(readable))}")
    for name in graph.writes.values():
        if name not in writable:
            raise Contradiction(f"{where} writes {name!r}, which it may not; {nearest(name, sorted(writable))}")
    if len(set(graph.writes.values())) != len(graph.writes):
        raise Contradiction(f"{where} writes one name from two ONNX outputs; a name has one writer in a graph")


def _check_picture(entry: Input, spec: Preprocess) -> None:
    where = f"input {entry.name!r}"
    if entry.dtype not in PICTURE_DTYPES or any(isinstance(axis, str) for axis in entry.shape[1:]):
        raise Contradiction(f"{where} has preprocess; wanted fixed axes and a dtype of {', '.join(PICTURE_DTYPES)}")
    channels = 3 if spec.channels == "rgb" else 1
    for name, values in (("mean", spec.mean), ("std", spec.std)):
        if len(values) not in (1, channels):
            raise Contradiction(f"{where}: preprocess.{name} has {len(values)} numbers; wanted 1 or {channels}")
    if entry.dtype == "uint8" and (set(spec.mean) != {0.0} or set(spec.std) != {1.0}):
        raise Contradiction(f"{where} is uint8: its pixels stay 0 to 255, so preprocess takes no mean and no std")
    height, width = _picture_size(where, spec)
    wanted = math.prod(axis for axis in entry.shape[1:] if isinstance(axis, int))
    if channels * height * width != wanted:
        raise Contradiction(
            f"{where}: preprocess makes {channels} x {height} x {width} numbers, and a row has {wanted}; change either"
        )


def _picture_size(where: str, spec: Preprocess) -> tuple[int, int]:
    """(height, width) after resizing and cropping, whatever the picture was."""
    least = (spec.resize, spec.resize) if isinstance(spec.resize, int) else spec.resize
    if spec.crop is None:
        if not isinstance(spec.resize, tuple):
            raise Contradiction(f"{where}: preprocess leaves the size open; give crop, or resize as [height, width]")
        return spec.resize
    if least is not None and (spec.crop[0] > least[0] or spec.crop[1] > least[1]):
        raise Contradiction(f"{where}: preprocess crops {spec.crop} from {least}; wanted a crop that fits")
    return spec.crop
