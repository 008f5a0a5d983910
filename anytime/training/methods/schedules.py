"""How long and how fast the papers train each part: defaults, from which a recipe departs with ``dataclasses.replace``.

Nothing here trains; a schedule is read by the loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from anytime.training.errors import BadOption


@dataclass(frozen=True)
class Schedule:
    """``learning_rate`` times ``drop`` for every one of ``milestones`` that has passed; epochs count from 0."""

    epochs: int
    learning_rate: float
    milestones: tuple[int, ...] = ()
    drop: float = 0.1
    optimizer: Literal["adam", "sgd"] = "adam"
    batch: int = 128
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Raises ``BadOption``."""
        if self.epochs < 1 or self.batch < 1:
            raise BadOption(f"a schedule of {self.epochs} epochs in batches of {self.batch}; wanted 1 or more of both")
        if not (self.learning_rate > 0 and self.drop > 0 and self.momentum >= 0 and self.weight_decay >= 0):
            raise BadOption(f"{self}: wanted rates above 0, and a momentum and a weight decay that are not below")
        if any(not 0 < one < self.epochs for one in self.milestones):
            raise BadOption(
                f"the milestones {list(self.milestones)} of {self.epochs} epochs; wanted epochs above 0 and below "
                f"{self.epochs}, or none: set them too"
            )
        if self.optimizer == "adam" and self.momentum:
            raise BadOption(f"adam has no momentum to set ({self.momentum}); leave it out, or take sgd")

    def scaled(self, epochs: int) -> Schedule:
        """The same over other epochs, the milestones at the same shares; what would be the first is none."""
        moved = dict.fromkeys(round(one * epochs / self.epochs) for one in self.milestones)
        return replace(self, epochs=epochs, milestones=tuple(one for one in moved if 0 < one < epochs))

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch."""
        return self.learning_rate * self.drop ** sum(epoch >= one for one in self.milestones)


BACKBONE = Schedule(100, 0.1, (35, 60, 85), optimizer="sgd", momentum=0.9, weight_decay=1e-4)
"""SDN's base networks, which Zero Time Waste takes over; VGG and WRN with a weight decay of 5e-4."""

HEADS: Mapping[str, Schedule] = {
    "cifar": Schedule(50, 1e-3, (15,)),
    "tiny-imagenet": Schedule(50, 1e-3, (15, 40)),
    "imagenet": Schedule(40, 1e-5, (20, 30)),
}
"""Paper 001, appendix A.1, of SDN's heads and ZTW's alike."""

ENSEMBLES = Schedule(501, 5e-4, batch=512)
"""The authors' code; the paper says SGD and 500 epochs."""
