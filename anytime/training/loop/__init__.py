"""The one training loop, and what it needs: a device, checkpoints, a log. It knows no method and no data set."""

from anytime.training.loop.device import Device, choose_device, one_thread
from anytime.training.loop.log import Log
from anytime.training.loop.loop import Keeping, Progress, train
from anytime.training.loop.task import Task

__all__ = ["Device", "Keeping", "Log", "Progress", "Task", "choose_device", "one_thread", "train"]
