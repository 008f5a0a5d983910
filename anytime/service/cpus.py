"""How many CPUs this process may really use: the smallest of its affinity and the CPU quotas of its control groups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def cpu_quota(root: Path = ROOT, affinity: int | None = None) -> int:
    """Whole CPUs, at least 1; a fraction is rounded down, for a thread more than the quota is one that gets throttled.

    ``root`` and ``affinity`` stand in for the machine's file system and scheduler in tests.
    """
    cpus = float(_affinity() if affinity is None else affinity)
    return max(1, int(min([cpus, *_quotas(root)])))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no affinity


def _quotas(root: Path) -> Iterator[float]:
    """The quota of every control group that this process is in, as CPUs; nothing where none is set."""
    for line in (_read(root / "proc/self/cgroup") or "0::/").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for folder in _upwards(root / "sys/fs/cgroup", path):
                yield from _version_2(folder)
        elif "cpu" in controllers.split(","):
            for folder in _upwards(root / "sys/fs/cgroup/cpu", path):
                yield from _version_1(folder)


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """A group's folder and those of its parents; in a container the path may be the host's, and only the mount exists."""
    folder = mount / path.strip("/")
    yield folder
    while folder != mount:
        folder = folder.parent
        yield folder


def _version_2(folder: Path) -> Iterator[float]:
    text = _read(folder / "cpu.max")
    if text is not None:
        quota, period = text.split()
        if quota != "max":
            yield int(quota) / int(period)


def _version_1(folder: Path) -> Iterator[float]:
    quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    if quota is not None and period is not None and int(quota) > 0:
        yield int(quota) / int(period)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None  # not Linux, or no such controller
