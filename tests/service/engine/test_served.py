"""A bundle made ready: its warm-up checks what graphs write, its profile says what pays, its plans are remembered."""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from anytime.model_store import Bundle, open_bundle, write_bundle
from anytime.model_store.errors import GraphMismatch
from anytime.policy import Policy, PolicyError, UnknownPolicyField, parse_policy
from anytime.service.engine.served import Served
from anytime.service.errors import ModelFailed
from tests.bundles import BUNDLES, cascade, spelled
from tests.bundles.graphs import Sketch
from tests.bundles.spelled import row, rows, sure
from tests.doubles import ScriptedRunner
from tests.service.engine.engines import answers_of, engine_of, run, runner_of, serve, submit, told

ONE = row(sure(0), sure(0), sure(0))


@pytest.mark.parametrize("module", BUNDLES, ids=lambda module: module.NAME)
def test_every_stress_bundle_warms_up(module, stress):
    """A row of zeros goes through every graph of every stress bundle, and each graph has a time."""
    served = Served(stress(module), Policy(), warmup_s=0.0)
    assert all(0.0 < served.timings.typical_ms([node]) < math.inf for node in served.flow.nodes)
    assert (served.name, served.version) == (module.NAME, 1)


def broken(folder: Path, fault: str) -> Bundle:
    """A bundle of one stage whose head's declared output, (batch, columns), promises nothing, and fails it on zeros."""
    sketch = Sketch(x=("float32", ("batch", 4)))
    zero = sketch.cast(sketch.op("ReduceMax", "x", keepdims=0), "int64")
    width = sketch.op("Reshape", sketch.op("Add", zero, np.int64(2 if fault == "labels" else 3)), np.int64([1]))
    narrow = sketch.op("Slice", "x", np.int64([0]), width, np.int64([1]))
    if fault == "rows":
        narrow = sketch.op("Concat", narrow, narrow, axis=0)
    elif fault == "index":
        narrow = sketch.op("Add", narrow, sketch.op("Gather", np.zeros(1, np.float32), width, axis=0))
    sketch.op("Identity", narrow, to="y")
    head = {"file": "head.onnx", "reads": {"x": "x"}, "writes": {"y": "logits"}, "macs": 12}
    draft = {
        "name": "broken", "task": "classification", "labels": ["a", "b", "c"],
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 4]}], "stages": [{"head": head}],
    }  # fmt: skip
    return write_bundle(folder, draft, {"head.onnx": sketch.model(y=("float32", ("batch", "columns")))})


def test_a_fixed_row_axis_is_one_row_at_a_time(tmp_path):
    """Where the head's graph declares one row, pieces with it never run two, and the answers are right."""

    async def main():
        served = serve(spelled.build(tmp_path / "bundle", head_rows=1))
        async with engine_of(workers=1) as engine:
            inputs = rows(ONE, row(sure(1), sure(0), sure(0)), row(sure(2), sure(0), sure(0)))
            answers = await answers_of(engine, submit(engine, served, inputs, confidence=0.9))
        assert [told(answer) for answer in answers] == [(1, index, "confidence") for index in range(3)]
        assert {count for _, count in runner_of(served).ran} == {1}

    run(main())


PROFILES = {
    "a run costs the same, however many rows": ({}, 0.0, 32),
    "each row costs its full time": ({}, 100.0, 1),
    "half of it is shared": ({}, 1.0, 8),
}


@pytest.mark.parametrize(("ms", "row_ms", "limit"), PROFILES.values(), ids=PROFILES)
def test_batches_are_as_large_as_pays(spelled_bundle, ms, row_ms, limit):
    """Twice the rows pay as long as a row then takes at most nine tenths of its time."""
    served = serve(spelled_bundle, ms=ms, row_ms=row_ms)
    assert set(served.batch_limits) == {limit}


def test_the_slowest_graph_of_a_piece_decides(spelled_bundle):
    """A head that gains nothing from batches does not keep a slow body from them."""
    served = serve(spelled_bundle, ms={f"body{k}.onnx": 100.0 for k in (1, 2, 3)}, row_ms=1.0)
    program = served.program(parse_policy({"confidence": 0.9}))
    assert served.batch_limits[:2] == (32, 8)
    assert [piece.batch_limit for leg in program.legs for piece in leg] == [32, 32, 32]


def test_without_a_budget_nothing_is_profiled(spelled_bundle):
    """A warm-up of no time still tries every graph, and batches nothing."""
    served = Served(
        spelled_bundle,
        Policy(),
        warmup_s=0.0,
        make_runner=lambda bundle, threads: ScriptedRunner(bundle, threads, ms={}),
    )
    assert set(served.batch_limits) == {1}
    assert {file for file, _ in runner_of(served).ran} == {
        f"{part}{k}.onnx" for part in ("body", "head") for k in (1, 2, 3)
    }


