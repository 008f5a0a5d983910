"""Tests of the CPU quota."""

import os

import pytest

from anytime.service.cpus import cpu_quota


def machine(root, files):
    for path, text in files.items():
        location = root / path
        location.parent.mkdir(parents=True, exist_ok=True)
        location.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "affinity", "cpus"),
    [
        ({}, 8, 8),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, 8, 8),
        ({"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 8, 2),
        ({"sys/fs/cgroup/cpu.max": "250000 100000\n"}, 8, 2),
        ({"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 8, 1),
        ({"sys/fs/cgroup/cpu.max": "800000 100000\n"}, 3, 3),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "300000 100000",
          "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, 8, 3),
        ({"proc/self/cgroup": "0::/host/only\n", "sys/fs/cgroup/cpu.max": "400000 100000"}, 8, 4),
        ({"proc/self/cgroup": "0::/../x\n", "sys/fs/cgroup/cpu.max": "400000 100000"}, 8, 4),
        ({"proc/self/cgroup": "4:cpuacct,cpu:/p\n3:memory:/p\n", "sys/fs/cgroup/cpu/p/cpu.cfs_quota_us": "150000",
          "sys/fs/cgroup/cpu/p/cpu.cfs_period_us": "50000"}, 8, 3),
        ({"proc/self/cgroup": "4:cpu:/p\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
          "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 8, 8),
    ],
)  # fmt: skip
def test_quota(tmp_path, files, affinity, cpus):
    """The tightest of affinity and every group's quota counts, rounded down, at least 1; cgroups 2 and 1 alike."""
    assert cpu_quota(machine(tmp_path, files), affinity) == cpus


def test_here():
    """On this machine it is at least one and no more than there are."""
    assert 1 <= cpu_quota() <= (os.cpu_count() or 1)
