"""Who runs next: pure choice, no clock, no threads, no I/O.

Higher priority first, then rows that must still be answered, then those whose timer will give the answer that they have;
in each the earliest deadline, then first come. A row without a deadline counts as due a second after it came. Rows that
wait for the same piece in the same shapes share a run: as many as the profile says pays and as the most urgent has time
for, but never more than their share of the workers that are idle.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from anytime.service.engine.job import Job, Key
from anytime.service.engine.program import Piece

Entry = list[Any]
"""``[key, number, job]``. A husk has None for its job.

A job's husk and its next entry share a key: the number keeps comparisons from reaching the job."""
Group = tuple[Piece, tuple[int, ...]]

MANY = 1_000_000


class Scheduler:
    """The rows that wait. Every method is called under the engine's lock.

    Who leaves by another way than the top of the heap leaves a husk there, until it surfaces or is swept.
    """

    HUSKS = 128
    """Swept beyond this many, or three for each job that waits."""

    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._groups: dict[Group, dict[Job, None]] = {}
        self.waiting = 0
        """How many wait. The event loop reads it without the lock, to see whether there is load."""
        self.next_key: Key | None = None
        """Of the most urgent that waits, or of a husk before it; None if nobody does. A worker reads it without the lock."""
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return self.waiting

    def put(self, job: Job) -> None:
        """The job waits for its next piece."""
        job.waiting = entry = [job.key, next(self._numbers), job]
        self.waiting += 1
        heapq.heappush(self._heap, entry)
        self.next_key = self._heap[0][0]
        if job.piece.batch_limit > 1:
            self._groups.setdefault((job.piece, job.ticket.shape), {})[job] = None

    def discard(self, job: Job) -> None:
        """The job waits no longer: its client left, or its deadline's timer answered."""
        if job.waiting is not None:
            self._leave(job)
            self._sweep()

    def goes_on(self, job: Job) -> bool:
        """Whether ``take`` would choose this job, were it put back: nobody more urgent waits, and nobody could join its run.

        Asked without the lock: who comes in meanwhile is seen at the next boundary.
        """
        key = self.next_key
        return key is None or (job.key < key and job.piece.batch_limit == 1)

    def take(self, idle_workers: int = 0, in_time: Callable[[Job], int] = lambda job: MANY) -> list[Job]:
        """The jobs of the next run, most urgent first; empty if nothing waits.

        ``idle_workers``: workers without work besides the one that asks. ``in_time(job)``: the most rows that can run with a
        job without making it late; asked of the most urgent one.
        """
        first = self._pop()
        if first is None:
            return []
        mates = self._groups.get((first.piece, first.ticket.shape)) if first.piece.batch_limit > 1 else None
        if not mates:
            return [first]
        limit = min(first.piece.batch_limit, -(-(1 + len(mates)) // (idle_workers + 1)), in_time(first))
        chosen = heapq.nsmallest(max(0, limit - 1), mates, key=lambda job: job.key)
        for job in chosen:
            self._leave(job)
        self._sweep()
        return [first, *chosen]

    def ahead_of(self, key: Key) -> Iterator[Job]:
        """The waiting jobs that would run before a new one with this key."""
        return (job for entry_key, _, job in self._heap if job is not None and entry_key < key)

    def _pop(self) -> Job | None:
        while self._heap:
            job: Job | None = heapq.heappop(self._heap)[-1]
            self.next_key = self._heap[0][0] if self._heap else None
            if job is not None:
                self._leave(job)
                return job
        return None

    def _leave(self, job: Job) -> None:
        assert job.waiting is not None, "only who waits can leave"
        job.waiting[-1] = None
        job.waiting = None
        self.waiting -= 1
        if job.piece.batch_limit > 1:
            group = (job.piece, job.ticket.shape)
            members = self._groups[group]
            del members[job]
            if not members:
                del self._groups[group]

    def _sweep(self) -> None:
        if len(self._heap) > max(self.HUSKS, 4 * self.waiting):
            self._heap = [entry for entry in self._heap if entry[-1] is not None]
            heapq.heapify(self._heap)
            self.next_key = self._heap[0][0] if self._heap else None
