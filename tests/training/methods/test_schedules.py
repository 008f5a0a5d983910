import dataclasses

import pytest

from anytime.training.errors import BadOption
from anytime.training.methods.schedules import BACKBONE, ENSEMBLES, HEADS


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (HEADS["cifar"], {0: 1e-3, 14: 1e-3, 15: 1e-4, 49: 1e-4}),
        (HEADS["tiny-imagenet"], {14: 1e-3, 15: 1e-4, 39: 1e-4, 40: 1e-5}),
        (HEADS["imagenet"], {0: 1e-5, 20: 1e-6, 30: 1e-7}),
        (BACKBONE, {0: 0.1, 35: 0.01, 60: 1e-3, 99: 1e-4}),
        (ENSEMBLES, {0: 5e-4, 500: 5e-4}),
    ],
)
def test_rates_drop_at_the_milestones(schedule, rates):
    """The papers' learning rates, epoch by epoch."""
    assert {epoch: schedule.rate(epoch) for epoch in rates} == pytest.approx(rates)
    assert max(rates) < schedule.epochs


def test_a_recipe_departs_from_a_schedule():
    """Frozen, and copied with what differs."""
    short = dataclasses.replace(HEADS["cifar"], epochs=5, milestones=(3,))
    assert (short.rate(2), short.rate(3)) == pytest.approx((1e-3, 1e-4))
    assert HEADS["cifar"].epochs == 50


def test_milestones_lie_within_the_epochs():
    """Else both are told, and what to do."""
    with pytest.raises(
        BadOption, match=r"milestones \[9, 13\] of 9 epochs; wanted epochs above 0 and below 9, or none: set"
    ):
        dataclasses.replace(HEADS["cifar"], epochs=9, milestones=(9, 13))
