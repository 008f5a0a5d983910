"""The places where a network may be cut: one tensor passes, besides what can be had again from the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal

from anytime.model_store.nearest import nearest
from anytime.model_store.tensors import Shape
from anytime.training.attach.channels import channel_axes
from anytime.training.attach.network import Network
from anytime.training.attach.passages import Passages, Place
from anytime.training.attach.tensors import Described, describe, shapes_of_one_row
from anytime.training.errors import BadOption, NetworkUncuttable, NotACut

EXITS = 8
"""The exits that a network gets unless told otherwise, the last included: more are rarely worth their boundaries."""
_EARLY, _LATE = 0.05, 0.95
"""Shares of the multiply-adds between which an exit is worth having: before, it knows little; after, it saves little."""
_SHOWN = 5
_LAYOUT = frozenset((
    "Cast", "Concat", "Expand", "Flatten", "Gather", "GatherND", "GlobalAveragePool", "Identity", "Pad",
    "QuantizeLinear", "ReduceMean", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze",
))  # fmt: skip
"""Operators that lay a tensor out for what comes next, or take a part of it: a head sees more before them."""

Kind = Literal["map", "tokens", "signal", "vector", "other"]
_UNTOLD = {2: 1, 3: 2, 4: 1}
"""By the number of axes: where the channels are taken to be if nothing tells."""


@dataclass(frozen=True)
class Cut:
    """One place where a network may be cut."""

    tensor: str
    dtype: str
    shape: Shape
    """The rows first; open axes by name."""
    macs: int
    """Multiply-adds of a row before it, at the axes' usual sizes."""
    share: float
    """The same as a part of the whole network's."""
    told: int | None = None
    """The axis of the channels, where the graph tells it."""

    @property
    def channels(self) -> int | None:
        """The axis of the channels, always of a known size; ``None``: there is no such axis.

        Where the graph does not tell it is the last of tokens (N, T, D) and the first of a map (N, C, H, W), unless only
        another has a known size.
        """
        fixed = [axis for axis, size in enumerate(self.shape) if axis and isinstance(size, int)]
        default = _UNTOLD.get(len(self.shape))
        if default is None or not fixed:
            return None
        if self.told is not None:
            return self.told if self.told in fixed else None
        return default if default in fixed else fixed[0] if len(fixed) == 1 else None

    @property
    def kind(self) -> Kind:
        """vector (N, D), tokens (N, T, D), signal (N, C, L), or map (N, C, H, W) or (N, H, W, C)."""
        if self.channels is None:
            return "other"
        if len(self.shape) == 3:
            return "signal" if self.channels == 1 else "tokens"
        return "vector" if len(self.shape) == 2 else "map"


def find_cuts(network: Network) -> list[Cut]:
    """Every place worth an exit, shallowest first: of those with no multiply-add between them, one.

    That one is the last before the tensor is merely laid out anew, so behind a Relu and not before it. Raises
    ``NetworkUncuttable``, which says what passes.
    """
    passages = Passages(network.model.graph, network.work)
    places = _places(network, passages)
    described = _describe(network, [place.tensor for place in places])
    possible = _cuts(network, [place for place in places if place.tensor in described], described)
    usable = {cut.tensor: cut for cut in possible if _suits(cut) and described[cut.tensor].has_rows_first}
    if not usable:
        raise NetworkUncuttable(f"{network.name} cannot be cut: {_why(network, passages, places)}")
    left = (place for place in places if place.tensor in usable)
    chosen = [_best(network, list(group)) for _, group in groupby(left, key=lambda place: place.macs)]
    return [usable[place.tensor] for place in chosen]


def choose_cuts(network: Network, cuts: Sequence[Cut], *, count: int = EXITS, at: Sequence[str] = ()) -> list[Cut]:
    """At most ``count`` - 1 of ``cuts``, evenly by multiply-adds; or those at the tensors (or nodes) named.

    ``at`` may name any tensor that passes alone, be it among ``cuts`` or not. Raises ``BadOption`` for an unknown name
    or too few exits, ``NotACut`` where more passes than the tensor named, and ``NetworkUncuttable`` where no exit would
    be worth having.
    """
    if at:
        return _named(network, cuts, at)
    if count < 2:
        raise BadOption(f"{count} exits leave nothing to cut; wanted 2 or more, the last included")
    worth = [cut for cut in cuts if _EARLY <= cut.share <= _LATE]
    if not worth:
        shares = ", ".join(f"{cut.tensor} {cut.share:.1%}" for cut in cuts[:_SHOWN])
        raise NetworkUncuttable(
            f"{network.name} can be cut only where an exit is not worth having ({shares} of the multiply-adds before "
            f"it; wanted {_EARLY:.0%} to {_LATE:.0%}){_skips(network)}; name places with --at to insist"
        )
    return _spread(worth, count - 1)


def _places(network: Network, passages: Passages) -> list[Place]:
    """Between the multiply-adds, all of which behind the place build on its tensor: queries without keys are no exit.

    Nor does an embedding pass beside it, unless it does so nearly everywhere.
    """
    loose = [place for place in passages.places() if 0 < place.macs < network.macs and not place.starts_again]
    strict = Passages(network.model.graph, network.work, tables_weigh=True)
    alone = {place.tensor for place in strict.places() if not place.starts_again}
    whole = [place for place in loose if place.tensor in alone]
    return whole if 2 * len(whole) >= len(loose) else loose


