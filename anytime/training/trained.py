"""The exits that a run trained, in torch as they were, against the graphs that its bundle serves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anytime.model_store import Bundle
from anytime.model_store.manifest import LOGITS
from anytime.model_store.tensors import DTYPES, bind
from anytime.training.attach.cache import open_cached
from anytime.training.errors import RunFailed
from anytime.training.exits import Cached, Method, exit_logits
from anytime.training.loop import Keeping, checkpoint
from anytime.training.methods.sdn import Sdn
from anytime.training.methods.ztw import Ztw, ZtwOptions
from anytime.training.models.heads import HeadOptions
from anytime.training.parity import BATCHES, Difference, batch_sizes, differences
from anytime.training.record import open_sessions

HEADS = "torch and heads"
FEATURE = "feature"
"""What the graph of every exit that torch exported calls the tensor of its cut."""


@dataclass(frozen=True)
class _Cut:
    """What an exit's head reads of the network: a state's row shape at its usual sizes."""

    shape: tuple[int, ...]
    dtype: str


def compare_trained(run: Path, bundle: Bundle) -> list[Difference]:
    """The checkpoint's exits against the bundle's heads, on the features that the run stored, in batches of several sizes.

    The heads hand on what later ones read. Features that were reduced before they were stored stand for whole ones that
    reduce to them. Raises ``RunFailed`` where the run lacks what it was trained with.
    """
    made = _read(run)
    cuts = _cuts(bundle, run, bundle.manifest.exits - (not made.ends_in_ensemble))
    method = _method(made, run, cuts, len(bundle.manifest.labels))
    features, base = _stored(run, cuts[: len(method.heads)])
    heads = _Heads(bundle)
    found: list[Difference] = []
    for size in batch_sizes(len(base)):
        rows = [one[:size] for one in features]
        wanted = exit_logits(method, Cached(tuple(rows), base[:size], np.zeros(size, np.int64)), answers=True)
        said = heads.run([*rows, base[:size]][: len(cuts)])
        expected = [{LOGITS: wanted[:, index]} for index in range(len(cuts))]
        found += differences(HEADS, size, expected, [{LOGITS: logits} for logits in said])
    return found


@dataclass(frozen=True)
class _MadeBy:
    """What ``run.json`` says of the exits."""

    method: str
    head: HeadOptions
    ztw: ZtwOptions
    seed: int

    @property
    def ends_in_ensemble(self) -> bool:
        """The last exit is one that was trained too; else it is the network itself."""
        return self.method == "ztw" and self.ztw.ensemble_final


def _read(run: Path) -> _MadeBy:
    path = run / "run.json"
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        made = _MadeBy(said["method"], HeadOptions(**said["head"]), ZtwOptions(**said["ztw"]), int(said["seed"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFailed(f"{path} does not say how exits were made: {error!r}; give the folder of a run") from error
    if made.method not in ("ztw", "sdn"):
        raise RunFailed(f"{run} was trained by {made.method!r}, and export knows ztw and sdn; export its bundle alone")
    return made


def _cuts(bundle: Bundle, run: Path, count: int) -> list[_Cut]:
    """Of each exit that torch exported, shallowest first."""
    states = {state.name: state for state in bundle.manifest.state}
    sizes = {axis: size.typical for axis, size in bundle.manifest.axes.items()}
    read = [states.get(stage.head.reads.get(FEATURE, "")) for stage in bundle.manifest.stages[:count]]
    known = [state for state in read if state is not None]
    if len(known) != len(read):
        raise RunFailed(f"the heads of {bundle.folder} are not those that {run} trained; start the run again")
    return [_Cut(bind(state.shape[1:], sizes), state.dtype) for state in known]


def _method(made: _MadeBy, run: Path, cuts: Sequence[_Cut], labels: int) -> Method:
    shapes = [one.shape for one in cuts]
    method: Method
    if made.method == "sdn":
        method = Sdn(shapes, labels, made.head, seed=made.seed)
    else:
        heads = shapes[: len(shapes) - made.ends_in_ensemble]
        method = Ztw(heads, labels, made.head, made.ztw, seed=made.seed)
    phase = "ensembles" if isinstance(method, Ztw) and method.ensembles is not None else "heads"
    path = Keeping(run).checkpoint(phase)
    if checkpoint.load(path, method, None) is None:
        raise RunFailed(f"{path} is not there; start the run again: it goes on and writes it")
    return method.eval()


def _stored(run: Path, cuts: Sequence[_Cut]) -> tuple[list[np.ndarray], np.ndarray]:
    """(features of each cut, the network's logits), of as many rows as the largest batch has."""
    names = (*(f"cut-{number}" for number in range(1, len(cuts) + 1)), LOGITS)
    for folder in sorted((run / "features").glob("[0-9a-f]*")):
        found = open_cached(folder, names)
        if found is not None:
            rows = [np.asarray(found[name][: max(BATCHES)]) for name in names]
            features = [_spread(one, cut) for one, cut in zip(rows[:-1], cuts, strict=True)]
            return features, rows[-1]
    raise RunFailed(f"{run / 'features'} holds no features; start the run again: it computes them anew")


def _spread(stored: np.ndarray, cut: _Cut) -> np.ndarray:
    """(rows, channels) of a mean or a first token -> a feature that has it; what was stored whole is as it is."""
    values = stored.astype(DTYPES[cut.dtype])
    if values.ndim == len(cut.shape) + 1:
        return values
    values = values[:, :, np.newaxis, np.newaxis] if len(cut.shape) == 3 else values[:, np.newaxis]
    return np.ascontiguousarray(np.broadcast_to(values, (len(values), *cut.shape)))


class _Heads:
    """The bundle's heads alone, on given features."""

    def __init__(self, bundle: Bundle) -> None:
        self._heads, self._sessions = bundle.flow.heads, open_sessions(bundle)

    def run(self, features: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The logits of as many exits as there are features."""
        slots: dict[int, np.ndarray] = {}
        found = []
        for head, feature in zip(self._heads, features, strict=False):
            feeds = {tensor: feature if tensor == FEATURE else slots[slot] for tensor, slot in head.reads}
            outputs = [*(tensor for tensor, _ in head.writes), *(tensor for tensor, _ in head.outputs)]
            said = dict(zip(outputs, self._sessions[head.graph.file].run(outputs, feeds), strict=True))
            slots |= {slot: said[tensor] for tensor, slot in head.writes}
            found.append(next(said[tensor] for tensor, name in head.outputs if name == LOGITS))
        return found
