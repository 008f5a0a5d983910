import numpy as np
import pytest

from anytime.policy import Trace
from anytime.policy.columns import top_probability
from anytime.training.calibration.held import Ground, Held
from anytime.training.calibration.points import (
    base_cost,
    candidate_thresholds,
    cheapest,
    choose_points,
    most_accurate,
    search,
)
from tests.cli.traced import traced
from tests.policy.conftest import make_flow, make_manifest, make_trace


def test_thresholds_are_drawn_from_what_was_said(pair):
    """From never to always going on, rising, each once."""
    bundle, trace = pair
    thresholds = candidate_thresholds(bundle.manifest, trace, steps=3).tolist()
    said = top_probability(trace.outputs["logits"][:, 0], 1.0)
    assert thresholds == sorted({0.0, *np.quantile(said, [0, 0.5, 1]).round(4).tolist(), 1.0})


def test_one_exit_leaves_nothing_to_choose():
    """Full depth, whatever the threshold."""
    trace = make_trace([[[1, 0, 0]], [[0, 1, 0]]])
    ground = Ground(make_manifest(1), make_flow(1), Trace(trace.outputs, trace.ms, np.array([0, 0])))
    assert {(one.cost, one.accuracy) for one in search(ground, np.array([0.0, 1.0]))} == {(1.0, 0.5)}


def test_an_exit_that_buys_nothing_is_not_consulted():
    """Heads as dear as bodies, and one that only says again what the one before it said: the set without it is cheaper."""
    logits = traced(300, 4, seed=1).outputs["logits"]
    logits[:, 1] = logits[:, 0]
    trace = Trace({"logits": logits}, np.ones((300, 8)), traced(300, 4, seed=1).label)
    shape = {"body_macs": 50, "head_macs": 50}
    ground = Ground(make_manifest(4, **shape), make_flow(4, **shape), trace)
    found = search(ground, np.linspace(0.0, 1.0, 101))
    full = ground.hold({})
    best = cheapest(found, full.accuracy - 0.01)
    assert best.policy["confidence"][1] is None
    assert best.cost < cheapest(found[:101], full.accuracy - 0.01).cost
    assert all(isinstance(one.policy["confidence"], float) for one in found[:101])
    sets = {tuple(exit is not None for exit in one.policy["confidence"]) for one in found[101:]}
    assert sorted(map(sum, sets)) == [1, 2]


def test_the_best_of_several_is_chosen():
    """By cost or by accuracy; equals are told apart by the other; none is none."""
    a, b, c = (Held({}, accuracy, cost, 0.0, ()) for accuracy, cost in ((0.7, 0.1), (0.9, 0.5), (0.9, 1.0)))
    assert cheapest([c, b, a], 0.9) is b
    assert cheapest([c, b, a], 0.0) is a
    assert cheapest([a], 0.9) is None
    assert most_accurate([c, b, a], 1.0) is b
    assert most_accurate([a, b, c], 0.2) is a
    assert most_accurate([c], 0.5) is None


def test_points_hold_what_their_names_say():
    """Points of accuracy against full depth, percent of the base network; what nothing reaches is left out."""
    full = Held({}, 0.95, 1.0, 0.0, ())
    figures = ((0.2, 0.9, 0.3), (0.5, 0.94, 0.5), (0.8, 0.951, 0.8), (1.0, 0.95, 1.0))
    tried = [Held({"confidence": share}, accuracy, cost, 0.0, ()) for share, accuracy, cost in figures]
    chosen = {name: held.policy["confidence"] for name, held in choose_points(tried, full, base_cost=1.0).items()}
    assert chosen == {"accuracy-0": 0.8, "accuracy-0.5": 0.8, "accuracy-1": 0.5, "accuracy-2": 0.5, "accuracy-5": 0.2,
                      "cost-50": 0.5, "cost-75": 0.5, "cost-100": 0.8}  # fmt: skip
    assert choose_points(tried, full, base_cost=0.6)["cost-100"].policy == {"confidence": 0.5}
    assert set(choose_points(tried, full, base_cost=0.1)) == {
        f"accuracy-{loss}" for loss in ("0", "0.5", "1", "2", "5")
    }


def test_a_cost_is_a_share_of_the_base_network():
    """It may have fewer multiply-adds than full depth; where they are not counted, full depth's stand for them."""
    manifest, flow = make_manifest(2), make_flow(2)
    assert base_cost(manifest, flow) == 1.0
    assert base_cost(manifest.model_copy(update={"base_macs": 180}), flow) == pytest.approx(180 / flow.macs_full)
