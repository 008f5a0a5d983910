"""The event loop's short time slice, as the kernel itself tells it in ``/proc``."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anytime.service.time_slice import SLICE_NS, shorten_time_slice
from tests.served import serve


def slice_ns(task: str = "/proc/thread-self") -> int:
    """0 where the kernel tells none."""
    try:
        told = Path(task, "sched").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"^se\.slice\s*:\s*(\d+)$", told, re.MULTILINE)
    return int(found[1]) if found else 0


def can_be_shortened() -> bool:
    """As far as ``/proc`` tells it."""
    if sys.platform != "linux" or os.sched_getscheduler(0) != os.SCHED_OTHER or os.getpriority(os.PRIO_PROCESS, 0) < 0:
        return False
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    assert version is not None, os.uname().release
    return slice_ns() > SLICE_NS and tuple(map(int, version.groups())) >= (6, 12)


LINUX = pytest.mark.skipif(
    not can_be_shortened(),
    reason="no slice of a thread's own: an older kernel, another policy, or a negative nice value",
)


def in_a_thread(work: Callable[[], Any]) -> Any:
    """Attributes are a thread's own: this process keeps its slice."""
    said: list[Any] = []
    thread = threading.Thread(target=lambda: said.append(work()))
    thread.start()
    thread.join()
    assert said, "it failed in its thread"
    return said[0]


@LINUX
def test_a_thread_gets_a_short_slice():
    """The kernel agrees and says so; threads that it starts have the usual slice again, as has the rest of the process."""
    usual = slice_ns()

    def main():
        return shorten_time_slice(), slice_ns(), in_a_thread(slice_ns), shorten_time_slice()

    assert in_a_thread(main) == (True, SLICE_NS, usual, True)
    assert slice_ns() == usual


@LINUX
def test_the_rest_stays():
    """A nice value is its user's choice, and so is a policy for batches, whose thread keeps the usual slice."""
    usual = slice_ns()

    def nice():
        os.setpriority(os.PRIO_PROCESS, 0, 7)
        return shorten_time_slice(), os.getpriority(os.PRIO_PROCESS, 0), slice_ns()

    def batch():
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        return shorten_time_slice(), os.sched_getscheduler(0), slice_ns()

    assert in_a_thread(nice) == (True, 7, SLICE_NS)
    assert in_a_thread(batch) == (False, os.SCHED_BATCH, usual)


@LINUX
def test_a_negative_nice_value_stays_for_all():
    """A thread that was made more urgent stays as it is, for those that it starts would lose its nice value."""
    usual = slice_ns()

    def urgent():
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -1)
        except PermissionError:
            return None
        return shorten_time_slice(), slice_ns(), in_a_thread(lambda: os.getpriority(os.PRIO_PROCESS, 0))

    said = in_a_thread(urgent)
    if said is None:
        pytest.skip("negative nice values take a privilege")
    assert said == (False, usual, -1)


def test_it_says_whether_it_did():
    """The answer is what ``/proc`` shows afterwards; where the system knows no such thing it is no, and no error."""

    def main():
        return shorten_time_slice(), slice_ns()

    said, slice = in_a_thread(main)
    if slice == 0 and said:
        pytest.skip("this kernel tells no slices in /proc")
    assert said is (slice == SLICE_NS)


@LINUX
def test_the_service_shortens_that_of_its_event_loop(stress_store, tmp_path):
    """In a process that serves the main thread, which runs the loop, has the short slice, and the workers the usual one."""
    usual = slice_ns()
    with serve(stress_store, tmp_path / "log") as served:
        tasks = Path("/proc", str(served.process.pid), "task")
        slices = {task.name: slice_ns(str(task)) for task in tasks.iterdir()}
        main = slices.pop(str(served.process.pid))
        assert main == SLICE_NS
        told = [slice for slice in slices.values() if slice]  # a thread may have ended meanwhile
        assert len(told) >= 2
        assert set(told) == {usual}
