"""Whether a request is let in: bounds on rows and state, and whether its deadline can be met at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from anytime.policy import Plan
from anytime.service.engine.job import Job
from anytime.service.engine.served import Served
from anytime.service.errors import (
    BatchTooLarge,
    DeadlineBeforeFirstExit,
    DeadlineBeforeFullDepth,
    DeadlineUnreachable,
    Overloaded,
    QueueFull,
    ServiceError,
    StateFull,
)

_RETRY_FLOOR_S = 0.05
_LOOKED_AT = 256


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the engine holds at most: admitted rows that have not ended, and bytes of their state."""

    rows: int
    state_bytes: int

    def hold(self, rows: int, state_bytes: int) -> bool:
        """Whether all of this may be under way at once."""
        return rows <= self.rows and state_bytes <= self.state_bytes


class Load(NamedTuple):
    """What the engine holds now."""

    rows: int
    state_bytes: int


def must_have_ms(served: Served, plan: Plan, now: float) -> float:
    """The typical compute before a row can be answered at all: its first exit, or all of it for ``exact``."""
    legs = plan.legs if plan.policy.exact else plan.legs[:1]
    return sum(served.evident_ms(leg.nodes, now) for leg in legs)


def wait_ms(ahead: Iterable[Job], workers: int) -> float:
    """How long ``workers`` need for what they must do before a new request: the rest of each leg that waits ahead.

    At most ``_LOOKED_AT`` jobs are looked at; the others count as their mean.
    """
    jobs = list(ahead)
    looked = jobs[:_LOOKED_AT]
    total = sum(job.served.typical_ms(job.walk.rest) for job in looked)
    return total / workers * (len(jobs) / len(looked)) if looked else 0.0


def refuse(bounds: Bounds, load: Load, rows: int, row_bytes: int) -> Overloaded | BatchTooLarge | None:
    """The bounds' refusal of a request, or None. One that would not even fit an idle server is not told to retry."""
    if rows > bounds.rows or rows * row_bytes > bounds.state_bytes:
        return BatchTooLarge(
            f"{rows} rows with {rows * row_bytes} bytes of state are more than this server holds at all, {bounds.rows} rows "
            f"and {bounds.state_bytes} bytes: split the request",
            rows=rows,
        )
    if load.rows + rows > bounds.rows:
        return QueueFull(
            f"{load.rows} rows are under way and the queue holds {bounds.rows}; {rows} more do not fit: retry later"
        )
    if load.state_bytes + rows * row_bytes > bounds.state_bytes:
        return StateFull(
            f"the rows under way hold {load.state_bytes} of {bounds.state_bytes} bytes of state; {rows * row_bytes} more "
            "do not fit: retry later"
        )
    return None


def retry_after(refusal: ServiceError, wait: float) -> ServiceError:
    """An overload's refusal with when to come back, once ``wait`` milliseconds of work are done; others as they are."""
    if isinstance(refusal, Overloaded):
        refusal.retry_after_s = round(max(_RETRY_FLOOR_S, wait / 1e3), 3)
    return refusal


def refuse_deadline(served: Served, plan: Plan, due_at: float, now: float, wait: float) -> ServiceError | None:
    """The refusal of a deadline that is missed even on an idle server (504), or only because of load (429)."""
    left_ms = (due_at - now) * 1e3
    needed = must_have_ms(served, plan, now)
    if needed > left_ms:
        what, error = (
            ("full depth", DeadlineBeforeFullDepth) if plan.policy.exact else ("exit 1", DeadlineBeforeFirstExit)
        )
        return error(
            f"{max(0.0, left_ms):.2f} ms are left of deadline_ms {plan.policy.deadline_ms:g}, but {what} usually takes "
            f"{needed:.2f} ms even on an idle server: allow more"
        )
    if wait + needed > left_ms:
        late = DeadlineUnreachable(
            f"{left_ms:.1f} ms are left, but {wait:.1f} ms of work is ahead of this request: retry later"
        )
        return retry_after(late, wait)
    return None


def too_late(plan: Plan) -> ServiceError:
    """The end of an admitted row whose deadline passed before it could be answered."""
    if plan.policy.exact:
        return DeadlineBeforeFullDepth(
            "the deadline passed before full depth; leave 'exact' out to get the best so far"
        )
    return DeadlineBeforeFirstExit("the deadline passed before the first exit: the server is busy, retry later")
