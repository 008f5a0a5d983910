"""Tables of figures in Markdown, generated from ``results/*.json``; never written by hand.

    python -m benchmarks.tables --check     do the documents say what the results say?
    python -m benchmarks.tables --write     make them say so

A document marks the place, and what is between the marks is replaced:

    <!-- benchmarks: staging -->
    <!-- /benchmarks -->

A result is ``results/NAME.json``: {"name", "command", "machine", "columns": [...], "rows": [[...]], "note"}.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"

Cell = str | int | float | None
Render = Callable[[str], str]
"""The name after the mark's colon -> Markdown."""


class TableError(Exception):
    """A document or a result that no table can be made from; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement. ``command``: what made it, from the repository's root. ``machine``: cores, memory, system."""

    name: str
    command: str
    machine: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str


def load(path: Path) -> Result:
    """Read one result. Raises ``TableError`` where it is not of the form that the module's docstring gives."""
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TableError(f"{path}: not JSON: {error}") from error
    fields = set(Result.__dataclass_fields__)
    if not isinstance(raw, dict) or set(raw) != fields:
        raise TableError(f"{path}: wanted an object with exactly {', '.join(sorted(fields))}")
    result = Result(**raw)
    if result.name != path.stem:
        raise TableError(f"{path}: the name in it is {result.name!r}; it should be the file's, {path.stem!r}")
    for row in result.rows:
        if len(row) != len(result.columns):
            raise TableError(f"{path}: the row {row} has {len(row)} cells for {len(result.columns)} columns")
    return result


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A Markdown table; columns of numbers are set to the right."""
    numeric = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]
    lines = [
        _line([_cell(column) for column in columns]),
        _line(["---:" if right else "---" for right in numeric]),
        *(_line([_cell(cell) for cell in row]) for row in rows),
    ]
    return "\n".join(lines)


def render(name: str) -> str:
    """The table of ``results/NAME.json``, with what was measured where and how."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        raise TableError(f"{path} does not exist; make it with `make bench`")
    result = load(path)
    note = f" {result.note}" if result.note else ""
    return f"{table(result.columns, result.rows)}\n\nMade by `{result.command}` on {result.machine}.{note}"


def fill(text: str, kinds: Mapping[str, Render]) -> str:
    """``text`` with everything between ``<!-- KIND: NAME -->`` and ``<!-- /KIND -->`` rendered anew."""
    for kind, make in kinds.items():
        opened, closed = rf"<!-- {kind}(?:: (?P<name>[^\n>]+?))? -->\n", rf"<!-- /{kind} -->"
        if len(re.findall(opened, text)) != len(re.findall(closed, text)):
            raise TableError(f"a mark of kind {kind!r} is opened and not closed, or closed and not opened")

        def replaced(found: re.Match[str], make: Render = make) -> str:
            return f"{found['open']}{make(found['name'] or '').strip()}\n{found['close']}"

        text = re.sub(rf"(?P<open>{opened})(?:(?!<!-- ).*\n)*?(?P<close>{closed})", replaced, text)
    return text


def update(documents: Sequence[Path], kinds: Mapping[str, Render], *, write: bool) -> list[Path]:
    """The documents that are not as they would be generated; with ``write`` they are now."""
    stale = []
    for document in documents:
        text = document.read_text(encoding="utf-8")
        fresh = fill(text, kinds)
        if fresh != text:
            stale.append(document)
            if write:
                document.write_text(fresh, encoding="utf-8")
    return stale


def documents() -> list[Path]:
    """Every Markdown file that may hold a mark."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])


def command_line(kinds: Mapping[str, Render], again: str, argv: Sequence[str] | None = None) -> int:
    """``--check`` or ``--write`` for these kinds of marks; ``again``: what to run where a check fails."""
    parser = argparse.ArgumentParser(description="Generate what the documents hold between marks.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="fail if a document is not as it would be generated")
    action.add_argument("--write", action="store_true", help="generate it")
    args = parser.parse_args(argv)
    try:
        stale = update(documents(), kinds, write=args.write)
    except TableError as error:
        print(error, file=sys.stderr)
        return 2
    for document in stale:
        print(f"{document.relative_to(ROOT)}: {'written' if args.write else f'out of date; run `{again}`'}")
    return 1 if stale and args.check else 0


def _cell(value: Cell) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return value.replace("|", "\\|")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(command_line({"benchmarks": render}, "python -m benchmarks.tables --write"))
