"""``python -m benchmarks [NAME ...]``: all figures of the documents, or some of them."""

from __future__ import annotations

import importlib
import sys

NAMES = ("staging", "boundary", "http", "deadlines", "latency", "process", "heads", "attach")


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in names or NAMES:
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
