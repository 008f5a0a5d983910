"""One run of one piece for one or several rows: gather, run, scatter, and read what the head said. Outside the lock."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from anytime.model_store.flow import Node
from anytime.policy import HeadOutputInvalid, Outcome
from anytime.service.engine.job import Job
from anytime.service.engine.program import Step
from anytime.service.engine.scheduler import Scheduler
from anytime.service.errors import ModelFailed, ServiceError

Slots = dict[int, np.ndarray]


class Run:
    """A batch on its way; ``execute`` fills ``ran`` and ``results``."""

    __slots__ = ("jobs", "piece", "ran", "results", "served", "slots", "started_at")

    def __init__(self, jobs: list[Job], started_at: float) -> None:
        self.jobs = jobs
        self.piece = jobs[0].piece
        self.served = jobs[0].served
        self.started_at = started_at
        self.slots = [job.slots for job in jobs]
        """The jobs' states, taken under the lock: a job may be answered and released while it runs."""
        self.ran: list[tuple[Node, float]] = []
        """The graphs that ran, in order, and the milliseconds each took."""
        self.results: list[Outcome | ServiceError | None] = []
        """Per job: what its exit said; or why it failed; None where no exit was due or it was heard already, and the job
        stands where it goes on."""

    @property
    def typical_ms(self) -> float:
        return self.served.timings.typical_ms(step.node for step in self.piece.steps) * len(self.jobs)

    def fail(self, error: ServiceError) -> None:
        """Every row of the run gets the error."""
        self.results = [error] * len(self.jobs)


Tell = Callable[[Job, Outcome], None]
"""Hands on to a row's stream what an exit said on the way."""


def execute(run: Run, queue: Scheduler | None = None, tell: Tell = lambda job, outcome: None) -> None:
    """Runs the piece's graphs, unless every row has been ended meanwhile; a graph's boundary is where that is seen.

    A row by itself without a clock runs on, piece after piece, as long as the ``queue`` would choose it again: its exits are
    heard here, ``tell`` is told of them, and only the last of its way is left to hear.
    """
    if len(run.jobs) > 1:
        run.results = _run_batch(run)
        return
    job = run.jobs[0]
    walk = job.walk
    first = len(walk.times)
    try:
        run.results = [_run_on(run, None if job.has_clock else queue, tell)]
    finally:
        run.ran = list(zip(walk.plan.way[first:], walk.times[first:], strict=False))


def _run_on(run: Run, queue: Scheduler | None, tell: Tell) -> Outcome | ServiceError | None:
    """One row by itself, piece after piece as far as the ``queue`` lets it; without one a single piece.

    Between two runs of ONNX Runtime the interpreter is cold in the caches, and a call costs several times what it does in a
    tight loop: hence one long function and few calls on this way.
    """
    job, slots = run.jobs[0], run.slots[0]
    walk = job.walk
    times, readers = walk.times, run.served.readers
    is_quiet = queue is not None and not job.streams
    while True:
        outputs: list[np.ndarray] = []
        for step in run.piece.steps:
            if job.ended:
                return None
            feeds = {}
            for name, slot in step.feeds:
                feeds[name] = slots[slot]
            walk.started += 1
            try:
                outputs, seconds = step.call(feeds)
            except ModelFailed as error:
                return error
            ms = seconds * 1e3
            times.append(ms)
            walk.compute_ms += ms
            for place, slot in enumerate(step.keeps):
                slots[slot] = outputs[place]
            for slot in step.drops:
                del slots[slot]
        if not step.says:
            job.go_on()
            runs_on = queue is not None and queue.goes_on(job)
        elif is_quiet and len(step.says) == 1 and job.passes(readers[step.node.stage - 1], outputs[-1][0]):
            runs_on = queue is not None and queue.goes_on(job)
        else:
            said = _outcome(run, step, outputs, 0)
            if queue is None or job.ended or isinstance(said, ServiceError) or (leg := walk.next_leg) is None:
                return said
            stops = job.heard(said, leg.ahead).reason is not None
            if job.streams:
                tell(job, said)
            runs_on = not stops and queue.goes_on(job)
        if not runs_on:
            return None
        run.piece, run.started_at = job.piece, time.perf_counter()


def _run_rest(run: Run, row: int, again: int) -> Outcome | ServiceError | None:
    """One row of a batch that failed at the step ``again`` goes on from there, so that one row's fault stays its own.

    That step counts once, and what had run before it does not run again.
    """
    job, slots = run.jobs[row], run.slots[row]
    outputs: list[np.ndarray] = []
    step = run.piece.steps[again]
    for number, step in enumerate(run.piece.steps[again:]):
        if job.ended:
            return None
        if number:
            job.walk.begin()
        try:
            outputs, seconds = step.call({name: slots[slot] for name, slot in step.feeds})
        except ModelFailed as error:
            return error
        slots.update(zip(step.keeps, outputs, strict=False))
        for slot in step.drops:
            del slots[slot]
        job.walk.finish(seconds * 1e3)
    if step.says:
        return _outcome(run, step, outputs, 0)
    if not job.ended:
        job.go_on()
    return None


def _run_batch(run: Run) -> list[Outcome | ServiceError | None]:
    """Rows together; what stays is copied out, so that a row that goes on does not hold the memory of those that left."""
    columns: Slots = {}
    outputs: list[np.ndarray] = []
    step = run.piece.steps[0]
    for number, step in enumerate(run.piece.steps):
        if all(job.ended for job in run.jobs):
            return [None] * len(run.jobs)
        for job in run.jobs:
            job.walk.begin()
        for _, slot in step.feeds:
            if slot not in columns:
                columns[slot] = np.concatenate([slots[slot] for slots in run.slots])
        try:
            outputs, seconds = step.call({name: columns[slot] for name, slot in step.feeds})
        except ModelFailed:
            _scatter(run, columns, run.piece.steps[:number])
            return [_run_rest(run, row, number) for row in range(len(run.jobs))]
        run.ran.append((step.node, seconds * 1e3))
        columns |= dict(zip(step.keeps, outputs, strict=False))
        for job in run.jobs:
            job.walk.finish(seconds * 1e3 / len(run.jobs))
    _scatter(run, columns, run.piece.steps)
    if not step.says:
        for job in run.jobs:
            if not job.ended:
                job.go_on()
        return [None] * len(run.jobs)
    return [_outcome(run, step, outputs, row) for row in range(len(run.jobs))]


def _scatter(run: Run, columns: Slots, ran: tuple[Step, ...]) -> None:
    kept = {slot for step in ran for slot in step.keeps}
    dropped = {slot for step in ran for slot in step.drops}
    for row, slots in enumerate(run.slots):
        for slot in kept - dropped:
            slots[slot] = columns[slot][row : row + 1].copy()
        for slot in dropped:
            slots.pop(slot, None)


def _outcome(run: Run, step: Step, outputs: list[np.ndarray], row: int) -> Outcome | ServiceError:
    said, place = {}, len(step.keeps)
    for name in step.says:
        said[name] = outputs[place][row]
        place += 1
    if len(run.jobs) > 1:  # a view would hold the whole batch's output for as long as this row goes on
        said = {name: values.copy() for name, values in said.items()}
    try:
        return run.served.readers[step.node.stage - 1].read(said)
    except HeadOutputInvalid as error:
        return ModelFailed(f"the model's exit {step.node.stage} failed on this input: {error}")
