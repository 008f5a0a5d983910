"""A real engine to put questions to: bundles made ready with scripted times, requests, and what was answered."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anytime.model_store import Bundle
from anytime.policy import Policy, parse_policy
from anytime.service.engine.admission import Bounds
from anytime.service.engine.engine import Engine
from anytime.service.engine.herald import HOLD_S
from anytime.service.engine.job import Job
from anytime.service.engine.messages import Event, RowAnswer, RowFailure, Work
from anytime.service.engine.served import Served
from anytime.service.engine.ticket import Ticket
from anytime.service.metrics import Metrics
from tests.doubles import ScriptedRunner, SkippingLoop

PATIENCE_S = 60.0
LONG_MS = 3_600_000.0
"""A deadline that passes only when the loop's clock is put forward."""
Inputs = Mapping[str, np.ndarray]


def run(main: Coroutine[Any, Any, None]) -> None:
    """To its end, on a loop whose clock can be put forward."""
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        runner.run(main)


def skip_to_deadlines() -> None:
    """Every deadline that was given passes."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippingLoop)
    loop.skip(2 * LONG_MS / 1e3)


@contextlib.asynccontextmanager
async def engine_of(
    workers: int = 1,
    *,
    rows: int = 10_000,
    state_bytes: int = 2**30,
    metrics: Metrics | None = None,
    hold_s: float = HOLD_S,
) -> AsyncIterator[Engine]:
    """A started engine. When it is left nothing may be left in it."""
    engine = Engine(workers, Bounds(rows, state_bytes), metrics or Metrics(), hold_s)
    engine.start()
    try:
        yield engine
    finally:
        await asyncio.to_thread(engine.close)
    assert_empty(engine)


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def assert_empty(engine: Engine) -> None:
    assert (engine.rows, engine.state_bytes) == (0, 0)


def serve(bundle: Bundle, *, default: Mapping[str, Any] | None = None, **script: Any) -> Served:
    """The bundle made ready with a ``ScriptedRunner``, whose record begins after the warm-up."""
    served = Served(
        bundle,
        parse_policy(default or {}),
        warmup_s=PATIENCE_S,
        make_runner=lambda bundle, threads: ScriptedRunner(bundle, threads, **script),
    )
    runner_of(served).ran.clear()
    return served


def runner_of(served: Served) -> ScriptedRunner:
    assert isinstance(served.runner, ScriptedRunner)
    return served.runner


def submit(
    engine: Engine, served: Served, inputs: Inputs, *, stream: bool = False, trace: bool = False, **policy: Any
) -> Ticket:
    """A request under these policy fields that arrives now. Raises its refusal."""
    return submit_under(engine, served, inputs, parse_policy(policy), stream=stream, trace=trace)


def submit_under(
    engine: Engine, served: Served, inputs: Inputs, policy: Policy, *, stream: bool = False, trace: bool = False
) -> Ticket:
    program = served.program(policy, stream=stream, trace=trace)
    rows = len(next(iter(inputs.values())))
    work = Work(inputs, rows, time.perf_counter(), stream, trace)
    return engine.submit(served, program, work, dims_of(served, inputs))


def dims_of(served: Served, inputs: Inputs) -> dict[str, int]:
    """The sizes of the symbolic axes but the row's."""
    return {
        axis: size
        for entry in served.manifest.inputs
        for axis, size in zip(entry.shape[1:], inputs[entry.name].shape[1:], strict=True)
        if isinstance(axis, str)
    }


async def said_by(engine: Engine, ticket: Ticket) -> list[Event]:
    """All events to the end, in order, and then as the route does it: the request is finished."""
    events: list[Event] = []
    while some := await ticket.events():
        events += some
    ticket.handed_at = time.perf_counter()
    engine.finish(ticket)
    return events


async def ends_of(engine: Engine, ticket: Ticket) -> list[Event]:
    """How each row ended, in the order of the rows."""
    events = await said_by(engine, ticket)
    ends = [event for event in events if isinstance(event, RowFailure) or event.reason is not None]
    return sorted(ends, key=lambda event: event.row)


async def answers_of(engine: Engine, ticket: Ticket) -> list[RowAnswer]:
    """As ``ends_of``, where every row has an answer."""
    ends = await ends_of(engine, ticket)
    assert all(isinstance(end, RowAnswer) for end in ends), ends
    return [end for end in ends if isinstance(end, RowAnswer)]


def told(answer: RowAnswer) -> tuple[int, int, str | None]:
    """(exit, label's index, reason)"""
    return answer.answer.outcome.exit, answer.answer.outcome.index, answer.reason


def jobs_of(served: Served, inputs: Inputs, *, stream: bool = False, **policy: Any) -> list[Job]:
    """The rows of a request as the engine holds them, without an engine."""
    program = served.program(parse_policy(policy), stream=stream)
    rows, dims = len(next(iter(inputs.values()))), dims_of(served, inputs)
    work = Work(inputs, rows, 0.0, stream)
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        ticket = Ticket(served, program, work, 0, loop.call_soon_threadsafe)
    slots = served.flow.slots
    return [
        Job(ticket, row, {
            slot: inputs[slots[slot].name][row : row + 1] if slots[slot].source == "input" else served.start(slot, dims)
            for slot in program.starts
        })
        for row in range(rows)
    ]  # fmt: skip
