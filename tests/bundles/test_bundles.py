"""The six stress bundles: they verify, their stages compute the reference, their costs are the hand's."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest

from anytime.model_store import Bundle, indices, open_bundle
from tests.bundles import BUNDLES, cascade, eann, quantised, sequence, slices, ztw
from tests.doubles import open_sessions, run_batch, run_stages

ROWS = 9


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stress")


@pytest.fixture(scope="session", params=BUNDLES, ids=lambda module: module.NAME)
def case(request: pytest.FixtureRequest, folder: Path) -> tuple[ModuleType, Bundle]:
    module: ModuleType = request.param
    return module, module.build(folder / module.NAME)


def assert_same(got: list[dict[str, np.ndarray]], wanted: list[dict[str, np.ndarray]], tolerance: float) -> None:
    assert len(got) == len(wanted)
    for said, known in zip(got, wanted, strict=True):
        assert said.keys() == known.keys()
        for name in known:
            np.testing.assert_allclose(said[name], known[name], rtol=0, atol=tolerance, err_msg=name)


def test_opens_and_verifies(case: tuple[ModuleType, Bundle]) -> None:
    """Each bundle passes every check again when it is opened from disk."""
    module, bundle = case
    assert open_bundle(bundle.folder).manifest == bundle.manifest
    assert bundle.manifest.name == module.NAME


def test_building_is_repeatable(case: tuple[ModuleType, Bundle], folder: Path) -> None:
    """Built twice, a bundle is the same byte for byte."""
    module, bundle = case
    assert module.build(folder / f"{module.NAME}-again").digest == bundle.digest


@pytest.mark.parametrize("seed", range(4))
def test_stages_compute_the_reference(case: tuple[ModuleType, Bundle], seed: int) -> None:
    """Run one after another, a row at a time, the stages give what the whole network gives."""
    module, bundle = case
    inputs = module.inputs(ROWS, seed)
    assert_same(run_stages(bundle, inputs), module.reference(inputs), module.TOLERANCE)


def test_rows_share_runs(case: tuple[ModuleType, Bundle]) -> None:
    """Nine rows in one run say what each says alone."""
    module, bundle = case
    inputs = module.inputs(ROWS)
    assert_same(run_batch(bundle, inputs), module.reference(inputs), module.TOLERANCE)


def test_an_exit_needs_only_what_the_flow_says(case: tuple[ModuleType, Bundle]) -> None:
    """The graphs that an exit needs, and no other, give that exit's output."""
    module, bundle = case
    inputs = module.inputs(ROWS)
    known = module.reference(inputs)
    for exit in range(1, bundle.manifest.exits + 1):
        nodes = list(indices(bundle.flow.needs(exit)))
        assert_same([_run_nodes(bundle, inputs, nodes)[exit]], [known[exit - 1]], module.TOLERANCE)


def test_costs_are_the_hand_count(case: tuple[ModuleType, Bundle]) -> None:
    """The counter finds the multiply-adds that were counted by hand."""
    module, bundle = case
    counted = {(node.stage, node.part): node.macs for node in bundle.flow.nodes}
    assert counted == module.MACS


NEEDED = {
    ztw: {3: [(1, "body"), (1, "head"), (2, "body"), (2, "head"), (3, "body"), (3, "head")],
          5: [*((k, "body") for k in range(1, 6)), (5, "head")]},
    cascade: {6: [*((k, "body") for k in range(1, 7)), (6, "head")]},
    slices: {3: [(1, "body"), (2, "body"), (3, "body"), (3, "head")]},
    eann: {2: [(1, "body"), (2, "body"), (2, "head")],
           4: [(1, "body"), (1, "head"), (3, "body"), (4, "body"), (4, "head")],
           5: [(5, "body"), (5, "head")]},
    sequence: {1: [(1, "head")], 3: [(2, "body"), (3, "body"), (3, "head")]},
    quantised: {3: [(1, "body"), (2, "body"), (3, "body"), (3, "head")]},
}  # fmt: skip


def test_needs_skip_the_rest(case: tuple[ModuleType, Bundle]) -> None:
    """Heads that nobody reads and bodies before a restart are not needed."""
    module, bundle = case
    for exit, graphs in NEEDED[module].items():
        needed = [bundle.flow.nodes[i] for i in indices(bundle.flow.needs(exit))]
        assert sorted((node.stage, node.part) for node in needed) == sorted(graphs)
    assert bundle.flow.macs_full == sum(module.MACS[graph] for graph in NEEDED[module][bundle.manifest.exits])


