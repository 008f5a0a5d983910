"""What every benchmark shares: interleaved timing, the machine in words, the result file."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_UNTIMED = 5
RESULTS = Path(__file__).parent / "results"


def interleaved(contenders: Mapping[str, Callable[[], object]], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Seconds per call of each contender, one figure a round; each round runs all of them for about ``seconds`` each.

    They take turns, so that a slow moment of the machine meets all of them and ratios hold. A turn begins with a few calls
    that are not timed: the first ones find the caches full of another's weights, and a core that slept where the contender
    before ran on another thread.
    """
    calls = {name: _calls(contender, seconds) for name, contender in contenders.items()}
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            for _ in range(_UNTIMED):
                contender()
            start = time.perf_counter()
            for _ in range(calls[name]):
                contender()
            figures[name].append((time.perf_counter() - start) / calls[name])
    return figures


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median over rounds of the ratio within a round."""
    return statistics.median(n / d for n, d in zip(numerators, denominators, strict=True))


def machine() -> str:
    """Cores, processor, system, Python."""
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {_processor()}, {system}"


def write_result(
    name: str, columns: Sequence[str], rows: Sequence[Sequence[str | int | float | None]], note: str
) -> None:
    """Writes ``results/NAME.json``, from which the tables of the documents are made."""
    result = {
        "name": name,
        "command": f"make bench ARGS={name}",
        "machine": machine(),
        "columns": list(columns),
        "rows": [list(row) for row in rows],
        "note": note,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{name}: {note}")
    for row in (columns, *rows):
        print("  " + " | ".join(f"{cell}" for cell in row))


def _calls(contender: Callable[[], object], seconds: float) -> int:
    for _ in range(20):
        contender()
    start = time.perf_counter()
    for _ in range(10):
        contender()
    return max(10, int(10 * seconds / (time.perf_counter() - start)))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown processor")
