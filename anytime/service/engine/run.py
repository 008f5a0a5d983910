"""One run of one piece for one or several rows: gather, run, scatter, and read what the head said. Outside the lock."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from anytime.policy import HeadOutputInvalid, Outcome, read_outcome
from anytime.service.engine.job import Job
from anytime.service.engine.program import Piece, Step
from anytime.service.engine.served import Served
from anytime.service.errors import ModelFailed, ServiceError

Slots = dict[int, np.ndarray]


@dataclass(slots=True)
class Run:
    """A batch on its way; ``execute`` fills the rest.

    ``slots`` are the jobs' states, taken under the lock: a job may be answered and released while it runs.
    """

    jobs: list[Job]
    piece: Piece
    served: Served
    started_at: float
    slots: list[Slots]
    seconds: list[float] = field(default_factory=list)
    """Of the steps that ran, in order."""
    results: list[Outcome | ServiceError | None] = field(default_factory=list)
    """Per job: what its exit said, None where no exit was due, or why it failed."""

    @property
    def typical_ms(self) -> float:
        timings = self.served.timings
        return sum(timings[step.node.index].typical() for step in self.piece.steps) * len(self.jobs)

    def fail(self, error: ServiceError) -> None:
        """Every row of the run gets the error."""
        self.results = [error] * len(self.jobs)


def execute(run: Run) -> None:
    """Runs the piece's graphs, unless every row has been ended meanwhile; a graph's boundary is where that is seen."""
    try:
        run.results = [_run_one(run)] if len(run.jobs) == 1 else _run_batch(run)
    except ModelFailed as error:
        run.results = [error] if len(run.jobs) == 1 else [_alone(run, row) for row in range(len(run.jobs))]


def _run_one(run: Run) -> Outcome | ServiceError | None:
    job, slots, runner = run.jobs[0], run.slots[0], run.served.runner
    outputs: list[np.ndarray] = []
    step = run.piece.steps[0]
    for step in run.piece.steps:
        if job.ended:
            return None
        job.walk.started(step.node)
        feeds = {name: slots[slot] for name, slot in step.feeds}
        outputs, seconds = runner.run(step.node.graph.file, step.fetches, feeds)
        run.seconds.append(seconds)
        for place, slot in enumerate(step.keeps):
            slots[slot] = outputs[place]
        for slot in step.drops:
            del slots[slot]
        job.ran(step, seconds * 1e3)
    return _outcome(run, step, outputs, 0)


def _run_batch(run: Run) -> list[Outcome | ServiceError | None]:
    """Rows together; what stays is copied out, so that a row that goes on does not hold the memory of those that left."""
    columns: Slots = {}
    outputs: list[np.ndarray] = []
    step = run.piece.steps[0]
    for step in run.piece.steps:
        if all(job.ended for job in run.jobs):
            return [None] * len(run.jobs)
        for job in run.jobs:
            job.walk.started(step.node)
        for _, slot in step.feeds:
            if slot not in columns:
                columns[slot] = np.concatenate([slots[slot] for slots in run.slots])
        feeds = {name: columns[slot] for name, slot in step.feeds}
        outputs, seconds = run.served.runner.run(step.node.graph.file, step.fetches, feeds)
        run.seconds.append(seconds)
        columns |= dict(zip(step.keeps, outputs, strict=False))
        for job in run.jobs:
            job.ran(step, seconds * 1e3 / len(run.jobs))
    _scatter(run, columns)
    return [_outcome(run, step, outputs, row) for row in range(len(run.jobs))]


def _scatter(run: Run, columns: Slots) -> None:
    kept = {slot for step in run.piece.steps for slot in step.keeps}
    dropped = {slot for step in run.piece.steps for slot in step.drops}
    for row, slots in enumerate(run.slots):
        for slot in kept - dropped:
            slots[slot] = columns[slot][row : row + 1].copy()
        for slot in dropped:
            slots.pop(slot, None)


def _alone(run: Run, row: int) -> Outcome | ServiceError | None:
    """A batch failed: each row runs by itself, so that one row's fault stays its own."""
    single = Run([run.jobs[row]], run.piece, run.served, run.started_at, [run.slots[row]])
    execute(single)
    return single.results[0]


def _outcome(run: Run, step: Step, outputs: list[np.ndarray], row: int) -> Outcome | ServiceError | None:
    if not step.says:
        return None
    kept = len(step.keeps)
    said = {name: outputs[kept + place][row] for place, name in enumerate(step.says)}
    try:
        return read_outcome(run.served.manifest, step.node.stage, said)
    except HeadOutputInvalid as error:
        return ModelFailed(f"the model's exit {step.node.stage} failed on this input: {error}")