def _spread(cuts: Sequence[Cut], wanted: int) -> list[Cut]:
    """For each even share the nearest cut that leaves enough for the shares behind it."""
    wanted = min(wanted, len(cuts))
    chosen: list[int] = []
    for number in range(1, wanted + 1):
        first, last = (chosen[-1] + 1 if chosen else 0), len(cuts) - (wanted - number)
        target = number / (wanted + 1)
        chosen.append(min(range(first, last), key=lambda index: abs(cuts[index].share - target)))
    return [cuts[index] for index in chosen]


def _named(network: Network, cuts: Sequence[Cut], names: Sequence[str]) -> list[Cut]:
    known = {cut.tensor: cut for cut in cuts}
    passages = Passages(network.model.graph, network.work)
    nodes = {node.name: node.output[0] for node in network.model.graph.node if node.name and node.output}
    tensors = [name if passages.is_written(name) else nodes.get(name, name) for name in names]
    for name, tensor in zip(names, tensors, strict=True):
        if not passages.is_written(tensor):
            raise BadOption(f"{network.name} has no tensor {name!r} that it computes; {nearest(name, known)}")
        if tensor == network.scores:
            raise BadOption(f"{name!r} is where {network.name} ends, which is an exit anyway; leave it out")
        _check_alone(network, passages, tensor, known)
    described = _describe(network, tensors)
    for tensor in tensors:
        if tensor not in described or not described[tensor].has_rows_first:
            raise NotACut(f"{network.name}: {tensor!r} has no shape in terms of the rows and the inputs' axes; "
                          f"{nearest(tensor, known)}")  # fmt: skip
    new = _cuts(network, [passages.place(tensor) for tensor in tensors if tensor not in known], described)
    known |= {cut.tensor: cut for cut in new}
    found = [known[tensor] for tensor in dict.fromkeys(tensors)]
    found.sort(key=lambda cut: passages.place(cut.tensor).node)
    for earlier, later in pairwise(found):
        if not passages.leads_to(earlier.tensor, later.tensor):
            raise NotACut(f"{network.name}: {later.tensor!r} does not follow from {earlier.tensor!r}; name either")
    return found


def _check_alone(network: Network, passages: Passages, tensor: str, known: dict[str, Cut]) -> None:
    beside = passages.beside(tensor)
    if beside:
        raise NotACut(
            f"{network.name} cannot be cut at {tensor!r}: {_listed(beside)} also {'pass' if beside[1:] else 'passes'} "
            f"there; {nearest(tensor, known)}"
        )


def _describe(network: Network, tensors: Sequence[str]) -> Mapping[str, Described]:
    return describe(network.model, network.inputs, tensors, network.name)


def _suits(cut: Cut) -> bool:
    """Heads read floats of two to four axes, the channels of a known size: a linear layer goes over them."""
    return cut.dtype.startswith("float") and cut.kind != "other"


def _best(network: Network, places: Sequence[Place]) -> Place:
    nodes = network.model.graph.node
    telling = [place for place in places if nodes[place.node].op_type not in _LAYOUT]
    return (telling or places)[-1]


def _cuts(network: Network, places: Sequence[Place], described: Mapping[str, Described]) -> list[Cut]:
    if not places:
        return []
    told = channel_axes(network.model.graph, shapes_of_one_row(network.model, network.inputs, network.name))
    whole = max(network.macs, 1)
    return [
        Cut(place.tensor, one.dtype, one.shape, place.macs, place.macs / whole, told.get(place.tensor))
        for place in places
        for one in (described[place.tensor],)
    ]


def _why(network: Network, passages: Passages, places: Sequence[Place]) -> str:
    if network.macs == 0:
        return "it has no multiply-adds that can be counted; wanted a network of several layers"
    if places:
        return (
            f"{_listed([place.tensor for place in places])} pass alone and are no float tensors of two to four axes, "
            f"the rows first and as many channels for every row; export it with such tensors between its blocks"
        )
    again = [place.tensor for place in passages.places() if 0 < place.macs < network.macs]
    if again:
        return (
            f"{_listed(again)} pass alone, but layers behind them begin from the inputs again, so an exit there would "
            f"know only a part; name places with --at to insist"
        )
    return f"nothing passes alone between its multiply-adds{_skips(network)}; wanted a network of several layers"


def _skips(network: Network) -> str:
    """A clause on what passes at the narrowest place where an exit would be worth having, if that is too much."""
    narrows = Passages(network.model.graph, network.work).narrowest(_EARLY * network.macs, _LATE * network.macs)
    if narrows is None or len(narrows.tensors) < 2:
        return ""
    return (
        f"; even at the narrowest place between, after {narrows.macs / network.macs:.0%}, {len(narrows.tensors)} tensors "
        f"pass ({_listed(narrows.tensors)}), as where skip connections reach from one layer to all later ones: join them "
        f"into one tensor (Concat) in the export"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more
