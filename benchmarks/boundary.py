"""Where the engine's own time at a boundary goes: each part by itself, on the objects that the engine uses."""

from __future__ import annotations

import asyncio
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path

import numpy as np

from anytime.policy import Policy, Walk, read_outcome
from anytime.service.engine.job import Job
from anytime.service.engine.messages import Work
from anytime.service.engine.run import Run, execute
from anytime.service.engine.scheduler import Scheduler
from anytime.service.engine.served import Served
from anytime.service.engine.ticket import Ticket
from anytime.service.engine.timing import Timing, Timings
from anytime.service.metrics import Metrics
from benchmarks.measure import write_result
from benchmarks.nets import LABELS, Net, image

REPEAT, CALLS = 15, 2000
IMAGE = image()
SURE = Policy(confidence=0.999999)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        served = Served(Net("tiny", 3, 1, 1).bundle(Path(folder) / "tiny", "joined"), Policy())
        rows: list[list[str | float]] = [[part, round(_microseconds(call), 2)] for part, call in _parts(served).items()]
    write_result(
        "boundary",
        ["part of a boundary", "us"],
        rows,
        f"stages of one graph, a network of a few microseconds, {LABELS} labels; best of {REPEAT} rounds, so with warm "
        "caches: what a real network leaves of them makes each part slower",
    )


def _parts(served: Served) -> dict[str, Callable[[], object]]:
    program = served.program(SURE)
    ticket = Ticket(served, program, Work({"image": IMAGE}, 1, 0.0), 0, asyncio.new_event_loop().call_soon_threadsafe)
    logits = {"logits": np.linspace(0.0, 1.0, LABELS, dtype=np.float32)}
    outcome = read_outcome(served.manifest, 1, logits)
    leg, step = program.plan.legs[1], program.legs[0][0].steps[0]
    timings, metrics, scheduler = Timings([Timing(1.0)] * len(served.flow.nodes)), Metrics(), Scheduler()
    waiting, ran = Job(ticket, 0, {0: IMAGE}), [(step.node, 1.0)]

    def queue() -> None:
        scheduler.put(waiting)
        scheduler.take()

    def count() -> None:
        timings.add(time.perf_counter(), ran, 1)
        metrics.ran("tiny", ran, 1)

    return {
        "a piece from feeds to outcome, all in": lambda: execute(Run([Job(ticket, 0, {0: IMAGE})], 0.0)),
        "of it: making the row and the run, once a request": lambda: Run([Job(ticket, 0, {0: IMAGE})], 0.0),
        "of it: ONNX Runtime's call": lambda: step.call({"x": IMAGE}),
        "of it: reading the head": lambda: read_outcome(served.manifest, 1, logits),
        "deciding": lambda: Walk(program.plan).heard(outcome, leg.ahead),
        "times and metrics": count,
        "the queue, where others wait": queue,
    }


def _microseconds(call: Callable[[], object]) -> float:
    return min(timeit.repeat(call, number=CALLS, repeat=REPEAT)) / CALLS * 1e6


if __name__ == "__main__":
    main()