def test_one_file_is_profiled_once(stress):
    """Six stages of one step file share its profile; each graph still has times of its own."""
    served = Served(stress(cascade), Policy(), warmup_s=0.2)
    assert len(set(served.batch_limits[::2])) == 1
    for node in served.flow.nodes:
        served.timings.add(0.0, [(node, 1000.0 + node.index)], 1)
    assert [served.timings.typical_ms([node]) for node in served.flow.nodes] == [1000.0 + n for n in range(12)]


def test_a_plan_is_made_once(spelled_bundle):
    """The same policy asked the same way gives the same program; a stream, a trace or a null are others."""
    served = serve(spelled_bundle, default={"confidence": 0.9})
    plain = served.program(parse_policy({"max_exit": 2}))
    assert served.program(parse_policy({"max_exit": 2})) is plain
    assert served.program(parse_policy({"max_exit": 2}), stream=True) is not plain
    assert served.program(parse_policy({"max_exit": 2}), trace=True) is not plain
    assert served.program(parse_policy({"max_exit": 2, "confidence": None})) is not plain


def test_what_is_asked_often_is_not_forgotten(spelled_bundle):
    """However many policies come once, the one that comes again and again keeps its program."""
    served = serve(spelled_bundle)
    often = served.program(parse_policy({"confidence": 0.9}))
    for n in range(2000):
        served.program(parse_policy({"deadline_ms": 1000.0 + n}))
        assert served.program(parse_policy({"confidence": 0.9})) is often
    assert served._programs.cache_info().currsize <= 512


def test_a_bad_policy_is_refused(spelled_bundle):
    """What the bundle cannot honour is a ``PolicyError``, and is not remembered."""
    served = serve(spelled_bundle)
    for _ in range(2):
        with pytest.raises(PolicyError):
            served.program(parse_policy({"learned": 0.5}))


def point(name: str, policy: dict) -> dict:
    return {"name": name, "policy": policy, "accuracy": 0.9, "cost": 0.5, "ms": 1.0, "exit_shares": [0.5, 0.3, 0.2]}


def test_operating_points_and_defaults(tmp_path):
    """The service's default lies below the bundle's, and that below the request's; a target stands for its rules."""
    calibration = {"operating_points": [point("cost-50", {"confidence": 0.4})], "default_policy": {"min_exit": 2}}
    bundle = spelled.build(tmp_path / "bundle", calibration=calibration)
    served = serve(bundle, default={"min_exit": 3, "confidence": 0.8})
    assert served.program(Policy()).plan.policy.confidence == (0.8, 0.8, 0.8)
    assert served.program(Policy()).plan.policy.min_exit == 2
    targeted = served.program(parse_policy({"target": "cost-50", "min_exit": 1})).plan.policy
    assert (targeted.confidence, targeted.min_exit) == ((0.4, 0.4, 0.4), 1)


@pytest.mark.parametrize(
    ("calibration", "error"),
    [
        ({"operating_points": [point("bad", {"learned": 0.5})]}, PolicyError),
        ({"operating_points": [point("bad", {"deadline_ms": 5.0})]}, PolicyError),
        ({"default_policy": {"confidense": 0.5}}, UnknownPolicyField),
        ({"default_policy": {"target": "nowhere"}}, PolicyError),
    ],
)
def test_a_bundle_with_a_bad_policy_is_not_served(tmp_path, calibration, error):
    """An operating point or default that the bundle itself cannot honour is found when it is loaded, not by a request."""
    bundle = spelled.build(tmp_path / "bundle", calibration=calibration)
    with pytest.raises(error):
        serve(bundle)


def test_starts_are_read_once(tmp_path):
    """Start values come from the verified file at load: what happens to the folder later changes nothing."""

    async def main():
        folder = cascade.build(tmp_path / "bundle").folder
        served = Served(open_bundle(folder), Policy(), warmup_s=0.0)
        shutil.rmtree(folder)
        async with engine_of() as engine:
            answers = await answers_of(engine, submit(engine, served, cascade.inputs(4)))
        known = cascade.reference(cascade.inputs(4))[-1]["logits"]
        assert [answer.answer.outcome.index for answer in answers] == known.argmax(axis=1).tolist()

    run(main())


def test_evidence_of_times(spelled_bundle):
    """Typical and worst add up over graphs; an exit's time is that of all that its head needs."""
    served = serve(spelled_bundle, ms={"body1.onnx": 5.0})
    nodes, now = served.flow.nodes, time.perf_counter()
    assert served.typical_ms(nodes[:2]) == served.worst_ms(nodes[:2], now) == served.evident_ms(nodes[:2], now) == 6.0
    assert [served.exit_ms(exit) for exit in (1, 2, 3)] == [6.0, 7.0, 8.0]
    assert served.evident_ms(nodes[:2], now + 120.0) == 0.0


@pytest.mark.parametrize(
    ("output", "error"), [("labels", GraphMismatch), ("rows", GraphMismatch), ("index", ModelFailed)]
)
def test_the_warm_up_finds_what_no_declaration_tells(tmp_path, output, error):
    """A head that writes too few labels, too many rows, or fails, is found before the bundle is served."""
    bundle = broken(tmp_path / output, output)
    with pytest.raises(error):
        serve(bundle)
