"""A real service in a process of its own, for as long as a benchmark asks it."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def served(store: Path, *flags: str) -> Iterator[str]:
    """The base URL of ``anytime serve`` on a free port of loopback."""
    process = start(store, *flags)
    try:
        yield wait_until_ready(process)
    finally:
        process.terminate()
        process.wait(30)


def start(store: Path, *flags: str) -> subprocess.Popen[str]:
    """The process, not yet ready."""
    command = [sys.executable, "-m", "anytime.cli.main", "serve", "--store", str(store), "--port", "0", *flags]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def wait_until_ready(process: subprocess.Popen[str]) -> str:
    """Reads the log until it says where the service listens."""
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r'"message":"serving","url":"([^"]+)"', line)
        if found:
            return found[1]
    raise RuntimeError(f"the service ended with status {process.wait()}")
