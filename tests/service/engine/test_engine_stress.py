"""Hundreds of requests at once, of every kind: each is answered exactly once, with its own numbers, and nothing is left."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from anytime.policy import Policy
from anytime.service.engine.engine import Engine
from anytime.service.engine.messages import Event, RowAnswer, RowFailure
from anytime.service.engine.served import Served
from anytime.service.errors import DeadlineBeforeFirstExit, DeadlineBeforeFullDepth, Overloaded
from anytime.service.metrics import Metrics
from tests.bundles import BUNDLES, sequence
from tests.doubles import run_stages
from tests.service.engine.engines import Inputs, engine_of, run, submit

REQUESTS = 600
POLICIES: list[dict[str, Any]] = [
    {}, {"confidence": 0.6}, {"confidence": 0.99}, {"patience": 1}, {"entropy": 0.2}, {"max_exit": 2}, {"exact": True},
    {"deadline_ms": 0.3}, {"deadline_ms": 3.0}, {"deadline_ms": 30.0}, {"deadline_ms": 10_000.0},
    {"deadline_ms": 20.0, "confidence": 0.6}, {"exact": True, "deadline_ms": 5.0}, {"max_ms": 0.05},
    {"priority": 3}, {"priority": -3, "confidence": 0.6}, {"max_exit": 3, "patience": 2},
]  # fmt: skip


@dataclass
class Kind:
    """A bundle, some rows of input, and what its exits say of them when the stages are run one row at a time."""

    served: Served
    inputs: Inputs
    known: list[dict[str, np.ndarray]]
    tolerance: float


@pytest.fixture(scope="module")
def kinds(stress) -> list[Kind]:
    kinds = []
    for module in BUNDLES:
        bundle = stress(module)
        served = Served(bundle, Policy(), warmup_s=0.05)
        pictures = [module.inputs(6, seed=seed) for seed in range(2)]
        pictures += [module.inputs(4, length=length) for length in (3, 7)] if module is sequence else []
        kinds += [Kind(served, inputs, run_stages(bundle, inputs), module.TOLERANCE) for inputs in pictures]
    return kinds


def assert_own_numbers(kind: Kind, first: int, event: RowAnswer) -> None:
    """What an exit said is what the stages, run by themselves, say of this very row."""
    outcome = event.answer.outcome
    for name, values in outcome.outputs.items():
        known = kind.known[outcome.exit - 1][name][first + event.row]
        np.testing.assert_allclose(values, known, rtol=0, atol=kind.tolerance or 0.0)


def assert_ended_once(events: list[Event], rows: int, *, left: bool) -> Counter[int]:
    """Each row ends once, or not at all if its client left; what is streamed comes before."""
    ends = Counter(event.row for event in events if isinstance(event, RowFailure) or event.reason is not None)
    assert set(ends.values()) <= {1}
    assert left or len(ends) == rows
    ended: set[int] = set()
    for event in events:
        assert event.row not in ended, "an event after the end of its row"
        if isinstance(event, RowFailure) or event.reason is not None:
            ended.add(event.row)
    return ends


async def ask(engine: Engine, kind: Kind, dice: random.Random) -> Counter[str]:
    """One request as a client of some patience makes it; how its rows ended."""
    total = len(next(iter(kind.inputs.values())))
    rows = dice.randint(1, total)
    first = dice.randint(0, total - rows)
    inputs = {name: values[first : first + rows] for name, values in kind.inputs.items()}
    stream, leaves_after = dice.random() < 0.4, dice.choice([None, None, None, 0, 1, 2])
    for _ in range(dice.randint(0, 50)):
        await asyncio.sleep(0)
    try:
        ticket = submit(engine, kind.served, inputs, stream=stream, trace=dice.random() < 0.1, **dice.choice(POLICIES))
    except (Overloaded, DeadlineBeforeFirstExit, DeadlineBeforeFullDepth):
        return Counter({"shed": rows})
    events: list[Event] = []
    turns = 0
    while leaves_after is None or turns < leaves_after:
        some = await ticket.events()
        events += some
        turns += 1
        if not some:
            break
    left = leaves_after is not None
    if left:
        engine.cancel(ticket)
        events += await ticket.events()
    engine.finish(ticket)
    ends = assert_ended_once(events, rows, left=left)
    for event in events:
        if isinstance(event, RowAnswer):
            assert_own_numbers(kind, first, event)
        else:
            assert event.error.status == 504
    return Counter({"admitted": rows, "told": sum(ends.values()), "asked to leave": rows * left})


@pytest.mark.parametrize("workers", [1, 4])
def test_under_load_nothing_is_lost_mixed_or_leaked(kinds, workers):
    """Mixed bundles, shapes, policies, streams, deadlines and clients that leave; afterwards the engine is empty."""

    async def main():
        metrics, dice = Metrics(), random.Random(7)
        async with engine_of(workers=workers, rows=700, metrics=metrics) as engine:
            asked = [ask(engine, dice.choice(kinds), random.Random(n)) for n in range(REQUESTS)]
            counts = sum(await asyncio.gather(*asked), Counter())
            assert (engine.rows, engine.state_bytes) == (0, 0)
            assert all(kind.served.in_flight == 0 for kind in kinds)
            assert len(engine._scheduler) == len(engine._open) == 0
            ended = counted(metrics, "anytime_rows_total")
            assert counted(metrics, "anytime_rows_admitted_total").total() == counts["admitted"] == ended.total()
            assert counted(metrics, "anytime_shed_total").total() == counts["shed"]
            assert ended["answered"] + ended["failed"] >= counts["told"]
            assert ended["cancelled"] <= counts["asked to leave"]
            assert counts["told"] > REQUESTS / 2

    run(main())


def counted(metrics: Metrics, name: str) -> Counter[str]:
    """A counter's values by the label ``end``, over all models."""
    totals: Counter[str] = Counter()
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            if sample.name == name:
                totals[sample.labels.get("end", "")] += int(sample.value)
    return totals
