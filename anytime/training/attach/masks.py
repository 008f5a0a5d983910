"""The mask inputs of a network: which positions of a row count, as running the network tells and not only their name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from anytime.model_store.tensors import Axis, bind
from anytime.training.apart import apart
from anytime.training.attach.inputs import NetworkInput
from anytime.training.attach.network import Network
from anytime.training.attach.session import open_session, run_session

_SAME = 1e-5
"""What scores may differ, as ``apart`` counts, where a position is hidden: a masked attention adds next to nothing."""


@dataclass(frozen=True)
class Mask:
    """An input (rows, positions) that says of each position whether it counts."""

    input: str
    """Its name, in the network and in a bundle alike: no name with "mask" in it means something else there."""
    axis: Axis
    """The positions."""
    keeps: bool
    """A position counts where the mask is not 0, as in ``attention_mask``; else where it is 0, as torch pads."""


def mask_inputs(network: Network) -> list[NetworkInput]:
    """The inputs that are called a mask and look like one: whole numbers or truth values, (rows, positions)."""
    return [
        entry for entry in network.inputs.tensors
        if "mask" in entry.name.lower() and len(entry.shape) == 2 and entry.dtype.startswith(("int", "uint", "bool"))
    ]  # fmt: skip


def find_masks(network: Network) -> Mapping[Axis, Mask]:
    """By the axis of the positions, the first mask input that hides them.

    It does where the scores stay the same whatever the other inputs hold at positions that the mask leaves out, and change
    with what they hold there if it does not. The later half of the positions is tried, as where texts are padded; then the
    earlier half, for networks that answer by a late token. Raises ``BadClassifier`` where the network does not run.
    """
    candidates = [entry for entry in mask_inputs(network) if bind(entry.shape, network.inputs.typical(1))[1] > 1]
    session = open_session(network.model, network.name) if candidates else None
    found: dict[Axis, Mask] = {}
    for entry, is_late in product(candidates, (True, False)):
        assert session is not None, "there is a candidate"
        if entry.shape[1] in found:
            continue
        hides = []
        for kept in (True, False):
            rows = _rows(network, entry, kept, is_late)
            first, second = (run_session(session, [network.scores], row, network.name)[0] for row in rows)
            hides += [kept] if apart(first, second) <= _SAME else []
        if len(hides) == 1:
            found[entry.shape[1]] = Mask(entry.name, entry.shape[1], hides[0])
    return found


def _rows(network: Network, mask: NetworkInput, kept: bool, is_late: bool) -> Sequence[Mapping[str, np.ndarray]]:
    """A row twice: the mask leaves out half of the positions, where no other input but masks is the same."""
    row = network.inputs.random(network.inputs.typical(1))
    middle = row[mask.name].shape[1] // 2
    hidden = slice(middle, None) if is_late else slice(middle)
    row[mask.name][:] = kept
    row[mask.name][:, hidden] = not kept
    others = {entry.name: entry for entry in network.inputs.tensors if entry not in mask_inputs(network)}
    return row, {**row, **{name: _changed(row[name], entry, mask.shape[1], hidden) for name, entry in others.items()}}


def _changed(values: np.ndarray, entry: NetworkInput, axis: Axis, hidden: slice) -> np.ndarray:
    """Other numbers at the ``hidden`` places of ``axis``, where the input has it: for indices 0 and 1 each the other."""
    changed = values.copy()
    for place, one in enumerate(entry.shape):
        if place and one == axis:
            where = (slice(None),) * place + (hidden,)
            changed[where] = values[where] + 1 if values.dtype.kind == "f" else values[where] ^ 1
    return changed
