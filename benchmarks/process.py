"""The process around the requests: how soon it is ready, what memory it takes, and whether that stays flat."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from anytime.model_store import Bundle, Store
from anytime.training.digits import make_digits
from benchmarks import mlp
from benchmarks.load import EARLY, FULL, Load
from benchmarks.measure import write_result
from benchmarks.nets import Net, image
from benchmarks.serving import free_port, start, wait_until_ready

STARTS = 7
REQUESTS = 1000
STEPS, STEP = 10, 10_000
SETTLED = 2
"""Steps after which memory should no longer grow."""
READY_S, BASE_MB, PER_WEIGHT = 2.0, 150.0, 2.5
RESIDUAL = Net("residual", 4, 3, 352)
"""Its maps are laid out at once, so its graphs are not loaded from their files."""
PNG, RAW = "image/png", "application/octet-stream"
Row = list[str | int | float | None]


@dataclass(frozen=True)
class Served:
    """A running service."""

    url: str
    pid: int

    @property
    def resident_mb(self) -> float:
        """Resident memory, in 10^6 bytes, as Linux tells it."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:", 1)[1].split()[0]) * 1024 / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        digits = Store(folder / "digits")
        demo = make_digits(folder / "demo", digits)
        large = Store(folder / "large").publish(mlp.large(folder / "large-bundle").folder)
        residual = Store(folder / "residual").publish(RESIDUAL.bundle(folder / "residual-bundle").folder)
        rows: list[Row] = [
            ["ready after exec, demo bundle, s", round(_ready_s(digits), 2), READY_S],
            _memory("demo bundle", digits, demo, (folder / "demo" / "digit-7.png").read_bytes(), PNG),
            _memory(
                f"{_weights_mb(large):.0f} MB of weights", Store(folder / "large"), large, mlp.image().tobytes(), RAW
            ),
            _memory(
                f"{_weights_mb(residual):.0f} MB of residual blocks",
                Store(folder / "residual"),
                residual,
                image().tobytes(),
                RAW,
            ),
            *_flatness(folder),
        ]
    write_result(
        "process",
        ["process", "measured", "at most"],
        rows,
        f"median of {STARTS} starts; resident memory after {REQUESTS:,} requests, at most {BASE_MB:.0f} MB + {PER_WEIGHT} "
        f"times the weights; then a tiny network under {STEPS * STEP:,} requests on 8 connections: full depth, early exits, "
        "streams, and clients that leave",
    )


def _ready_s(store: Store) -> float:
    _start_s(store)  # files are in the system's cache from here on
    return statistics.median(_start_s(store) for _ in range(STARTS))


def _start_s(store: Store) -> float:
    """From exec to the first 200 of /readyz."""
    port, begun = free_port(), time.perf_counter()
    process = start(store.root, "--port", str(port))
    with _ended(process), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        while process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if client.get("/readyz").status_code == 200:
                    return time.perf_counter() - begun
            time.sleep(0.005)
    raise RuntimeError(f"the service ended with status {process.returncode}")


def _memory(what: str, store: Store, bundle: Bundle, body: bytes, content_type: str) -> Row:
    with _served(store) as service:
        load = Load(f"{service.url}/v1/models/{bundle.manifest.name}/predict", content_type, body)
        load.send(REQUESTS, (FULL, EARLY))
        resident = service.resident_mb
    return [f"resident, {what}, MB", round(resident, 1), round(BASE_MB + PER_WEIGHT * _weights_mb(bundle), 1)]


def _flatness(folder: Path) -> list[Row]:
    """Resident memory by steps of requests, and how much it still grows once settled."""
    store = Store(folder / "mlp")
    store.publish(mlp.two_stages(folder / "mlp-bundle").folder)
    samples = []
    with _served(store) as service:
        load = Load(f"{service.url}/v1/models/mlp-2/predict", RAW, mlp.image().tobytes())
        for _ in range(STEPS):
            load.send(STEP)
            samples.append(service.resident_mb)
    print(f"resident MB by {STEP:,} requests ({load.left:,} clients left): {', '.join(f'{mb:.1f}' for mb in samples)}")
    settled = samples[SETTLED - 1 :]
    slope = statistics.linear_regression(range(len(settled)), settled).slope
    return [
        [f"resident after {STEP * SETTLED:,} requests, MB", round(settled[0], 1), None],
        [f"resident after {STEP * STEPS:,} requests, MB", round(settled[-1], 1), None],
        [f"growth from then on, kB per {STEP:,} requests", round(slope * 1e3, 1), None],
    ]


@contextlib.contextmanager
def _served(store: Store) -> Iterator[Served]:
    process = start(store.root)
    with _ended(process):
        yield Served(wait_until_ready(process), process.pid)


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _weights_mb(bundle: Bundle) -> float:
    return bundle.weight_bytes / 1e6


if __name__ == "__main__":
    main()
