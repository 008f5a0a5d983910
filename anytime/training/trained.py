"""The exits that a run trained, in torch as they were, against the graphs that its bundle serves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from anytime.model_store import Bundle, Node
from anytime.model_store.manifest import LOGITS
from anytime.training.add_exits import make_method, read_options, read_readings
from anytime.training.attach.inputs import Batch
from anytime.training.errors import RunFailed
from anytime.training.exits import Cached, exit_logits
from anytime.training.exits.export import FEATURE
from anytime.training.loop import Keeping, checkpoint
from anytime.training.methods.ztw import Ztw
from anytime.training.parity import BATCHES, Difference, batch_sizes, differences, inputs_of
from anytime.training.record import open_sessions, starts, walk

HEADS = "torch and heads"


def compare_trained(run: Path, bundle: Bundle, inputs: Batch) -> list[Difference]:
    """The checkpoint's exits against the bundle's heads, on what its bodies make of rows, in batches of several sizes.

    The exit that is the network itself is left out: it was not trained here. Raises ``RunFailed`` where the run lacks what
    it was trained with.
    """
    expects = inputs_of(bundle)
    rows = min(expects.check(inputs), max(BATCHES))
    sessions, options, readings = open_sessions(bundle), read_options(run), read_readings(run)
    trained = bundle.manifest.exits if options.ztw.ensemble_final else bundle.manifest.exits - 1
    found: list[Difference] = []
    method = None
    for size in batch_sizes(rows, one_row=expects.one_row):
        some = {name: values[:size] for name, values in inputs.items()}
        slots = starts(bundle, some)
        said = {node.stage: heads[LOGITS] for node, heads, _ in walk(bundle.flow, sessions, slots) if heads}
        features = [_feature(head, slots, bundle, run) for head in bundle.flow.heads[:trained]]
        base = features.pop() if options.ztw.ensemble_final else said[bundle.manifest.exits]
        shrink = (one.shrink() for one in readings)
        features = [values if one is None else one.apply(values, some)
                    for one, values in zip(shrink, features, strict=True)]  # fmt: skip
        if method is None:
            method = make_method(options, [one.shape[1:] for one in features], len(bundle.manifest.labels))
            phase = "ensembles" if isinstance(method, Ztw) and method.ensembles is not None else "heads"
            path = Keeping(run).checkpoint(phase)
            if checkpoint.load(path, method, None) is None:
                raise RunFailed(f"{path} is not there; start the run again: it goes on and writes it")
        wanted = exit_logits(method, Cached(tuple(features), base, np.zeros(size, np.int64)), answers=True)
        found += differences(HEADS, size, [{LOGITS: wanted[:, exit]} for exit in range(trained)],
                             [{LOGITS: said[exit]} for exit in range(1, trained + 1)])  # fmt: skip
    return found


def _feature(head: Node, slots: Mapping[int, np.ndarray], bundle: Bundle, run: Path) -> np.ndarray:
    """What a head reads of the network."""
    slot = dict(head.reads).get(FEATURE)
    if slot is None:
        raise RunFailed(f"the heads of {bundle.folder} are not those that {run} trained; start the run again")
    return slots[slot]
