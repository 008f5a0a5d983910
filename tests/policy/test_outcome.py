"""What one exit said of one row."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anytime.policy import HeadOutputInvalid, Outcome, Reader, Verdict, read_outcome
from tests.policy.conftest import load_vector, make_manifest

COUNTS = [2, 3, 10, 63, 64, 65, 66, 1000]
"""Label counts on both sides of the step from a Python loop to NumPy."""


def spelled_out(logits, temperature=1.0):
    """(probabilities, certainty) by the definition, without any care for overflow."""
    exp = np.exp(np.asarray(logits, dtype=np.float64) / temperature)
    p = exp / exp.sum()
    present = p[p > 0]
    return p, 1.0 + (present * np.log(present)).sum() / math.log(len(p))


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.7])
@pytest.mark.parametrize("labels", COUNTS)
def test_few_and_many_labels_agree_with_the_definition(labels, temperature):
    """Softmax at a temperature, its top and its certainty are the definition's for any number of labels."""
    logits = np.random.default_rng(labels).normal(scale=3.0, size=labels).astype(np.float32)
    p, certainty = spelled_out(logits, temperature)
    verdict = Verdict(logits, temperature)

    assert verdict.probabilities == pytest.approx(p, abs=1e-14)
    assert verdict.index == p.argmax()
    assert verdict.top == pytest.approx(p.max(), abs=1e-14)
    assert verdict.certainty == pytest.approx(certainty, abs=1e-12)


@given(
    hnp.arrays(np.float32, st.integers(2, 64), elements=st.floats(-50, 50, width=32)),
    st.floats(0.05, 20.0),
)
def test_labels_that_cannot_be_do_not_change_the_rest(logits, temperature):
    """Padding with labels of probability 0, which takes the wide path, leaves label, top and probabilities alone."""
    narrow = Verdict(logits, temperature)
    wide = Verdict(np.concatenate([logits, np.full(70, -np.inf, np.float32)]), temperature)

    assert wide.index == narrow.index
    assert wide.top == pytest.approx(narrow.top, rel=1e-12)
    assert wide.probabilities[: len(logits)] == pytest.approx(narrow.probabilities, abs=1e-14)
    entropy = (1.0 - narrow.certainty) * math.log(len(logits))
    assert (1.0 - wide.certainty) * math.log(len(logits) + 70) == pytest.approx(entropy, abs=1e-11)


@given(hnp.arrays(np.float64, st.integers(2, 80), elements=st.floats(-1e308, 1e308)), st.floats(1e-3, 1e3))
def test_shares_stay_within_0_and_1(logits, temperature):
    """Whatever finite logits a head writes, shares lie in 0..1 and the top is the largest, without a warning."""
    verdict = Verdict(logits, temperature)

    assert 0.0 < verdict.top <= 1.0
    assert 0.0 <= verdict.certainty <= 1.0
    assert verdict.probabilities.min() >= 0.0
    assert verdict.probabilities.max() == verdict.probabilities[verdict.index] == verdict.top


@pytest.mark.parametrize("labels", COUNTS)
def test_logits_as_far_apart_as_can_be(labels):
    """Logits whose difference overflows are no error: the lower label is impossible."""
    logits = np.full(labels, -1.7e308)
    logits[0] = 1.7e308

    assert (Verdict(logits).index, Verdict(logits).top, Verdict(logits).certainty) == (0, 1.0, 1.0)


@pytest.mark.parametrize("labels", COUNTS)
def test_ties_go_to_the_lowest_index(labels):
    """Of equal top logits the first label wins."""
    logits = np.zeros(labels, dtype=np.float32)
    assert Verdict(logits).index == 0

    logits[1:] = 2.0
    assert Verdict(logits).index == 1


@given(st.permutations([2.5, 1.25, 0.5, 0.0, -0.75, -1.0, -3.5, 0.5, 1.25, 2.0]))
def test_the_order_of_labels_does_not_matter(logits):
    """The same logits in another order have exactly the same top and certainty, so that two exits can tie."""
    one, other = Verdict(np.sort(logits)), Verdict(np.array(logits))

    assert (one.top, one.certainty) == (other.top, other.certainty)


@pytest.mark.parametrize("labels", COUNTS)
def test_equal_logits_know_nothing(labels):
    """Equal logits have the top 1 / labels and the certainty 0; a lone finite logit has 1 and 1."""
    nothing = Verdict(np.full(labels, 7.5, dtype=np.float32))
    assert nothing.top == pytest.approx(1.0 / labels)
    assert nothing.certainty == pytest.approx(0.0, abs=1e-12)

    everything = np.full(labels, -np.inf, dtype=np.float32)
    everything[-1] = -3.0
    assert (Verdict(everything).index, Verdict(everything).top, Verdict(everything).certainty) == (labels - 1, 1.0, 1.0)


@pytest.mark.parametrize("labels", COUNTS)
@pytest.mark.parametrize("place", [0, 1, -1])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_refuses_what_is_no_number(labels, place, bad):
    """NaN anywhere, or an infinite top, is refused: a broken network must not look confident."""
    logits = np.linspace(-1.0, 1.0, labels, dtype=np.float32)
    logits[place] = bad

    with pytest.raises(HeadOutputInvalid):
        Verdict(logits)


