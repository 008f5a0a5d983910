"""The real service in a process of its own on a free port of the loopback, as a user starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

STARTS_WITHIN_S = 60.0  # generous: a loaded machine may be slow, a service that hangs still ends the test


@dataclass(frozen=True, slots=True)
class Served:
    """A running service. ``url`` has no slash at the end."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        return self.url.removeprefix("http://")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def serve(store: Path, log: Path, *flags: str, env: Mapping[str, str] | None = None) -> Iterator[Served]:
    """``anytime serve`` on ``store`` until the block ends; told to stop, it must then go by itself."""
    port = free_port()
    command = [sys.executable, "-m", "anytime.cli.main", "serve", "--store", str(store), "--port", str(port), *flags]
    with log.open("wb") as output, background(command, output, env) as process:
        served = Served(f"http://127.0.0.1:{port}", process, log)
        wait_until_answered(f"{served.url}/readyz", process, log)
        yield served
        process.terminate()
        # 0, or ended by the signal: uvicorn raises it again once it is done, as shells expect.
        assert process.wait(STARTS_WITHIN_S) in {0, -signal.SIGTERM}, log.read_text()


@contextmanager
def background(command: list[str], output, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is gone when the block ends, however it ends."""
    surroundings = {**os.environ, **(env or {})}
    with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=surroundings) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()


def wait_until_answered(url: str, process: subprocess.Popen[bytes], log: Path, status: int = 200) -> None:
    """Until ``url`` answers with ``status``; fails with the program's log if it ends first or takes too long."""
    end = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < end:
        assert process.poll() is None, f"it ended with status {process.returncode}:\n{log.read_text()}"
        try:
            if httpx.get(url, timeout=5).status_code == status:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{url} did not answer with {status} within {STARTS_WITHIN_S} s:\n{log.read_text()}")
