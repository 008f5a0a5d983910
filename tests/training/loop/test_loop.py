"""The loop: what it trains, what it logs, and that a run which was broken off goes on to the very same result."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from anytime.training.errors import RunFailed
from anytime.training.loop import Keeping, choose_device, train
from anytime.training.methods.schedules import Schedule

SCHEDULE = Schedule(6, 1e-2, (4,), batch=16)
CPU = choose_device("cpu", "float32")
ROOT = Path(__file__).parents[3]


def state(task):
    return {name: value.numpy().copy() for name, value in task.module.state_dict().items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])


def without_seconds(keeping):
    return [{key: value for key, value in line.items() if key != "seconds"} for line in keeping.log.lines()]


def test_it_trains_and_says_how(points, tmp_path):
    """The loss falls; the log has a line per epoch with the scheduled rate; the module is left in eval mode."""
    task, told = points(), []
    keeping = Keeping(tmp_path)
    train(task, SCHEDULE, seed=0, device=CPU, keeping=keeping, progress=lambda position, share: told.append(share))
    lines = keeping.log.lines()
    assert [line["epoch"] for line in lines] == list(range(6))
    assert [line["rate"] for line in lines] == pytest.approx([1e-2] * 4 + [1e-3] * 2)
    assert lines[-1]["loss"] < lines[0]["loss"] and lines[-1]["held.error"] < lines[0]["held.error"]
    assert told == sorted(told) and told[-1] == 1.0 and len(told) == 6 * 5
    assert not task.module.training


def test_the_seed_decides(points):
    """The same seed gives the same weights, whatever was drawn before; another gives others."""
    found = []
    for seed in (0, 0, 1):
        task = points()
        torch.manual_seed(len(found))
        before = torch.random.get_rng_state()
        train(task, SCHEDULE, seed=seed, device=CPU)
        assert torch.equal(before, torch.random.get_rng_state()), "and nothing outside is drawn differently afterwards"
        found.append(state(task))
    assert_same(found[0], found[1])
    assert any((found[0][name] != found[2][name]).any() for name in found[0])


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("after", [3, 7, 25])
def test_broken_off_in_mid_epoch_it_goes_on_to_the_same(points, tmp_path, after, optimizer):
    """Weights, running statistics and the log are those of a run that was left alone; finished batches are not repeated."""
    schedule = dataclasses.replace(SCHEDULE, optimizer=optimizer, momentum=0.9 if optimizer == "sgd" else 0.0)
    alone = points()
    train(alone, schedule, seed=3, device=CPU, keeping=Keeping(tmp_path / "alone"))
    broken = points()
    broken.stop_after = after
    keeping = Keeping(tmp_path / "broken", save_every_s=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(broken, schedule, seed=3, device=CPU, keeping=keeping)
    again = points()
    train(again, schedule, seed=3, device=CPU, keeping=keeping)
    assert again.seen[0] == divmod(after, 5)
    assert_same(state(alone), state(again))
    assert without_seconds(Keeping(tmp_path / "alone")) == without_seconds(keeping)


def test_a_finished_phase_is_only_loaded(points, tmp_path):
    """A second call trains no batch and gives the same weights."""
    first, second = points(), points()
    for task in (first, second):
        train(task, SCHEDULE, seed=0, device=CPU, keeping=Keeping(tmp_path))
    assert second.seen == []
    assert_same(state(first), state(second))


def test_killed_by_the_system_it_goes_on_to_the_same(points, tmp_path):
    """SIGKILL at some moment of a process of its own leaves a checkpoint from which the same result comes."""
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from anytime.training.loop import Keeping, choose_device, train
        from tests.training.loop.conftest import Points
        from tests.training.loop.test_loop import SCHEDULE
        class Slow(Points):
            def loss(self, batch):
                time.sleep(0.02)
                return super().loss(batch)
        train(Slow(), SCHEDULE, seed=5, device=choose_device("cpu", "float32"), keeping=Keeping(Path(sys.argv[1]), 0.0))
    """)
    keeping = Keeping(tmp_path, save_every_s=0.0)
    run = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT)
    try:
        end = time.monotonic() + 60
        while len(keeping.log.lines()) < 2:
            assert run.poll() is None and time.monotonic() < end
            time.sleep(0.01)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert len(keeping.log.lines()) < SCHEDULE.epochs
    alone, again = points(), points()
    train(alone, SCHEDULE, seed=5, device=CPU)
    train(again, SCHEDULE, seed=5, device=CPU, keeping=keeping)
    assert len(again.seen) < len(alone.seen)
    assert_same(state(alone), state(again))
    assert [line["epoch"] for line in keeping.log.lines()] == list(range(6))


def test_a_loss_that_is_no_number_ends_the_run(points):
    """The message names the phase, the epoch and the batch."""
    task = points()
    task.y[:] = float("nan")
    with pytest.raises(RunFailed, match="phase points is nan at epoch 0, batch 0"):
        train(task, SCHEDULE, seed=0, device=CPU)


def test_frozen_parameters_stay(points):
    """What has no gradient is not trained."""
    task = points()
    task.module[0].requires_grad_(False)
    before = task.module[0].weight.clone()
    train(task, dataclasses.replace(SCHEDULE, weight_decay=0.1), seed=0, device=CPU)
    assert torch.equal(before, task.module[0].weight)


def test_bf16_trains(points):
    """Products in bf16, weights in float32: the loss still falls."""
    task = points()
    with torch.no_grad():
        before = task.evaluate()["held.error"]
    train(task, SCHEDULE, seed=0, device=choose_device("cpu", "bf16"))
    with torch.no_grad():
        assert task.evaluate()["held.error"] < before / 2
    assert task.module[0].weight.dtype == torch.float32
