"""What a deadline costs at the peak: more and more callers of one network, each with the same deadline, none turned away.

wrk asks as fast as it is answered, so that the load is several times what full depth could carry.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import httpx

from anytime.model_store import Store
from benchmarks.http import SCRIPT
from benchmarks.measure import write_result
from benchmarks.nets import NETS, image
from benchmarks.serving import served

SECONDS, DEADLINE_MS = 8, 55
CALLERS = (1, 8, 16, 32)


def main() -> None:
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: install it (apt-get install wrk, brew install wrk) and run again")
    net = NETS["10 ms"]
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        Store(folder / "store").publish(net.bundle(folder / "bundle").folder)
        (folder / "body").write_bytes(image().tobytes())
        (folder / "post.lua").write_text(SCRIPT.format(body=folder / "body"))
        with served(folder / "store") as url:
            rows = [_measure(url, net.name, folder / "post.lua", callers) for callers in CALLERS]
    write_result(
        "deadlines",
        ["callers", "answers, /s", "mean depth of 9", "refused or without an answer", "late", "p99, ms"],
        rows,
        f"the 10 ms network, deadline_ms={DEADLINE_MS}, wrk on the same cores, each caller asks again at once, {SECONDS} s "
        "each; late: last byte after the deadline, by the service's own clock",
    )


def _measure(url: str, model: str, script: Path, callers: int) -> list[str | int | float]:
    before = _counts(url)
    target = f"{url}/v1/models/{model}/predict?deadline_ms={DEADLINE_MS}"
    command = ["wrk", "-t1", f"-c{callers}", f"-d{SECONDS}s", "--latency", "-s", str(script), target]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = _counts(url)
    new = {name: after[name] - before.get(name, 0.0) for name in after}
    tail = re.search(r"99%\s+([\d.]+)ms", output)
    return [
        callers,
        round(new["answered"] / SECONDS, 1),
        round(new["depths"] / new["answered"], 2),
        int(new["failed"] + new["shed"]),
        int(new["timed"] - new["in_time"]),
        float(tail[1]) if tail else "-",
    ]


def _counts(url: str) -> Mapping[str, float]:
    """What the service has counted so far."""
    text = httpx.get(f"{url}/metrics").text
    patterns = {
        "answered": r"anytime_exit_depth_count\{.*\} (.+)",
        "depths": r"anytime_exit_depth_sum\{.*\} (.+)",
        "failed": r'anytime_rows_total\{end="failed".*\} (.+)',
        "shed": r"anytime_shed_total\{.*\} (.+)",
        "timed": r"anytime_lateness_seconds_count\{.*\} (.+)",
        "in_time": r'anytime_lateness_seconds_bucket\{le="5e-05".*\} (.+)',
    }
    return {name: sum(map(float, re.findall(pattern, text))) for name, pattern in patterns.items()}


if __name__ == "__main__":
    main()