def test_a_late_head_reads_the_write_before_it(folder: Path) -> None:
    """EANN: exit 1's head, run after body 2 wrote ``hidden`` again, still reads what body 1 wrote."""
    bundle = eann.build(folder / "late")
    inputs = eann.inputs(ROWS)
    first = list(indices(bundle.flow.needs(2)))
    late = [i for i in indices(bundle.flow.needs(4)) if i not in first]
    assert (bundle.flow.nodes[late[0]].stage, bundle.flow.nodes[late[0]].part) == (1, "head")
    said = _run_nodes(bundle, inputs, first + late)
    known = eann.reference(inputs)
    assert_same([said[k] for k in (1, 2, 4)], [known[k - 1] for k in (1, 2, 4)], 0.0)


def test_cascade_rows_at_different_steps_share_a_run(folder: Path) -> None:
    """Each row takes the batch-norm row of its own step, and the step stops at the last row."""
    bundle = cascade.build(folder / "steps")
    session = onnxruntime.InferenceSession(bundle.path("step.onnx"))
    rows = cascade.ROWS
    frame = np.repeat(cascade.inputs(1)["frame"], rows, axis=0)
    queues = {f"q{i}_in": np.stack([bundle.start(f"residual_{i}")] * rows) for i in range(cascade.BLOCKS)}
    names = [output.name for output in session.get_outputs()]
    together = session.run(names, {"frame": frame, "step_in": np.arange(rows), **queues})
    assert dict(zip(names, together, strict=True))["step_out"].tolist() == [1, 2, 3, 4, 4]
    for r in range(rows):
        one = {name: value[:1] for name, value in {"frame": frame, **queues}.items()}
        alone = session.run(names, {**one, "step_in": np.array([r])})
        for batched, single in zip(together, alone, strict=True):
            np.testing.assert_array_equal(batched[r : r + 1], single)
    assert len(np.unique(together[names.index("q0_out")].reshape(rows, -1), axis=0)) == rows


@pytest.mark.parametrize("length", [sequence.MIN, 5, sequence.TYPICAL, sequence.MAX])
def test_sequence_of_any_length(folder: Path, length: int) -> None:
    """The symbolic axis takes every length within its bounds; a row that masks everything has an answer too."""
    bundle = sequence.build(folder / f"length-{length}")
    inputs = sequence.inputs(ROWS, length=length)
    inputs["mask"][-1] = 0
    assert_same(run_stages(bundle, inputs), sequence.reference(inputs), sequence.TOLERANCE)


def test_sequence_ignores_what_the_mask_hides(folder: Path) -> None:
    """Other ids behind the mask, or no padding at all, change nothing."""
    bundle = sequence.build(folder / "hidden")
    inputs = sequence.inputs(1, length=6)
    padded = {"ids": np.full((1, 9), 7, dtype=np.int64), "mask": np.zeros((1, 9), dtype=np.int64)}
    padded["ids"][:, :6], padded["mask"][:, :6] = inputs["ids"], inputs["mask"]
    assert_same(run_stages(bundle, padded), run_stages(bundle, inputs), 1e-6)


def _run_nodes(bundle: Bundle, inputs: dict[str, np.ndarray], nodes: list[int]) -> dict[int, dict[str, np.ndarray]]:
    """Some graphs in the order given, each write kept in a slot of its own; head outputs by exit."""
    sessions = open_sessions(bundle)
    rows = len(next(iter(inputs.values())))
    slots: dict[int, np.ndarray] = {}
    for slot in bundle.flow.slots:
        if slot.source == "input":
            slots[slot.index] = inputs[slot.name]
        elif slot.source == "start":
            slots[slot.index] = np.stack([bundle.start(slot.name)] * rows)
    exits = {}
    for node in (bundle.flow.nodes[i] for i in nodes):
        feed = {tensor: slots[slot] for tensor, slot in node.reads}
        said = dict(zip(node.graph.writes, sessions[node.graph.file].run(list(node.graph.writes), feed), strict=True))
        slots |= {slot: said[tensor] for tensor, slot in node.writes}
        if node.outputs:
            exits[node.stage] = {name: said[tensor] for tensor, name in node.outputs}
    return exits
