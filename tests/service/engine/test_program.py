"""Plans made ready to run: what is fetched, kept and dropped, what a row holds at most, which pieces are shared."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anytime.model_store.tensors import row_bytes
from anytime.policy import Policy, PolicyError, parse_policy
from anytime.service.engine.program import Program
from anytime.service.engine.run import Run, execute
from tests.bundles import BUNDLES, drawn, eann, sequence
from tests.bundles.cases import CASES
from tests.service.engine.engines import dims_of, jobs_of, serve


def steps_of(program: Program):
    return [step for leg in program.legs for piece in leg for step in piece.steps]


def names(served, slots) -> list[str]:
    return [served.flow.slots[slot].name for slot in slots]


def test_fetched_kept_and_dropped(spelled_bundle):
    """A body keeps what the next one reads; a head that is consulted says; a tensor goes with its last reader."""
    served = serve(spelled_bundle)
    program = served.program(parse_policy({"confidence": [None, 0.9, None]}))
    told = [
        (step.node.part + str(step.node.stage), names(served, step.keeps), list(step.says), names(served, step.drops))
        for step in steps_of(program)
    ]
    assert told == [
        ("body1", ["features_1"], [], ["x"]),
        ("body2", ["features_2"], [], ["features_1"]),
        ("head2", [], ["logits"], []),
        ("body3", ["features_3"], [], ["features_2"]),
        ("head3", [], ["logits"], ["features_3"]),
    ]
    assert [[len(piece.steps) for piece in leg] for leg in program.legs] == [[1, 2], [2]]
    assert names(served, program.starts) == ["x"]


def test_a_late_head_still_finds_what_it_reads(stress):
    """EANN under a rule at exit 2: head 1 runs late, and the first ``hidden`` is kept until then."""
    served = serve(stress(eann))
    steps = steps_of(served.program(parse_policy({"confidence": [None, 0.5, None, None, None]})))
    assert [f"{step.node.part[0]}{step.node.stage}" for step in steps] == ["b1", "b2", "h2", "h1", "b3", "b4", "h4"]
    (first_hidden,) = steps[0].keeps
    assert [first_hidden in step.drops for step in steps] == [False, False, False, True, False, False, False]


def test_a_head_that_is_only_read_says_nothing(stress):
    """A head that runs because another graph reads its vote fetches the vote and not its logits."""
    served = serve(stress(eann))
    head_1 = steps_of(served.program(Policy()))[1]
    assert (head_1.node.part, head_1.node.stage) == ("head", 1)
    assert (names(served, head_1.keeps), head_1.says) == (["vote"], ())


def held_at_most(program: Program, dims) -> int:
    """By definition: at every graph, all that it or a later one reads, and all that it writes for a later one.

    Beside that the inputs, to the end, and what each consulted exit says.
    """
    slots, steps = program.plan.flow.slots, steps_of(program)
    reads = [{slot for _, slot in step.node.reads} for step in steps]
    written = set(program.starts)
    inputs = {slot for slot in program.starts if slots[slot].source == "input"}
    most = 0
    for now, step in enumerate(steps):
        later = set().union(*reads[now + 1 :]) if reads[now + 1 :] else set()
        held = written & (reads[now] | later)
        written |= {slot for _, slot in step.node.writes}
        held |= written & later | inputs
        most = max(most, sum(row_bytes(slots[slot].dtype, slots[slot].shape, dims) for slot in held))
    return most + len(program.legs) * program.outcome_bytes


@pytest.fixture(scope="module")
def drawn_bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    return functools.cache(lambda seed: serve(drawn.build(folder / str(seed), seed)))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(100, 120), mask=st.lists(st.sampled_from([None, 0.5]), min_size=5, max_size=5),
    max_exit=st.integers(1, 5), stream=st.booleans(), max_cost=st.none() | st.floats(0.1, 1.0),
)  # fmt: skip
def test_peak_bytes_are_those_of_brute_force(drawn_bundle, seed, mask, max_exit, stream, max_cost):
    """What admission reserves is the most that a row holds; what a row really holds never exceeds it, and ends at 0."""
    served = drawn_bundle(seed)
    exits = served.manifest.exits
    fields = {"confidence": mask[:exits], "max_exit": min(max_exit, exits), "max_cost": max_cost}
    try:
        program = served.program(parse_policy(fields), stream=stream)
    except PolicyError:
        return
    if max_cost is None:
        assert program.peak_bytes({}) == held_at_most(program, {})
    inputs = drawn.inputs(1, seed)
    (job,) = jobs_of(served, inputs, **fields)
    peak = job.ticket.program.peak_bytes({})
    while True:
        assert sum(value.nbytes for value in job.slots.values()) <= peak
        one = Run([job], 0.0)
        execute(one)
        (result,) = one.results
        if result is not None and job.heard(result, job.walk.next_leg and job.walk.next_leg.ahead).stops:
            break
    if job.walk.next_leg is None:
        assert job.slots == {}


@pytest.mark.parametrize("module", BUNDLES, ids=lambda module: module.NAME)
def test_peak_bytes_of_the_stress_bundles(module, stress):
    """The same for every policy of the table that has no budget, on networks with symbolic axes, starts and rewrites."""
    served = serve(stress(module))
    dims = dims_of(served, module.inputs(1))
    for case in CASES:
        if case.module is module and not {"max_cost", "max_macs"} & case.policy.keys():
            program = served.program(parse_policy(dict(case.policy)))
            assert program.peak_bytes(dims) == held_at_most(program, dims), case.name


def test_peak_bytes_follow_the_axes(stress):
    """A longer sequence holds more; the same length is the same again."""
    program = serve(stress(sequence)).program(Policy())
    short, long = program.peak_bytes({"sequence": 3}), program.peak_bytes({"sequence": 30})
    assert short < long
    assert program.peak_bytes({"sequence": 3}) == short


def test_programs_share_their_pieces(spelled_bundle):
    """Rows under different thresholds stand before one and the same piece, so that they can share a run."""
    served = serve(spelled_bundle)
    one, other = (served.program(parse_policy({"confidence": value})) for value in (0.5, 0.9))
    assert one is not other
    assert all(
        a is b for mine, theirs in zip(one.legs, other.legs, strict=True) for a, b in zip(mine, theirs, strict=True)
    )


def test_pieces_that_differ_are_not_shared(spelled_bundle):
    """A piece that keeps its features for a later stage is not the one that drops them at the end of the way."""
    served = serve(spelled_bundle)
    last, passing = served.program(parse_policy({"max_exit": 2})), served.program(parse_policy({"confidence": 0.5}))
    assert last.legs[0][1] is not passing.legs[1][0]
