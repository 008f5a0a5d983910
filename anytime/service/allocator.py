"""glibc's malloc, told to keep what ONNX Runtime frees for the next run instead of returning it page by page.

By default a thread's heap may shrink after a run and be faulted in again by the next. On a quiet machine a 3 ms network
took the same time with and without; kept until larger networks are measured.
ONNX Runtime's own arena would do too, but never gives memory back; this does, when it is asked to.
Elsewhere (macOS, musl) these do nothing.
"""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 256 * 1024**2
_MMAP_BYTES = 32 * 1024**2
"""glibc's own upper bound: larger blocks are mapped, and returned at once."""


def keep_freed_memory() -> None:
    """For the life of the process: each heap keeps up to 256 MiB of freed top, and serves blocks of up to 32 MiB."""
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)


def return_freed_memory() -> None:
    """Gives all free pages back to the system: after a bundle was loaded or unloaded."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
