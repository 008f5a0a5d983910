"""After which blocks exits go. Blocks count from 1; the base network's own end is an exit anyway, and no place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from anytime.training.errors import BadOption
from anytime.training.models.backbone import Backbone, Shape
from anytime.training.models.count import count_blocks

SDN_SHARES = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
"""Of the multiply-adds: where Shallow-Deep Networks has its six (Kaya et al. 2019, section 5)."""


def every_place(backbone: Backbone) -> tuple[int, ...]:
    """After each block, as Zero Time Waste has it (appendix A.1)."""
    return tuple(range(1, len(backbone.blocks) + 1))


def check_places(backbone: Backbone, places: Sequence[int]) -> tuple[int, ...]:
    """The places as given. Raises ``BadOption`` unless they rise and each is a block."""
    last = len(backbone.blocks)
    if not places or any(a >= b for a, b in pairwise(places)) or places[0] < 1 or places[-1] > last:
        raise BadOption(f"exits after blocks {list(places)}; wanted rising numbers of blocks from 1 to {last}")
    return tuple(places)


def places_by_share(
    backbone: Backbone, input_shape: Shape, shares: Sequence[float] = SDN_SHARES
) -> tuple[int, ...]:  # fmt: skip
    """After the block at which the multiply-adds spent are nearest to each share of the network's; each block once."""
    if any(not 0 < share <= 1 for share in shares) or not shares:
        raise BadOption(f"exits at the shares {list(shares)} of the multiply-adds; wanted some between 0 and 1")
    macs = [count.macs for count in count_blocks(backbone, input_shape)]
    spent = [after / sum(macs) for after in accumulate(macs[:-1])]
    nearest = {min(range(len(spent)), key=lambda block: abs(spent[block] - share)) for share in shares}
    return tuple(block + 1 for block in sorted(nearest))
