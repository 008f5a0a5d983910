"""The real service as a process of its own, over the stress bundles."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from anytime.model_store import Store
from tests.bundles import quantised, sequence, ztw
from tests.service import spinner
from tests.service.live import Live, live

ROOT = Path(__file__).parents[2]
READY_S = 30.0


@pytest.fixture(scope="session")
def stress_url(stress_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service that serves the six stress bundles."""
    with serving(stress_store, tmp_path_factory.mktemp("serve") / "log") as url:
        yield url


@pytest.fixture(scope="session")
def mixed_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spinner, pictures with levels and defaults, two inputs with an open axis, floats, and a bundle with a wrong hash."""
    folder = tmp_path_factory.mktemp("mixed")
    store = Store(folder / "store")
    for module in (spinner, quantised, sequence, ztw):
        store.publish(module.build(folder / module.NAME).folder)
    break_bundle(store.publish(spinner.build(folder / "broken", name="broken").folder).folder)
    return folder / "store"


def break_bundle(folder: Path) -> None:
    """As a disk does."""
    with (folder / "head.onnx").open("ab") as file:
        file.write(b"!")


@pytest.fixture(scope="session")
def web(mixed_store: Path) -> Iterator[Live]:
    """The service over the mixed store, for tests that leave it as they found it."""
    with live(mixed_store, workers=2) as service:
        yield service


@contextlib.contextmanager
def serving(store: Path, log: Path, *options: str) -> Iterator[str]:
    """``anytime serve`` on a free port of the loopback until it is left; its output goes to ``log``."""
    port = _free_port()
    command = [sys.executable, "-m", "anytime.cli.main", "serve", "--store", str(store)]
    command += ["--host", "127.0.0.1", "--port", str(port), *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", timeout=2.0).status_code == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the service is not ready (exit status {process.poll()}):\n{log.read_text(errors='replace')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
