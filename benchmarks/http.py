"""What HTTP costs: the service under wrk with 8 connections, against two bare threads over the same sessions.

Raw tensors in, JSON out; full depth, and every exit streamed. The bare threads run the same graphs in a loop, in process.
The limit is the same loop behind the barest HTTP server that there is.
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
from collections.abc import Iterator
from pathlib import Path

from anytime.model_store import Store
from anytime.service.allocator import keep_freed_memory
from benchmarks.measure import ratio, write_result
from benchmarks.nets import NETS, Net, image
from benchmarks.serving import free_port, served
from benchmarks.staging import session

ROUNDS, SECONDS, CONNECTIONS = 5, 4, 8
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
    rows = [_measure(name, NETS[name]) for name in ("2 ms", "10 ms")]
    write_result(
        "http",
        ["network", "two bare threads, /s", "the loop in raw ASGI, /s", "ratio", "HTTP, full depth, /s", "ratio",
         "with a third worker, /s", "ratio", "HTTP, all exits streamed, /s", "streamed / full depth"],
        rows,
        f"9 stages, {CONNECTIONS} connections, raw float32 of 1 x 3 x 32 x 32, wrk on the same cores; two workers, the "
        "default on two cores, wait for the interpreter now and then, and a third fills the gaps; "
        f"medians over {ROUNDS} interleaved rounds of {SECONDS} s",
    )  # fmt: skip


def _measure(name: str, net: Net) -> list[str | float]:
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        bundle = net.bundle(folder / "bundle")
        Store(folder / "store").publish(bundle.folder)
        (folder / "body").write_bytes(image().tobytes())
        (folder / "post.lua").write_text(SCRIPT.format(body=folder / "body"))
        bare, limit, full, third, streamed = [], [], [], [], []
        path = f"/v1/models/{net.name}/predict"
        with (
            served(folder / "store") as url,
            served(folder / "store", "--workers", "3") as other_url,
            _bare_asgi(folder / "bundle", net) as bare_url,
        ):
            for _ in range(ROUNDS):
                bare.append(_two_threads(folder / "bundle", net))
                limit.append(_wrk(bare_url, folder / "post.lua"))
                full.append(_wrk(f"{url}{path}", folder / "post.lua"))
                third.append(_wrk(f"{other_url}{path}", folder / "post.lua"))
                streamed.append(_wrk(f"{url}{path}?stream=true", folder / "post.lua"))
    return [
        name,
        round(statistics.median(bare), 1),
        round(statistics.median(limit), 1),
        round(ratio(limit, bare), 3),
        round(statistics.median(full), 1),
        round(ratio(full, bare), 3),
        round(statistics.median(third), 1),
        round(ratio(third, bare), 3),
        round(statistics.median(streamed), 1),
        round(ratio(streamed, full), 3),
    ]


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


def _wrk(url: str, script: Path) -> float:
    """Answers a second; raises where any answer was not 200."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"not every answer was good:\n{output}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found is not None, output
    return float(found[1])


def _two_threads(folder: Path, net: Net) -> float:
    """Full depth in two threads, one intra-op thread each: bodies and the last head, what a request without rules runs."""
    files = [folder / f"body{stage}.onnx" for stage in range(1, net.stages + 1)]
    bodies = [session(str(file)) for file in files]
    head = session(str(folder / f"head{net.stages}.onnx"))
    x, end, done = image(), time.perf_counter() + SECONDS, [0, 0]

    def run(place: int) -> None:
        while time.perf_counter() < end:
            state = x
            for body in bodies:
                state = body.run(["y"], {"x": state})[0]
            head.run(["logits"], {"y": state})
            done[place] += 1

    threads = [threading.Thread(target=run, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / SECONDS


if __name__ == "__main__":
    main()