@pytest.mark.parametrize("labels", [3, 100])
def test_refuses_logits_that_are_all_minus_infinity(labels):
    """If no label can be, there is no distribution."""
    with pytest.raises(HeadOutputInvalid):
        Verdict(np.full(labels, -np.inf, dtype=np.float32))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
@pytest.mark.parametrize("labels", [3, 100])
def test_reads_any_dtype_as_float64(dtype, labels):
    """The dtype of a head's output does not change what its numbers mean."""
    logits = (np.arange(labels) % 5).astype(dtype)

    assert Verdict(logits).top == Verdict(logits.astype(np.float64)).top
    assert Verdict(logits).probabilities.dtype == np.float64


def test_certainty_is_the_normalised_confidence_of_quicknets():
    """Certainty agrees with the published normalised confidence of every exit and sample."""
    vector = load_vector("j_quicknets")
    logits = np.array(vector["inputs"]["logits_exit_x_sample_x_class"])
    wanted = np.array(vector["outputs"]["normalised_confidence_0_1"])

    got = np.array([[Verdict(sample).certainty for sample in exit] for exit in logits])

    assert got == pytest.approx(wanted, abs=vector["tolerance_abs"])


def test_takes_the_temperature_of_its_exit_and_level():
    """Each exit and level is divided by its own calibrated temperature; without calibration by 1."""
    levels = {"species": 3, "genus": 2}
    outputs = {"logits": np.array([2.0, 0.0, 1.0]), "logits.genus": np.array([1.0, 3.0])}
    cold = make_manifest(2, levels=levels)
    warm = make_manifest(2, levels=levels, temperature=[[1.0, 1.0], [2.0, 4.0]])

    plain, calibrated = read_outcome(cold, 2, outputs), read_outcome(warm, 2, outputs)

    assert [v.top for v in plain.verdicts] == [Verdict(outputs["logits"]).top, Verdict(outputs["logits.genus"]).top]
    assert [v.top for v in calibrated.verdicts] == [
        Verdict(outputs["logits"] / 2.0).top,
        Verdict(outputs["logits.genus"] / 4.0).top,
    ]
    assert [v.top for v in read_outcome(warm, 1, outputs).verdicts] == [v.top for v in plain.verdicts]
    assert (calibrated.exit, calibrated.index, calibrated.verdicts[1].index) == (2, 0, 1)
    assert calibrated.confidence == calibrated.verdicts[0].top


@pytest.mark.parametrize(
    ("logit", "share"),
    [
        (0.0, 0.5),
        (2.0, 1 / (1 + math.exp(-2.0))),
        (-2.0, 1 / (1 + math.exp(2.0))),
        (800.0, 1.0),
        (-800.0, 0.0),
        (math.inf, 1.0),
        (-math.inf, 0.0),
    ],
)
@pytest.mark.parametrize("name", ["commitment", "stop", "ood"])
def test_scalar_heads_are_sigmoids(name, logit, share):
    """Commitment, stop and ood are sigmoids of the head's logit, at any size."""
    outcome = Outcome(1, {name: np.array([logit], dtype=np.float32)}, (Verdict(np.zeros(2)),))

    assert getattr(outcome, name) == pytest.approx(share, rel=1e-12)
    assert [getattr(outcome, other) for other in {"commitment", "stop", "ood"} - {name}] == [None, None]


@pytest.mark.parametrize("name", ["commitment", "stop", "ood"])
def test_refuses_a_scalar_head_that_is_no_number(name):
    """NaN of a scalar head is refused when the outcome is read, whoever will ask for it."""
    outputs = {"logits": np.zeros(3), name: np.array([math.nan])}

    with pytest.raises(HeadOutputInvalid, match=name):
        read_outcome(make_manifest(**{name: True}), 1, outputs)


@given(
    hnp.arrays(
        np.float32, 5, elements=st.floats(width=32, allow_nan=True, allow_infinity=True) | st.floats(-30, 30, width=32)
    ),
    st.sampled_from([0.3, 1.0, 2.5]),
)
def test_the_top_alone_is_the_outcome_s_top(logits, temperature):
    """To the last bit, with the exit's temperature; and infinite just where the outcome is refused."""
    reader = Reader(make_manifest(2, labels=5, temperature=[[1.0], [temperature]]), 2)
    assert reader.is_short
    try:
        wanted = reader.read({"logits": logits}).confidence
    except HeadOutputInvalid:
        wanted = math.inf

    assert reader.top(logits) == wanted


@pytest.mark.parametrize(
    ("shape", "is_short"),
    [({"labels": 64}, True), ({"labels": 65}, False), ({"levels": {"species": 3, "genus": 2}}, False)],
    ids=["few labels", "many labels", "levels"],
)
def test_of_whom_the_top_alone_is_told(shape, is_short):
    """Of one level of few labels."""
    assert Reader(make_manifest(2, **shape), 1).is_short is is_short
