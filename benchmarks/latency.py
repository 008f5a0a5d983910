"""What one small request costs: a tiny network over one keep-alive connection, here and behind other servers.

All servers run at once and are asked in turns by a client in a process of its own; one thread of ONNX Runtime each, no
spinning, no access logs. Then how soon a stream's first prediction comes at idle, beyond the compute of its exit.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from anytime.model_store import Store
from benchmarks import mlp
from benchmarks.measure import ratio, write_result
from benchmarks.nets import NETS, image
from benchmarks.peers.servers import PEERS, running
from benchmarks.serving import served

ROUNDS, REQUESTS, STREAMS = 5, 1500, 300
BARE = PEERS[0].name
NET = NETS["10 ms"]
JSON, RAW = "application/json", "application/octet-stream"
BOTH_EXITS = "confidence=0.999999"
"""A rule that can fire at exit 1 and does not."""


@dataclass(frozen=True)
class Contender:
    """What is asked, and with what."""

    name: str
    url: str
    body: Path
    content_type: str = JSON


@dataclass(frozen=True)
class Round:
    """Milliseconds of one round's requests, in order of size."""

    times: tuple[float, ...]

    def share(self, below: float) -> float:
        """The time that this share of the requests stayed within."""
        return self.times[round(below * (len(self.times) - 1))]


def main() -> None:
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        rows = [*_servers(folder), *_first_predictions(folder)]
    write_result(
        "latency",
        ["one connection", "p50, ms", "p95, ms", "p99, ms", f"p50 / {BARE}"],
        rows,
        f"MLP 784-256-10, one row as {len(mlp.as_json(mlp.image())) / 1e3:.1f} kB of JSON, client on the same cores; "
        f"medians over {ROUNDS} interleaved rounds of {REQUESTS} requests. First prediction: the 10 ms network of 9 stages, "
        f"{STREAMS} streams a round with pauses between, time to the first event less its compute_ms",
    )


def _servers(folder: Path) -> list[list[str | float | None]]:
    """A row for each server, Anytime's first."""
    body, raw = folder / "body.json", folder / "body.raw"
    body.write_bytes(mlp.as_json(mlp.image()))
    raw.write_bytes(mlp.image().tobytes())
    onnx.save(mlp.whole(), folder / "mlp.onnx")
    store = Store(folder / "store")
    for make in (mlp.one_stage, mlp.two_stages):
        store.publish(make(folder / make.__name__).folder)
    with contextlib.ExitStack() as stack:
        models = f"{stack.enter_context(served(store.root))}/v1/models"
        contenders = [
            Contender("Anytime, one stage", f"{models}/mlp-1/predict", body),
            Contender("Anytime, two stages, both exits read", f"{models}/mlp-2/predict?{BOTH_EXITS}", body),
            Contender("Anytime, one stage, raw float32", f"{models}/mlp-1/predict", raw, RAW),
        ]
        missing = []
        for peer in PEERS:
            url = stack.enter_context(running(peer, folder / "mlp.onnx", body.read_bytes()))
            if url is None:
                missing.append(peer.name)
            else:
                contenders.append(Contender(peer.name, url, body))
        rounds = _in_turns(contenders)
    return _rows(rounds) + [[f"{name} (not installed)", None, None, None, None] for name in missing]


def _in_turns(contenders: Sequence[Contender]) -> dict[str, list[Round]]:
    rounds: dict[str, list[Round]] = {contender.name: [] for contender in contenders}
    for _ in range(ROUNDS):
        for contender in contenders:
            seconds = _ask(contender, REQUESTS)
            rounds[contender.name].append(Round(tuple(sorted(1e3 * each for each in seconds))))
    return rounds


def _first_predictions(folder: Path) -> list[list[str | float | None]]:
    """One row: how much longer than its compute a stream's first prediction takes."""
    store, body = Store(folder / "staged"), folder / "image.raw"
    store.publish(NET.bundle(folder / NET.name).folder)
    body.write_bytes(image().tobytes())
    with served(store.root) as url:
        stream = Contender("", f"{url}/v1/models/{NET.name}/predict?stream=true", body, RAW)
        rounds = []
        for _ in range(ROUNDS):
            events = _ask(stream, STREAMS, "prediction")
            beyond = (1e3 * seconds - json.loads(data)["compute_ms"] for seconds, data in events)
            rounds.append(Round(tuple(sorted(beyond))))
    return _rows({"Anytime, first prediction beyond exit 1's compute": rounds})


def _ask(contender: Contender, requests: int, *until: str) -> list[Any]:
    """What ``benchmarks.client`` prints."""
    command = [sys.executable, "-m", "benchmarks.client", contender.url, contender.content_type, str(contender.body)]
    done = subprocess.run([*command, str(requests), *until], check=True, stdout=subprocess.PIPE)
    said: list[Any] = json.loads(done.stdout)
    return said


def _rows(rounds: Mapping[str, Sequence[Round]]) -> list[list[str | float | None]]:
    halves = {name: [each.share(0.5) for each in of_one] for name, of_one in rounds.items()}
    bare = halves.get(BARE)
    return [
        [
            name,
            *(round(statistics.median(each.share(below) for each in of_one), 3) for below in (0.5, 0.95, 0.99)),
            round(ratio(halves[name], bare), 2) if bare else None,
        ]
        for name, of_one in rounds.items()
    ]


if __name__ == "__main__":
    main()
