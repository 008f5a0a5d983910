"""One row of one admitted request: its progress, its state, and the request it belongs to."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from anytime.model_store.tensors import Dims
from anytime.policy import Ahead, Decision, Outcome, Reader, Walk
from anytime.service.engine.messages import RowAnswer, RowTrace, Work
from anytime.service.engine.program import Piece, Program
from anytime.service.engine.served import Served
from anytime.service.engine.ticket import NEVER, Ticket

Key = tuple[int, int, float, int, int]
"""What the scheduler orders by: minus priority, band, deadline, order of admission, row. The smallest runs first."""
MUST, MAY = 0, 1
"""The bands: a row that must still be answered; a row with a deadline and an answer, which its timer will give.

So everybody's first exit comes before anybody's second, among those with deadlines: an answer is not lost by waiting.
"""
OPEN_S = 1.0
"""A row without a deadline is ordered as if it were due this long after it came: behind the hasty, but never for ever."""


class Job:
    """State, outcomes, stage and cost of one row, released together at one point.

    Owned by the scheduler while it waits and by one worker while it runs; ``ended`` may be set by anyone who holds the
    engine's lock, and whoever finds it set drops the job.
    """

    __slots__ = (
        "_leg", "_piece", "ended", "first_at", "has_clock", "key", "legs", "piece", "row", "served", "slots", "streams",
        "ticket", "waiting", "walk",
    )  # fmt: skip

    def __init__(self, ticket: Ticket, row: int, slots: dict[int, np.ndarray]) -> None:
        self.ticket = ticket
        self.row = row
        self.served: Served = ticket.served
        self.legs = ticket.program.legs
        self.walk = Walk(ticket.program.plan)
        self.slots = slots
        """Slot index -> (1, ...): the tensors that a later graph of this row can still read."""
        self.key: Key = self._key(MUST)
        self.ended = False
        self.waiting: list[Any] | None = None
        """The scheduler's entry while the job waits."""
        self.first_at: float | None = None
        """When its first exit spoke, on ``time.perf_counter``."""
        self.has_clock = ticket.due_at != NEVER or self.walk.plan.policy.max_ms is not None
        """Whether the time may stop it at an exit. Else it may run on from exit to exit, for nothing outside it decides."""
        self.streams = ticket.streams
        """Whether somebody is told of each exit."""
        self._leg = 0
        self._piece = 0
        self.piece: Piece = self.legs[0][0]
        """What to run next."""

    @property
    def is_new(self) -> bool:
        """Whether it stands before its first piece."""
        return self.piece is self.legs[0][0]

    def heard(self, outcome: Outcome, ahead: Ahead | None) -> Decision:
        """The consulted exit spoke: stop, or stand before the next leg."""
        if self.first_at is None:
            self.first_at = time.perf_counter()
            if self.ticket.due_at != NEVER and not self.walk.plan.policy.exact:
                self.key = self._key(MAY)
        decision = self.walk.heard(outcome, ahead)
        if not decision.stops:
            self._leg += 1
            self._piece = 0
            self.piece = self.legs[self._leg][0]
        return decision

    def passes(self, reader: Reader, logits: np.ndarray) -> bool:
        """Whether the consulted exit lets the row go on, by its top probability alone; then it stands before the next leg.

        ``logits``: (labels,), all that the exit has said.
        """
        if not self.walk.passes(reader, logits):
            return False
        if self.first_at is None:
            self.first_at = time.perf_counter()
        self._leg += 1
        self._piece = 0
        self.piece = self.legs[self._leg][0]
        return True

    def go_on(self) -> None:
        """No exit was due: stand before the leg's next piece."""
        self._piece += 1
        self.piece = self.legs[self._leg][self._piece]

    def release(self) -> None:
        """Drop the state: the one place where a row's tensors go."""
        self.ended = True
        self.slots = {}

    def _key(self, band: int) -> Key:
        ticket = self.ticket
        due_at = ticket.arrived + OPEN_S if ticket.due_at == NEVER else ticket.due_at
        return (-ticket.program.plan.policy.priority, band, due_at, ticket.number, self.row)

    def prediction(self, outcome: Outcome) -> RowAnswer:
        """What an exit just said, on the way."""
        walk = self.walk
        return RowAnswer(self.row, walk.answer_with(outcome), walk.depth, walk.cost, walk.compute_ms, reason=None)

    def final(self) -> RowAnswer:
        """The reply of a row that stopped with at least one outcome."""
        walk = self.walk
        assert walk.decision is not None, "a final row has stopped"
        trace = None
        if self.ticket.traces:
            graphs = tuple((node.stage, node.part, ms) for node, ms in walk.done)
            trace = RowTrace(tuple((outcome.exit, outcome.outputs) for outcome in walk.outcomes), graphs)
        return RowAnswer(self.row, walk.answer(), walk.depth, walk.cost, walk.compute_ms, walk.decision.reason, trace)


def first_slots(served: Served, program: Program, work: Work, row: int, dims: Dims) -> dict[int, np.ndarray]:
    """Slot -> (1, ...) of the inputs and start values that the program reads."""
    slots = served.flow.slots
    return {
        slot: work.tensors[slots[slot].name][row : row + 1]
        if slots[slot].source == "input"
        else served.start(slot, dims)
        for slot in program.starts
    }
