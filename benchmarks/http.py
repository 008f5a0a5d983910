"""What HTTP costs: the service under wrk with 8 connections, against two bare threads over the same sessions.

Raw tensors in, JSON out; full depth, and every exit streamed. The bare threads run the same graphs in a loop, in process:
full depth runs the last head alone, a stream every head. The limit is the same loop behind the barest HTTP server that there
is. The service has its turn twice: as one process, and as two on one port. All take turns of a few hundred answers, for
what is under way at the end of a turn must not weigh, there and back again, for the machine's own speed drifts; and servers
are started anew again and again, for where its memory came to lie makes a process slower or faster for all its life.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from anytime.model_store import Store
from anytime.service.allocator import keep_freed_memory
from benchmarks.bare_asgi import BareLoop
from benchmarks.measure import ratio, write_result
from benchmarks.nets import NETS, Net, image
from benchmarks.serving import free_port, served

CONNECTIONS = 8
WHO = ("bare", "raw", "own", "two")
Rates = dict[str, list[float]]
"""Answers a second, a figure a life, by who and how: ``raw`` at full depth, ``raw, streamed``."""


class Turns(NamedTuple):
    """How a network is measured."""

    lives: int
    """How often the servers are started. Everybody has two turns in each, and two of streams."""
    seconds: int
    """Of each turn: some 400 answers."""


TURNS = {"2 ms": Turns(12, 1), "10 ms": Turns(6, 3)}
QUIET_S = 0.25
"""After a turn: a server that does not see clients leave still computes for them, at the cost of whoever is next."""
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/octet-stream"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
"""


def main() -> None:
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: install it (apt-get install wrk, brew install wrk) and run again")
    keep_freed_memory()
    measured = {name: _measure(NETS[name], turns) for name, turns in TURNS.items()}
    write_result(
        "http",
        ["network", "asked for", "two bare threads, /s", "raw ASGI, /s", "of bare", "Anytime, /s", "of bare", "of raw ASGI",
         "two processes, /s", "of bare", "of raw ASGI", "of full depth: bare", "raw ASGI", "Anytime", "two processes"],
        [row for name, rates in measured.items() for row in _rows(name, rates)],
        f"9 stages, {CONNECTIONS} connections, raw float32 of 1 x 3 x 32 x 32, wrk on the same cores. Full depth runs 9 "
        "bodies and a head, streams all 9 heads. Bare: these graphs in a loop in two threads, no HTTP. Raw ASGI: that loop "
        "behind uvicorn, without policies, metrics, errors or limits. "
        "Two processes: --processes 2. Medians over lives of the servers, in each of which everybody has a turn there "
        "and one back: "
        + " and ".join(f"{turns.lives} of {turns.seconds} s a turn with {name}" for name, turns in TURNS.items())
        + "; the standard error of what full depth has of bare is "
        + " and ".join(f"{_error(rates):.3f} with {name}" for name, rates in measured.items()),
    )  # fmt: skip


def _measure(net: Net, turns: Turns) -> Rates:
    rates: Rates = {}
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        bundle = net.bundle(folder / "bundle")
        Store(folder / "store").publish(bundle.folder)
        (folder / "body").write_bytes(image().tobytes())
        (folder / "post.lua").write_text(SCRIPT.format(body=folder / "body"))
        for life in range(turns.lives):
            first = life % len(WHO)
            for key, rate in _life(folder, net, turns.seconds, (*WHO[first:], *WHO[:first])):
                rates.setdefault(key, []).append(rate)
    return rates


def _rows(name: str, rates: Rates) -> list[list[str | float | None]]:
    """A row for full depth, and one for streams."""
    full, streamed = ([rates[f"{who}{how}"] for who in WHO] for how in ("", ", streamed"))
    return [
        [name, "full depth", *_row(*full), None, None, None, None],
        [
            name,
            "every exit, streamed",
            *_row(*streamed),
            *(round(ratio(s, f), 3) for s, f in zip(streamed, full, strict=True)),
        ],
    ]


def _error(rates: Rates) -> float:
    """The standard error of the median of the service's rates at full depth over bare: the larger of one process and two."""
    lives = len(rates["bare"])
    return max(
        1.25 * statistics.stdev(own / bare for own, bare in zip(rates[who], rates["bare"], strict=True)) / lives**0.5
        for who in ("own", "two")
    )


def _row(bare: Sequence[float], raw: Sequence[float], own: Sequence[float], two: Sequence[float]) -> list[float | None]:
    return [
        round(statistics.median(bare), 1),
        round(statistics.median(raw), 1),
        round(ratio(raw, bare), 3),
        round(statistics.median(own), 1),
        round(ratio(own, bare), 3),
        round(ratio(own, raw), 3),
        round(statistics.median(two), 1),
        round(ratio(two, bare), 3),
        round(ratio(two, raw), 3),
    ]


def _life(folder: Path, net: Net, seconds: int, order: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Answers a second of everybody over two turns, there and back: a steady drift of the machine meets all alike."""
    script, path = folder / "post.lua", f"/v1/models/{net.name}/predict"
    with (
        served(folder / "store") as url,
        served(folder / "store", "--processes", "2") as two_url,
        _bare_asgi(folder / "bundle", net) as bare_url,
    ):
        urls = {"raw": bare_url, "own": f"{url}{path}", "two": f"{two_url}{path}"}
        for how, query in (("", ""), (", streamed", "?stream=true")):
            rates: dict[str, list[float]] = {}
            for who in (*order, *reversed(order)):
                if who == "bare":
                    rate = _two_threads(folder / "bundle", net, seconds, all_heads=bool(query))
                else:
                    rate = _wrk(f"{urls[who]}{query}", script, seconds)
                rates.setdefault(who, []).append(rate)
            yield from ((f"{who}{how}", statistics.mean(both)) for who, both in rates.items())


@contextlib.contextmanager
def _bare_asgi(folder: Path, net: Net) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.bare_asgi", str(folder), str(net.stages), str(port)])
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(30)


def _wrk(url: str, script: Path, seconds: int) -> float:
    """Answers a second; raises where any answer was not 200."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"not every answer was good:\n{output}")
    time.sleep(QUIET_S)
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found is not None, output
    return float(found[1])


def _two_threads(folder: Path, net: Net, seconds: int, all_heads: bool = False) -> float:
    """Rows a second in two threads, one intra-op thread each: full depth, or every head."""
    loop, x, rates = BareLoop(folder, net.stages), image().tobytes(), [0.0, 0.0]

    def run(place: int) -> None:
        start, done = time.perf_counter(), 0
        while time.perf_counter() < start + seconds:
            if all_heads:
                loop.each(x, int)
            else:
                loop.full(x)
            done += 1
        rates[place] = done / (time.perf_counter() - start)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


if __name__ == "__main__":
    main()
