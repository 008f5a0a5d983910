"""Exits as graphs: in a bundle they say what torch says, and hand on no more than is read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anytime.training.attach import assemble
from anytime.training.errors import ParityBroken
from anytime.training.exits import Reading, export, export_exits
from anytime.training.exits.cached import Cached
from anytime.training.exits.tasks import exit_logits
from anytime.training.export_backbone import INPUT
from anytime.training.methods.sdn import Sdn
from anytime.training.methods.ztw import Ztw, ZtwOptions
from anytime.training.models.heads import HeadOptions
from anytime.training.record import record

ROWS = 12
READINGS = [Reading(1), Reading(1)]
METHODS = {
    "sdn": (lambda shapes: Sdn(shapes, 5), set()),
    "linear": (lambda shapes: Sdn(shapes, 5, HeadOptions("linear")), set()),
    "ztw": (lambda shapes: Ztw(shapes, 5), {"scores_1", "log_p_1"}),
    "ensemble-only": (lambda shapes: Ztw(shapes, 5, options=ZtwOptions(cascade=False)), {"log_p_1"}),
    "cascade-only": (lambda shapes: Ztw(shapes, 5, options=ZtwOptions(ensemble="none", layer_norm=True)), {"scores_1"}),
    "additive": (lambda shapes: Ztw(shapes, 5, options=ZtwOptions(ensemble="additive")), {"scores_1", "log_p_1"}),
    "final": (
        lambda shapes: Ztw(shapes, 5, options=ZtwOptions(ensemble_final=True)), {"scores_1", "log_p_1", "log_p_2"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_a_bundle_says_what_torch_says(setup, name, tmp_path):
    """Every exit of the bundle is torch's within 1e-4, the last the network's; the states are those that are read."""
    make, states = METHODS[name]
    method = make(setup.shapes)
    for parameter in method.parameters():  # weights unlike those of a new method, ensembles' too
        torch.nn.init.normal_(parameter, std=0.3) if parameter.ndim else torch.nn.init.constant_(parameter, 0.4)
    exported = export_exits(method, setup.pieces, READINGS, setup.network.inputs, 5)
    assert {one.name for one in exported.states} == states
    attached = assemble("net", setup.network, setup.pieces, exported.heads, states=exported.states, last=exported.last)
    bundle = attached.write(tmp_path / "bundle")
    found = record(bundle, {INPUT: setup.x[:ROWS]}).outputs["logits"]
    rows = Cached(
        tuple(one[:ROWS] for one in setup.cached.features), setup.cached.base[:ROWS], setup.cached.target[:ROWS]
    )
    wanted = exit_logits(method, rows, answers=True)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1.0, float(np.abs(wanted).max())))


def test_a_graph_that_computes_something_else_is_refused(setup, monkeypatch):
    """The message names the tensor, the exit and how far it is off."""
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(ParityBroken, match="logits of exit 1 is .* from torch at 1 rows"):
        export_exits(Sdn(setup.shapes, 5), setup.pieces, READINGS, setup.network.inputs, 5)
