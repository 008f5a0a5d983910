"""Exits trained on cached features: what is learned, what stays, and what a cache may not change."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from anytime.training.attach import Chain
from anytime.training.exits import Cached, EnsemblesTask, HeadsTask, exit_logits, fit_exits
from anytime.training.exits.cached import imitated
from anytime.training.exits.tasks import shuffled
from anytime.training.export_backbone import INPUT
from anytime.training.loop import Keeping, choose_device, train
from anytime.training.methods.schedules import Schedule
from anytime.training.methods.sdn import Sdn
from anytime.training.methods.ztw import Ztw, ZtwOptions

HEADS, ENSEMBLES = Schedule(8, 3e-3, batch=32), Schedule(8, 1e-2, batch=64)
CPU = choose_device("cpu", "float32")


def fit(method, cached, **more):
    fit_exits(method, [cached], cached, heads=HEADS, ensembles=ENSEMBLES, seed=0, device=CPU, **more)
    return method


@pytest.mark.parametrize("make", [Sdn, Ztw], ids=["sdn", "ztw"])
def test_exits_learn_what_the_network_does_not_know(setup, make, tmp_path):
    """On a network with random weights every exit tells most rows apart; the last exit stays the network's, bit for bit."""
    method = fit(make(setup.shapes, 5), setup.cached, keeping=Keeping(tmp_path))
    answers = exit_logits(method, setup.cached, answers=True)
    right = (answers.argmax(axis=2) == setup.cached.target[:, None]).mean(axis=0)
    assert (right[:2] > 0.7).all() and right[2] < 0.4
    np.testing.assert_array_equal(answers[:, 2], setup.cached.base)
    last = Keeping(tmp_path).log.lines()[-1]
    assert last["phase"] == ("heads" if make is Sdn else "ensembles")
    assert last["held.accuracy.1"] == pytest.approx(right[0])


def test_cached_or_not_is_the_same_training(setup):
    """Heads trained by hand on features that are computed anew in every batch are those that the cache gives."""
    method, plain = Ztw(setup.shapes, 5), Ztw(setup.shapes, 5)
    task = HeadsTask(method, [setup.cached], setup.cached, seed=0)
    train(task, HEADS, seed=0, device=CPU)
    chain = Chain(setup.network, setup.pieces)
    optimizer = torch.optim.Adam([*plain.parameters()], HEADS.learning_rate)
    for epoch in range(HEADS.epochs):
        for rows in shuffled(len(setup.cached), HEADS.batch, seed=0, epoch=epoch, start=0):
            *features, base = map(torch.from_numpy, chain.run({INPUT: setup.x[rows]}))
            target = torch.from_numpy(setup.cached.target[rows])
            loss = sum(functional.cross_entropy(one, target) for one in plain(features, base)[:-1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for name, value in plain.heads.state_dict().items():
        np.testing.assert_allclose(value.numpy(), method.heads.state_dict()[name].numpy(), atol=2e-4, err_msg=name)


def test_ensembles_train_no_head(setup):
    """The second phase moves the ensembles' parameters only, and lowers their loss."""
    ztw = Ztw(setup.shapes, 5)
    train(
        HeadsTask(ztw, [setup.cached], setup.cached, seed=0), dataclasses.replace(HEADS, epochs=2), seed=0, device=CPU
    )
    heads = {name: value.clone() for name, value in ztw.heads.state_dict().items()}
    task = EnsemblesTask(ztw, [setup.cached], setup.cached, seed=0)
    (whole,) = task.batches(0, len(setup.cached))
    with torch.no_grad():
        before = float(task.loss(whole))
    train(task, ENSEMBLES, seed=0, device=CPU)
    with torch.no_grad():
        assert float(task.loss(whole)) < before
    assert all(torch.equal(value, heads[name]) for name, value in ztw.heads.state_dict().items())


def test_without_labels_they_imitate(setup):
    """On the network's own output exits come to agree with it; the log calls that agreement."""
    base = setup.cached.base * 40  # a network of random weights is never sure
    cached = Cached(setup.cached.features, base, imitated(base))
    method = fit(Ztw(setup.shapes, 5), cached)
    answers = exit_logits(method, cached, answers=True)
    agree = (answers.argmax(axis=2) == base.argmax(axis=1)[:, None]).mean(axis=0)
    most_frequent = np.bincount(base.argmax(axis=1)).max() / len(base)
    assert agree[1] > max(0.8, most_frequent)
    said = HeadsTask(method, [cached], cached, seed=0).evaluate()
    assert (
        list(said) == ["held.agreement.1", "held.agreement.2", "held.agreement.3"] and said["held.agreement.3"] == 1.0
    )


def test_epochs_take_the_views_in_turn(setup):
    """Of two augmented views, even epochs see the first and odd ones the second, in an order of their own."""
    other = dataclasses.replace(setup.cached, base=setup.cached.base + 1)
    task = HeadsTask(Sdn(setup.shapes, 5), [setup.cached, other], setup.cached, seed=0)
    base = {epoch: torch.cat([batch[0] for batch in task.batches(epoch, 64)]) for epoch in range(3)}
    assert torch.equal(base[0].sort(dim=0).values + 1, base[1].sort(dim=0).values)
    assert torch.equal(base[0].sort(dim=0).values, base[2].sort(dim=0).values) and not torch.equal(base[0], base[2])
    late = torch.cat([batch[0] for batch in task.batches(2, 64, start=3)])
    assert torch.equal(late, base[2][3 * 64 :])


@pytest.mark.parametrize("options", [ZtwOptions(ensemble="none"), ZtwOptions(ensemble_final=True)])
def test_ablations_train_too(setup, options):
    """Without ensembles there is no second phase; with one at the end, the last exit learns what the network lacks."""
    answers = exit_logits(fit(Ztw(setup.shapes, 5, options=options), setup.cached), setup.cached, answers=True)
    right = (answers.argmax(axis=2) == setup.cached.target[:, None]).mean(axis=0)
    assert (right[2] > 0.8) == options.ensemble_final
