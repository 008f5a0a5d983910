"""Who runs next: pure choice, no clock, no threads, no I/O.

Higher priority first, then the earliest deadline, then first come. Rows that wait for the same piece in the same shapes share
a run, as many as the profile says pays, but never more than their share of the workers that are idle.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from anytime.service.engine.job import Job, Key
from anytime.service.engine.program import Piece

Entry = tuple[Key, Job]
"""Keys are unique, so comparing entries never reaches the job."""
Group = tuple[Piece, tuple[int, ...]]


class Scheduler:
    """The rows that wait. Every method is called under the engine's lock.

    An entry counts only while it is its job's ``waiting``; a discarded one stays in its heaps until they are swept.
    """

    def __init__(self) -> None:
        self._all: list[Entry] = []
        self._groups: dict[Group, list[Entry]] = {}
        self._live = 0

    def __len__(self) -> int:
        return self._live

    def put(self, job: Job) -> None:
        """The job waits for its next piece."""
        job.waiting = entry = (job.key, job)
        self._live += 1
        heapq.heappush(self._all, entry)
        if job.piece.batch_limit > 1:
            heapq.heappush(self._groups.setdefault((job.piece, job.ticket.shape), []), entry)

    def discard(self, job: Job) -> None:
        """The job waits no longer: its client left, or its deadline's timer answered."""
        if job.waiting is not None:
            job.waiting = None
            self._live -= 1
            if len(self._all) > 64 and len(self._all) > 4 * self._live:
                self._sweep()

    def take(self, idle_workers: int = 0) -> list[Job]:
        """The jobs of the next run, most urgent first; empty if nothing waits.

        ``idle_workers``: workers without work besides the one that asks.
        """
        first = self._pop(self._all)
        if first is None:
            return []
        if first.piece.batch_limit == 1:
            return [first]
        group = (first.piece, first.ticket.shape)
        heap = self._groups[group]
        waiting = 1 + (sum(entry[1].waiting is entry for entry in heap) if len(heap) > 1 else 0)
        limit = min(first.piece.batch_limit, -(-waiting // (idle_workers + 1)))
        jobs = [first]
        while len(jobs) < limit and (mate := self._pop(heap)) is not None:
            jobs.append(mate)
        if waiting == len(jobs):
            del self._groups[group]
        return jobs

    def ahead_of(self, key: Key) -> Iterator[Job]:
        """The waiting jobs that would run before a new one with this key."""
        return (job for entry in self._all if (job := entry[1]).waiting is entry and entry[0] < key)

    def _pop(self, heap: list[Entry]) -> Job | None:
        while heap:
            entry = heapq.heappop(heap)
            job = entry[1]
            if job.waiting is entry:
                job.waiting = None
                self._live -= 1
                return job
        return None

    def _sweep(self) -> None:
        """Forget entries that no longer wait, so that a bounded queue holds bounded memory."""
        self._all = _living(self._all)
        self._groups = {group: living for group, heap in self._groups.items() if (living := _living(heap))}


def _living(heap: list[Entry]) -> list[Entry]:
    living = [entry for entry in heap if entry[1].waiting is entry]
    heapq.heapify(living)
    return living
