"""The table of cases against replay: what the service must say, said without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anytime.model_store import Bundle, Store
from anytime.policy import Trace, check_default, make_plan, merge, parse_policy, replay, resolve
from tests.bundles.cases import CASES, ROWS, Case, expected
from tests.doubles import run_stages


def recorded(bundle: Bundle, case: Case) -> Trace:
    """The trace of the eight rows, from the stages themselves; no clock."""
    exits = run_stages(bundle, case.module.inputs(ROWS))
    outputs = {}
    for name in {name for said in exits for name in said}:
        columns = max(said[name].shape[1] for said in exits if name in said)
        absent = np.full((ROWS, columns), np.nan, dtype=np.float32)
        values = np.stack([said.get(name, absent) for said in exits], axis=1)
        outputs[name] = values if name.startswith("logits") else values[:, :, 0]
    return Trace(outputs, np.full((ROWS, len(bundle.flow.nodes)), np.nan))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.module.NAME}: {case.name}")
def test_replay_agrees_with_the_table(case: Case, stress_store: Path) -> None:
    """Exit, depth, reason, level, label, confidence and cost of every row are those worked out by hand."""
    bundle = Store(stress_store).open(case.module.NAME)
    default = check_default(bundle.manifest, bundle.flow)
    layers = [*([default] if default else []), parse_policy(case.policy)]
    plan = make_plan(resolve(merge(layers), bundle.manifest, bundle.flow), bundle.flow)
    got = list(replay(plan, bundle.manifest, recorded(bundle, case)))
    wanted = expected(case)
    assert [(row.exit, row.reason) for row in got] == [(row.exit, row.reason) for row in wanted]
    assert [(row.depth, row.level, row.index) for row in got] == [(row.depth, row.level, row.index) for row in wanted]
    assert [row.cost for row in got] == [row.cost for row in wanted]
    tolerance = case.module.TOLERANCE or 1e-12
    assert [row.confidence for row in got] == pytest.approx([row.confidence for row in wanted], rel=0, abs=tolerance)
