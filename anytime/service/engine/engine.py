"""Choose, run, settle: worker threads take work under one lock and tell the event loop only what a client must see.

Every choice is made at a graph's boundary. A deadline is kept by its own timer on the event loop. It knows no HTTP.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections import deque

from anytime.model_store.tensors import Dims
from anytime.policy import Ahead, Decision, Outcome, limit
from anytime.service.engine.admission import Bounds, Load, refuse, refuse_deadline, retry_after, too_late, wait_ms
from anytime.service.engine.doorbell import Doorbell
from anytime.service.engine.guard import Guard
from anytime.service.engine.herald import HOLD_S, Herald
from anytime.service.engine.job import Job, first_slots
from anytime.service.engine.messages import Event, RowFailure, Work
from anytime.service.engine.program import Program
from anytime.service.engine.run import Run, execute
from anytime.service.engine.scheduler import MANY, Scheduler
from anytime.service.engine.served import Served
from anytime.service.engine.ticket import NEVER, Ticket
from anytime.service.errors import Internal, ServiceError, ShuttingDown
from anytime.service.metrics import Metrics

log = logging.getLogger(__name__)
_now = time.perf_counter
_CLOSE_S = 5.0
"""How long ``close`` waits for graphs that still run; the threads are daemons."""


class Engine:
    """Runs the rows of many requests on a few threads.

    ``submit`` and ``cancel`` are called on the event loop that ``start`` was called on; both return at once.
    """

    def __init__(self, workers: int, bounds: Bounds, metrics: Metrics, hold_s: float = HOLD_S) -> None:
        """``hold_s``: for how long exits that a stream's row runs past may wait to be told while rows lack a worker."""
        self._workers = workers
        self._hold_s = hold_s
        self._bounds = bounds
        self._metrics = metrics
        self._lock = threading.Lock()
        self._bells: list[threading.Lock] = []
        """Of the idle workers: each waits for its own."""
        self._scheduler = Scheduler()
        self._guard = Guard()
        self._numbers = itertools.count()
        self._open: dict[int, list[Job]] = {}
        self._told: deque[Ticket] = deque()
        """Those with events that their clients have not been rung for."""
        self._running: dict[int, Run] = {}
        self._idle = 0
        self._rows = 0
        self._state_bytes = 0
        self._closing = False
        self._stopped = False
        self._threads: list[threading.Thread] = []
        self.left_behind: list[str] = []  # workers that ``close`` did not wait for
        self._loop: asyncio.AbstractEventLoop | None = None
        self._doorbell: Doorbell | None = None
        self._herald: Herald | None = None

    # -- the event loop's side -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the worker threads; to be called on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._doorbell = Doorbell(self._loop)
        self._herald = Herald(lambda: self._scheduler.waiting > self._idle, self._doorbell.call, self._hold_s)
        for number in range(self._workers):
            name = f"anytime-worker-{number}"
            thread = threading.Thread(target=self._work, args=(number,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def submit(self, served: Served, program: Program, work: Work, dims: Dims) -> Ticket:
        """Admits a request whole or not at all.

        Raises ``BatchTooLarge``, ``QueueFull``, ``StateFull``, ``DeadlineUnreachable``, ``DeadlineBeforeFirstExit``,
        ``DeadlineBeforeFullDepth``, ``ShuttingDown``.
        """
        assert self._loop and self._doorbell, "start comes first"
        ticket = Ticket(served, program, work, next(self._numbers), self._doorbell.call)
        ticket.row_bytes = program.peak_bytes(dims)
        ticket.shape = tuple(dims.values())
        if ticket.deadline_at != NEVER:
            ticket.due_at -= self._guard.before(ticket.deadline_at - work.arrived)
        jobs = [Job(ticket, row, first_slots(served, program, work, row, dims)) for row in range(work.rows)]
        with self._lock:
            refusal = None
            if self._closing or ticket.due_at != NEVER or not self._has_room(ticket):
                refusal = self._refusal(ticket, jobs[0])
            if refusal is not None:
                self._metrics.shed(served.name, refusal.code, work.rows)
                raise refusal
            self._admit(ticket, jobs)
        if ticket.due_at != NEVER:
            ticket.timer = self._loop.call_later(max(0.0, ticket.due_at - _now()), self._expire, ticket)
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """The client left: its rows end, and a graph that runs for them is the last."""
        if ticket.timer is not None:
            ticket.timer.cancel()
        with self._lock:
            for job in self._open.get(ticket.number, ()):
                if not job.ended:
                    self._end(job, "cancelled")
        ticket.wake()

    def finish(self, ticket: Ticket) -> None:
        """The reply is out, or never will be: rows that have not ended are cancelled.

        The guard and the metrics learn from ``handed_at``, if the route could tell: a client that reads slowly says nothing
        of this server's lateness.
        """
        if ticket.timer is not None:
            ticket.timer.cancel()
        if not ticket.done:
            self.cancel(ticket)
        self._metrics.request(ticket.served.name, _now() - ticket.arrived)
        handed_at = ticket.handed_at
        if ticket.deadline_at != NEVER and handed_at is not None:
            self._metrics.lateness(ticket.served.name, handed_at - ticket.deadline_at, ticket.rows)
            if handed_at > ticket.due_at:
                self._guard.learn(handed_at - ticket.due_at)

    @property
    def rows(self) -> int:
        """Rows admitted and not ended."""
        return self._rows

    @property
    def state_bytes(self) -> int:
        """Bytes of state reserved for them."""
        return self._state_bytes

    def refuse_new(self) -> None:
        """From now on ``submit`` raises ``ShuttingDown``; what was admitted goes on."""
        self._closing = True

    def end_all(self) -> None:
        """Rows with an exit are answered with reason ``cancelled``, the others fail with ``shutting_down``."""
        with self._lock:
            for jobs in list(self._open.values()):
                for job in jobs:
                    if not job.ended:
                        self._stop_now(
                            job, limit("cancelled"), ShuttingDown("the server is shutting down: retry elsewhere")
                        )
        self._ring()

    def close(self) -> None:
        """Ends all rows and the worker threads, each after the graph it runs; one that runs very long is not waited for."""
        self.refuse_new()
        self.end_all()
        with self._lock:
            self._stopped = True
            self._wake(self._workers)
        until = _now() + _CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, until - _now()))
        self.left_behind = [thread.name for thread in self._threads if thread.is_alive()]
        if self.left_behind:
            log.warning("a graph still runs and is left behind", extra={"workers": self.left_behind})
        elif self._doorbell is not None:  # else it stays open as long as the process: who is left behind may ring yet
            self._doorbell.close()

    def _has_room(self, ticket: Ticket) -> bool:
        rows = ticket.rows
        return self._bounds.hold(self._rows + rows, self._state_bytes + rows * ticket.row_bytes)

    def _refusal(self, ticket: Ticket, first: Job) -> ServiceError | None:
        if self._closing:
            return ShuttingDown("the server is shutting down: retry elsewhere")
        load = Load(self._rows, self._state_bytes)
        refusal = refuse(self._bounds, load, ticket.rows, ticket.row_bytes)
        if refusal is None and ticket.due_at == NEVER:
            return None
        wait = wait_ms(self._scheduler.ahead_of(first.key), self._workers) + self._busy_ms()
        if refusal is not None:
            return retry_after(refusal, wait)
        return refuse_deadline(ticket.served, ticket.program.plan, ticket.due_at, _now(), wait)

    def _busy_ms(self) -> float:
        """How long until a worker is free: none if one is idle, else the shortest of what still runs."""
        if self._idle or not self._running:
            return 0.0
        now = _now()
        return min(max(0.0, run.typical_ms - (now - run.started_at) * 1e3) for run in self._running.values())

    def _admit(self, ticket: Ticket, jobs: list[Job]) -> None:
        rows = ticket.rows
        ticket.admitted_at = _now()
        self._open[ticket.number] = jobs
        self._rows += rows
        self._state_bytes += rows * ticket.row_bytes
        ticket.served.in_flight += rows
        self._metrics.admitted(ticket.served.name, rows)
        for job in jobs:
            self._scheduler.put(job)
        ticket.met_idle_worker = bool(self._bells)
        self._wake(rows)

    def _wake(self, workers: int) -> None:
        """So many of the idle workers look for work, the last to fall idle first: it is the warmest."""
        for _ in range(min(workers, len(self._bells))):
            self._bells.pop().release()

    def _expire(self, ticket: Ticket) -> None:
        """A deadline's timer: answer with the best so far, even while a graph of this request still runs."""
        with self._lock:
            for job in self._open.get(ticket.number, ()):
                if not job.ended:
                    self._stop_now(job, limit("deadline"), too_late(ticket.program.plan))
        self._ring()

    def _ring(self) -> None:
        """Whoever has let go of the lock tells the event loop what was posted under it."""
        while self._told:
            try:
                ticket = self._told.popleft()
            except IndexError:
                return  # another thread was faster
            ticket.ring()

    # -- the workers' side ---------------------------------------------------------------------------------------

    def _work(self, number: int) -> None:
        bell = threading.Lock()
        bell.acquire()
        run: Run | None = None
        was_idle = False
        while True:
            with self._lock:
                if was_idle:
                    self._idle -= 1
                if run is not None:
                    self._running.pop(number, None)
                    self._settle(run)
                run = self._choose()
                if run is not None:
                    self._running[number] = run
                elif self._stopped:
                    break
                else:
                    self._idle += 1
                    self._bells.append(bell)
            self._ring()
            was_idle = run is None
            if run is None:
                bell.acquire()
                continue
            try:
                execute(run, self._scheduler, self._tell)
            except Exception:  # our own bug must cost these rows and not the worker
                log.exception("a run failed")
                run.fail(_internal())
        self._ring()

    def _tell(self, job: Job, outcome: Outcome) -> None:
        """An exit of a row without a clock that may run on; one that was ended meanwhile has had its last word."""
        with self._lock:
            if job.ended:
                return
            job.ticket.post(job.prediction(outcome))
        if len(job.walk.outcomes) == 1:
            job.ticket.ring()  # the first answer waits for nobody else's
        else:
            assert self._herald is not None, "workers start after it is made"
            self._herald.tell(job.ticket)

    def _choose(self) -> Run | None:
        """The next run; rows whose next exit no longer fits their deadline are answered instead."""
        while jobs := self._scheduler.take(self._idle, _rows_in_time):
            now = _now()
            fitting = [job for job in jobs if not self._is_hopeless(job, now)]
            if fitting:
                return self._begin(fitting, now)
        return None

    def _is_hopeless(self, job: Job, now: float) -> bool:
        """A row with an exit whose next cannot be reached in time is answered; others go on until their timer."""
        ticket = job.ticket
        if ticket.due_at == NEVER or not job.walk.has_said or job.walk.plan.policy.exact:
            return False
        if now + job.served.worst_ms(job.walk.rest, now) / 1e3 <= ticket.due_at:
            return False
        self._stop_now(job, limit("deadline"), too_late(ticket.program.plan))
        return True

    def _begin(self, jobs: list[Job], now: float) -> Run:
        for job in jobs:
            ticket = job.ticket
            if ticket.started_at is None:
                ticket.started_at = now
            if job.is_new:
                self._metrics.queued(job.served.name, now - ticket.admitted_at)
        return Run(jobs, now)

    def _settle(self, run: Run) -> None:
        now = _now()
        try:
            run.served.timings.add(now, run.ran, len(run.jobs))
            self._metrics.ran(run.served.name, run.ran, len(run.jobs))
        except Exception:  # a figure may be lost, but no worker and no row
            log.exception("a run could not be counted")
        for job, result in zip(run.jobs, run.results, strict=True):
            if job.ended:
                continue
            try:
                self._settle_row(job, result, now)
            except Exception:  # as above: without this worker nobody would be served
                log.exception("a row could not be settled")
                if not job.ended:
                    self._end(job, "failed", RowFailure(job.row, _internal()))
        if self._bells and self._scheduler.waiting > 1:
            self._wake(self._scheduler.waiting - 1)

    def _settle_row(self, job: Job, result: Outcome | ServiceError | None, now: float) -> None:
        if isinstance(result, ServiceError):
            self._end(job, "failed", RowFailure(job.row, result))
            return
        if job.walk.decision is not None:
            self._end(job, "answered", job.final())
        elif result is not None:
            self._hear(job, result, now)
        if not job.ended:
            self._scheduler.put(job)

    def _hear(self, job: Job, outcome: Outcome, now: float) -> None:
        ticket = job.ticket
        decision = job.heard(outcome, self._ahead(job, now))
        if ticket.streams:
            ticket.post(job.prediction(outcome))
            self._told.append(ticket)
        if decision.stops:
            self._end(job, "answered", job.final())

    def _ahead(self, job: Job, now: float) -> Ahead | None:
        leg = job.walk.next_leg
        if leg is None:
            return None
        policy = job.walk.plan.policy
        if policy.max_ms is None and policy.deadline_ms is None:
            return leg.ahead
        typical = job.served.typical_ms(leg.nodes)
        if policy.deadline_ms is None or policy.exact:
            return Ahead(leg.macs, typical)
        return Ahead(leg.macs, typical, job.served.worst_ms(leg.nodes, now), (job.ticket.due_at - now) * 1e3)

    def _stop_now(self, job: Job, decision: Decision, otherwise: ServiceError) -> None:
        """Stopped from outside: the answer so far, or the error where no exit was reached."""
        if job.walk.has_said and not job.walk.plan.policy.exact:
            if job.walk.decision is None:  # else a worker has decided and is about to say so
                job.walk.stop(decision)
            self._end(job, "answered", job.final())
        else:
            self._end(job, "failed", RowFailure(job.row, otherwise))
            if decision.reason == "deadline":
                self._metrics.deadline_missed(job.served.name)

    def _end(self, job: Job, end: str, event: Event | None = None) -> None:
        """The one place where a row ends: it leaves the queue, frees its state, is counted and tells its client."""
        ticket = job.ticket
        self._scheduler.discard(job)
        job.release()
        self._rows -= 1
        self._state_bytes -= ticket.row_bytes
        job.served.in_flight -= 1
        self._metrics.ended(job.served.name, end)
        if job.first_at is not None:
            self._metrics.first_prediction(job.served.name, job.first_at - ticket.arrived)
        if end == "answered":
            self._metrics.answered(job.served.name, job.served.version, job.walk)
        if ticket.open_rows == 1:  # before its client hears of it
            del self._open[ticket.number]
        ticket.end_row(event)
        if event is not None:
            self._told.append(ticket)


def _rows_in_time(job: Job) -> int:
    """The most rows that can share a job's next run before its timer fires, at what a row usually takes; at least itself."""
    if job.ticket.due_at == NEVER:
        return MANY
    row_ms = job.served.typical_ms(tuple(step.node for step in job.piece.steps))
    return max(1, int((job.ticket.due_at - _now()) * 1e3 / max(row_ms, 1e-6)))


def _internal() -> ServiceError:
    return Internal("internal error; the server's log has the details")
