"""A short time slice for the thread of the event loop, so that Linux lets it have a core from a graph as soon as it wakes.

The event loop does little at a time, and what it does is what clients wait for: a first prediction, a deadline's answer. The
kernel hands a core over before its thread's slice is up only to who asked for a shorter one (EEVDF with custom slices,
Linux 6.12 on; ``sched_setattr(2)``, ``sched_runtime``); its share of the cores stays the same. No privilege is needed.
Elsewhere (older kernels, macOS) this does nothing.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

SLICE_NS = 300_000
"""The kernel's own is 0.7 to 3 ms, by the number of cores. On two cores with 1.4 ms, 0.1 to 0.7 ms did the same and 1.5 ms
nothing; each turn of the loop takes less."""
_CALLS = {"x86_64": (315, 314), "aarch64": (275, 274), "riscv64": (275, 274)}
"""The numbers of ``sched_getattr`` and ``sched_setattr``: glibc has had no functions for them until lately."""
_RESET_ON_FORK = 0x01
"""``SCHED_FLAG_RESET_ON_FORK``: threads and processes that this one starts get the kernel's own slice again, and would get
0 for a negative nice value. To give the thread another policy without this flag then takes a privilege."""


class _Attributes(ctypes.Structure):
    """``struct sched_attr`` of ``linux/sched/types.h``."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
        ("util_min", ctypes.c_uint32),
        ("util_max", ctypes.c_uint32),
    )


def shorten_time_slice() -> bool:
    """For the thread that calls it; whether it has one.

    A policy other than the usual, or a negative nice value, is somebody's choice; such a thread stays as it is.
    """
    numbers = _CALLS.get(platform.machine()) if sys.platform == "linux" else None
    if numbers is None:
        return False
    get, put = numbers
    call = ctypes.CDLL(None).syscall
    now = _Attributes()
    if call(get, 0, ctypes.byref(now), ctypes.sizeof(now), 0) != 0:
        return False
    if now.policy != os.SCHED_OTHER or now.nice < 0:
        return False
    if now.runtime <= SLICE_NS:  # 0 where the kernel knows no slices of a thread's own
        return bool(now.runtime > 0)
    wanted = _Attributes(size=ctypes.sizeof(_Attributes), flags=_RESET_ON_FORK, nice=now.nice, runtime=SLICE_NS)
    return bool(call(put, 0, ctypes.byref(wanted), 0) == 0)
