"""A whole trace at once, against the walk row by row."""

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from anytime.policy import REASONS, BudgetTooSmall, HeadOutputInvalid, Trace, Verdict, replay
from anytime.policy.columns import Columns, top_probability
from tests.policy.conftest import make_manifest, make_trace, planned
from tests.policy.test_replay import bundles, policies

OTHERS = {"entropy", "commitment", "learned", "deadline_ms", "max_ms"}


@st.composite
def cases(draw):
    """A bundle at some temperatures, a policy of one rule and no clock, a trace with ties and gaps in its times."""
    manifest = draw(bundles())
    heat = [[draw(st.sampled_from([0.5, 1.0, 1.7])) for _ in manifest.logits_names] for _ in range(manifest.exits)]
    known = manifest.calibration.model_copy(update={"temperature": tuple(map(tuple, heat))})
    manifest = manifest.model_copy(update={"calibration": known})
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    graphs = sum(1 if stage.body is None else 2 for stage in manifest.stages)
    outputs = {
        name: random.integers(-3, 4, size=(20, manifest.exits, len(labels))) * 0.5
        for name, labels in zip(manifest.logits_names, manifest.level_labels, strict=True)
    }
    outputs |= {name: np.ones((20, manifest.exits)) for name in ("commitment", "stop")}
    ms = random.integers(0, 4, size=(20, graphs)).astype(float)
    ms[random.random(ms.shape) < 0.1] = np.nan
    fields = {name: value for name, value in draw(policies(manifest)).items() if name not in OTHERS}
    if "level" in fields and fields["level"] == "auto":
        del fields["level"]
    if "patience" in fields and draw(st.booleans()):
        fields.pop("confidence", None)
    elif "patience" in fields:
        del fields["patience"]
    if "confidence" in fields and draw(st.booleans()):  # what some row says to the bit
        row, exit = draw(st.integers(0, 19)), draw(st.integers(1, manifest.exits))
        level = manifest.level_names.index(fields["level"]) if "level" in fields else 0
        said = Verdict(outputs[manifest.logits_names[level]][row, exit - 1], manifest.temperature(exit, level)).top
        fields["confidence"] = min(said, 1.0)
    return manifest, fields, Trace(outputs, ms)


@settings(max_examples=400, deadline=None)
@given(cases())
def test_agrees_with_the_walk(case):
    """Every row ends as ``replay`` says, to the last bit of a confidence: exit, label, reason, cost, time."""
    manifest, fields, trace = case
    try:
        plan = planned(manifest, **fields)
    except BudgetTooSmall:
        event("budget refused")
        return
    columns = Columns(manifest, trace)
    assert columns.can_replay(plan)
    ends, wanted = columns.replay(plan), list(replay(plan, manifest, trace))
    for reason in {one.reason for one in wanted}:
        event(reason)
    assert ends.exit.tolist() == [one.exit for one in wanted]
    assert ends.index.tolist() == [one.index for one in wanted]
    assert [REASONS[place] for place in ends.reason] == [one.reason for one in wanted]
    assert ends.cost.tolist() == [one.cost for one in wanted]
    assert ends.compute_ms.tolist() == pytest.approx([one.compute_ms for one in wanted])


def test_a_threshold_that_a_row_says_exactly_is_not_passed():
    """To the last bit, though sums of exponentials in another order differ there."""
    logits = np.random.default_rng(0).standard_normal((100, 2, 7))
    manifest, columns = make_manifest(2, labels=7), Columns(make_manifest(2, labels=7), make_trace(logits))
    for row in range(100):
        said = Verdict(logits[row, 0]).top
        assert columns.replay(planned(manifest, confidence=said)).exit[row] == 2
        assert columns.replay(planned(manifest, confidence=np.nextafter(said, 0.0).item())).exit[row] == 1


def test_a_temperature_is_read():
    """A row that is sure at temperature 1 is not at 4."""
    trace = make_trace([[[3, 0, 0], [0, 3, 0]]])
    for temperature, exit in ((1.0, 1), (4.0, 2)):
        manifest = make_manifest(2, temperature=[[temperature], [1.0]])
        assert Columns(manifest, trace).replay(planned(manifest, confidence=0.8)).exit.tolist() == [exit]


@pytest.mark.parametrize(
    "fields",
    [{"confidence": 0.5, "patience": 1}, {"entropy": 0.5}, {"confidence": 0.5, "learned": 0.5},
     {"confidence": 0.5, "commitment": 0.5}, {"confidence": 0.5, "deadline_ms": 5}, {"max_ms": 5},
     {"confidence": 0.5, "level": "auto"}],
)  # fmt: skip
def test_other_rules_and_clocks_are_left_to_the_walk(fields):
    """What it cannot replay it says."""
    manifest = make_manifest(2, commitment=True, stop=True, levels={"species": 3, "genus": 2})
    assert not Columns(manifest, make_trace(np.zeros((1, 2, 3)))).can_replay(planned(manifest, **fields))


def test_only_rows_that_reach_an_unsound_exit_are_refused():
    """As a live request would be; a row that left before does not hear it."""
    manifest = make_manifest(2)
    trace = make_trace([[[9, 0, 0], [np.nan, 0, 0]]])
    assert Columns(manifest, trace).replay(planned(manifest, confidence=0.9)).exit.tolist() == [1]
    with pytest.raises(HeadOutputInvalid, match="NaN"):
        Columns(manifest, trace).replay(planned(manifest))
    unsaid = make_trace([[[1, 0, 0], [1, 0, 0]]], ood=[[np.nan, 0]])
    with pytest.raises(HeadOutputInvalid, match="NaN as ood"):
        Columns(make_manifest(2, ood=True), unsaid).replay(planned(make_manifest(2, ood=True), confidence=0.9))


def test_one_trace_is_read_under_one_plan_after_another():
    """What is kept of the last plan serves the next only where that passes and answers at the same exits."""
    manifest = make_manifest(3, answer="most_confident")
    draw = np.random.default_rng(1)
    trace = make_trace(draw.standard_normal((50, 3, 3)) * 3)
    columns = Columns(manifest, trace)
    sure: dict[str, object] = {"confidence": 0.9}
    for fields in (sure, {"confidence": 0.5}, {"patience": 1}, {"confidence": [None, 0.6, None]}, {**sure, "min_exit": 2},
                   {**sure, "max_exit": 2}, {}, sure):  # fmt: skip
        plan = planned(manifest, **fields)
        assert columns.replay(plan).exit.tolist() == [one.exit for one in replay(plan, manifest, trace)]


def test_no_rows_end_nowhere():
    """An empty trace gives empty columns."""
    manifest = make_manifest(2)
    ends = Columns(manifest, Trace({"logits": np.empty((0, 2, 3))}, np.empty((0, 4)))).replay(planned(manifest))
    assert ends.exit.shape == ends.reason.shape == (0,)


def test_the_top_probability_is_that_of_the_softmax():
    """At a temperature, whatever the size of the logits; NaN where they are no numbers, without a warning."""
    logits = np.array([[0.0, np.log(3.0)], [2000.0, 0.0], [np.nan, 0.0]])
    np.testing.assert_allclose(top_probability(logits, 1.0), [0.75, 1.0, np.nan])
    assert top_probability(logits[:1], 2.0)[0] == pytest.approx(3**0.5 / (1 + 3**0.5))
