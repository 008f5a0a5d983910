"""The peers as processes: how each is started, asked and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.peers.environment import is_installed, program
from benchmarks.peers.network import MODEL
from benchmarks.serving import free_port

ROOT = Path(__file__).parents[2]
START_S = 60.0


@dataclass(frozen=True)
class Peer:
    """A server of the same network. ``command``: its arguments, with {port}; the first is a program of the environment."""

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]


PEERS = (
    Peer(
        "bare FastAPI",
        ("fastapi", "uvicorn", "uvloop", "httptools", "numpy", "onnxruntime"),
        ("uvicorn", "benchmarks.peers.with_fastapi:app", "--port={port}", "--log-level=warning", "--no-access-log"),
    ),
    Peer(
        "LitServe",
        ("litserve", "uvicorn", "uvloop", "httptools", "numpy", "onnxruntime"),
        ("python", "-m", "benchmarks.peers.with_litserve", "{port}"),
    ),
    Peer(
        "BentoML",
        ("bentoml", "numpy", "onnxruntime"),
        ("bentoml", "serve", "benchmarks.peers.with_bentoml:Mlp", "--host=127.0.0.1", "--port={port}"),
    ),
)


@contextlib.contextmanager
def running(peer: Peer, model: Path, body: bytes) -> Iterator[str | None]:
    """The URL that answers ``body`` once the peer is ready; None where it cannot be installed."""
    if not is_installed(peer.packages):
        yield None
        return
    port = free_port()
    url = f"http://127.0.0.1:{port}/predict"
    first, *rest = (argument.format(port=port) for argument in peer.command)
    surroundings = {
        **os.environ, "PYTHONPATH": str(ROOT), MODEL: str(model), "BENTOML_HOME": str(model.parent / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
    }  # fmt: skip
    with (model.parent / f"{first}.log").open("wb") as log:
        process = subprocess.Popen(
            [program(first), *rest], env=surroundings, stdout=log, stderr=log, cwd=model.parent, start_new_session=True
        )
        try:
            _wait_until_answered(peer, process, url, body)
            yield url
        finally:
            _end(process)


def _wait_until_answered(peer: Peer, process: subprocess.Popen[bytes], url: str, body: bytes) -> None:
    until = time.monotonic() + START_S
    said = "nothing"
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            reply = httpx.post(url, content=body, headers={"content-type": "application/json"})
            if reply.status_code == 200:
                return
            said = reply.text[:200]
        time.sleep(0.1)
    raise RuntimeError(f"{peer.name} did not answer within {START_S:g} s; it said {said}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process and those that it started: they are a session of their own."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
