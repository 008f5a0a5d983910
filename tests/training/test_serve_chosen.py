"""A run made anew with fewer exits."""

import dataclasses
import json

import numpy as np
import pytest

from anytime.training.calibration import cheapest_policy, hold
from anytime.training.finished import find_again, read_finished
from anytime.training.serve_chosen import measure, measure_gain, serve_chosen
from tests.training.finished_runs import CPU


@pytest.fixture(scope="module")
def run(finished_run):
    return read_finished(finished_run)


@pytest.fixture(scope="module")
def found(run):
    return find_again(run)


def serve(run, found, folder, **more):
    return serve_chosen(run, (2, 4), *found, folder, name="net", device=CPU, **more)


def test_the_bodies_between_are_one_and_full_depth_stays(run, found, tmp_path):
    """Two exits of four; the bodies' multiply-adds and the network's own answer are what they were, features the run's."""
    cached = sorted(path.name for path in run.features.iterdir())
    made = serve(run, found, tmp_path / "planned")
    assert sorted(path.name for path in run.features.iterdir()) == cached
    assert not (tmp_path / "planned" / "features").exists()
    before, after = run.bundle.manifest, made.bundle.manifest
    assert (before.exits, after.exits) == (4, 2)
    bodies = [sum(stage.body.macs for stage in one.stages[:-1]) + one.stages[-1].head.macs for one in (before, after)]
    assert bodies[0] == bodies[1] and after.base_macs == before.base_macs
    for part in ("calibration", "test"):
        was, now = (traces[part].outputs["logits"][:, -1] for traces in (run.traces, made.traces))
        np.testing.assert_allclose(now, was, rtol=1e-4, atol=1e-4)
    said = json.loads(after.provenance.recipe)
    assert said["planned"] == {"exits": [2, 4], "of": 4} and said["method"] == "ztw"


def test_broken_off_it_goes_on(run, found, tmp_path):
    """The second try's graphs are to the byte those of a run left alone."""
    alone = serve(run, found, tmp_path / "alone")

    def stop(position, share):
        if position.phase == "ensembles":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(run, found, tmp_path / "broken", progress=stop)
    again = serve(run, found, tmp_path / "broken")
    for path in sorted((alone.bundle.folder / "stages").iterdir()):
        assert path.read_bytes() == (again.bundle.folder / "stages" / path.name).read_bytes(), path.name


def test_what_a_bundle_costs_by_hand(run):
    """With 1 ms a graph and half a one a boundary: seven graphs, three early heads, four stages."""
    trace = dataclasses.replace(run.traces["test"], ms=np.ones_like(run.traces["test"].ms))
    found = measure(run.bundle, trace, {"target": "accuracy-1"}, 0.5)
    assert (found.exits, found.accuracy, found.full_ms, found.overhead_ms) == (4, 1.0, 9.0, 5.0)
    assert found.overhead == pytest.approx(5 / 4)
    free = measure(run.bundle, trace, {"target": "accuracy-1"}, 0.0)
    assert free.policy_accuracy == found.policy_accuracy and 1.0 <= free.policy_ms < found.policy_ms <= 9.0


def test_both_bundles_are_timed(run, found, tmp_path):
    """Before and after on the same rows, at a loss that no stored point has; what is saved follows from the two."""
    made = serve(run, found, tmp_path / "planned")
    gain = measure_gain(run, made, *found, loss=1.5, boundary_ms=0.0)
    assert (gain.before.exits, gain.after.exits) == (4, 2)
    assert gain.before.accuracy == gain.after.accuracy == 1.0
    assert gain.saved == pytest.approx(1 - gain.after.policy_ms / gain.before.policy_ms)
    for bundle, traces, told in ((run.bundle, run.traces, gain.before), (made.bundle, made.traces, gain.after)):
        wanted = cheapest_policy(bundle.manifest, bundle.flow, traces["calibration"], 1.5)
        assert told.policy == wanted and told.policy_accuracy == hold(wanted, bundle.manifest, bundle.flow,
                                                                      traces["test"]).accuracy  # fmt: skip
    assert all(0 < one.overhead_ms < one.full_ms for one in (gain.before, gain.after))
