"""Live equals replay, exactly, on every policy without a clock: random policies, random bundles, alone and in batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from anytime.policy import Plan, Policy, PolicyError, Replayed, Trace, parse_policy, replay
from anytime.service.engine.messages import RowAnswer
from anytime.service.engine.served import Served
from tests.bundles import drawn
from tests.service.engine.engines import Inputs, answers_of, engine_of, run, runner_of, serve, submit, submit_under

SEEDS = range(24)
ROWS = 6

thresholds = st.sampled_from([0.0, 0.2, 0.35, 0.4, 0.5, 0.6, 0.75, 0.9, 0.99, 1.0])
limits = {
    "max_cost": st.floats(0.05, 1.5),
    "max_macs": st.integers(1, 400),
    "max_exit": st.integers(1, 5),
    "min_exit": st.integers(1, 4),
}
rules = {
    **dict.fromkeys(("confidence", "entropy", "commitment", "learned"),
                    st.one_of(thresholds, st.lists(st.none() | thresholds, min_size=5, max_size=5))),
    "patience": st.integers(1, 3),
    "combine": st.sampled_from(["any", "all"]),
    "level": st.sampled_from(["fine", "coarse", "auto"]),
}  # fmt: skip
policies = st.one_of(
    st.fixed_dictionaries({}, optional=rules | limits),
    st.fixed_dictionaries(
        {"confidence": thresholds}, optional={"min_exit": limits["min_exit"], "patience": st.just(1)}
    ),
    st.fixed_dictionaries({}, optional=limits),
    st.just({"exact": True}),
)
Opened = Callable[[int], Served]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """The random bundle of a seed, ready to serve; every run takes one time, so that batches pay."""
    folder = tmp_path_factory.mktemp("drawn")
    return functools.cache(lambda seed: serve(drawn.build(folder / str(seed), seed)))


def fitted(fields: dict, served: Served) -> Policy:
    """The policy, its lists cut to the bundle's exits, without the fields that the bundle refuses."""
    exits = served.manifest.exits
    fields = {name: value[:exits] if isinstance(value, list) else value for name, value in fields.items()}
    while True:
        try:
            policy = parse_policy(fields)
            served.program(policy)
        except PolicyError as error:
            del fields[error.field]
        else:
            return policy


def recorded(served: Served, answers: Sequence[RowAnswer]) -> Trace:
    """The trace of rows that were asked for it."""
    manifest, rows = served.manifest, len(answers)
    outputs: dict[str, np.ndarray] = {}
    for row, answer in enumerate(answers):
        assert answer.trace is not None
        assert [exit for exit, _ in answer.trace.heads] == list(range(1, manifest.exits + 1))
        for exit, said in answer.trace.heads:
            for name, values in said.items():
                empty = np.full((rows, manifest.exits, len(values)), np.nan, np.float32)
                outputs.setdefault(name, empty)[row, exit - 1] = values
    flat = {name: values if name.startswith("logits") else values[:, :, 0] for name, values in outputs.items()}
    return Trace(flat, np.full((rows, len(served.flow.nodes)), np.nan))


def seen(answer: RowAnswer) -> tuple:
    outcome, level = answer.answer.outcome, answer.answer.level
    verdict = outcome.verdicts[level]
    return outcome.exit, answer.depth, answer.reason, answer.cost, level, verdict.index, verdict.top


def foreseen(row: Replayed) -> tuple:
    return row.exit, row.depth, row.reason, row.cost, row.level, row.index, row.confidence


def replayed(plan: Plan, served: Served, answers: Sequence[RowAnswer]) -> list[tuple]:
    return [foreseen(row) for row in replay(plan, served.manifest, recorded(served, answers))]


def one(inputs: Inputs, row: int) -> Inputs:
    return {name: values[row : row + 1] for name, values in inputs.items()}


def assert_nothing_ran_twice(served: Served, answer: RowAnswer) -> None:
    """Of one row that ran by itself: each graph at most once, and the cost is that of what ran."""
    macs = {node.graph.file: node.macs for node in served.flow.nodes}
    ran = [file for file, _ in runner_of(served).ran]
    assert len(ran) == len(set(ran))
    assert answer.cost == sum(macs[file] for file in ran) / served.flow.macs_full


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.sampled_from(SEEDS), fields=policies, picture=st.integers(0, 2**31), streams=st.booleans())
def test_live_equals_replay(opened, seed, fields, picture, streams):
    """Exit, depth, reason, cost, level, label and confidence are replay's: rows alone, in a batch, of two requests."""
    served = opened(seed)
    policy = fitted(fields, served)
    inputs = drawn.inputs(ROWS, picture)
    plan = served.program(policy, stream=streams).plan
    runner = runner_of(served)

    async def main():
        async with engine_of(workers=1) as engine:
            wanted = replayed(plan, served, await answers_of(engine, submit(engine, served, inputs, trace=True)))
            for row in range(ROWS):
                runner.ran.clear()
                answers = await answers_of(
                    engine, submit_under(engine, served, one(inputs, row), policy, stream=streams)
                )
                assert [seen(answer) for answer in answers] == [wanted[row]]
                assert_nothing_ran_twice(served, answers[0])
            runner.ran.clear()
            together = [submit_under(engine, served, inputs, policy, stream=streams) for _ in range(2)]
            for ticket in together:
                assert [seen(answer) for answer in await answers_of(engine, ticket)] == wanted
            assert max(rows for _, rows in runner.ran) >= ROWS, "rows shared their runs"
            event(f"reason {wanted[0][2]}")

    run(main())
