"""Predictions as a table in the terminal: a line per exit as it arrives, and one for the answer with what stopped it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

Json = Mapping[str, Any]


@dataclass(slots=True)
class Exits:
    """The row objects seen so far, in order of arrival."""

    lines: list[Json] = field(default_factory=list)

    def add(self, row: Json) -> None:
        """A row object of the reply or of a stream's event, with its ``row``."""
        self.lines.append(row)

    @contextmanager
    def shown_on(self, console: Console) -> Iterator[None]:
        """Show the table as it grows; where the output is no terminal, once, when it is whole."""
        if console.is_terminal:
            with Live(self, console=console, refresh_per_second=20):
                yield
            return
        try:
            yield
        finally:
            if self.lines:
                console.print(self)

    def __rich__(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        has_rows = any(line.get("row", 0) > 0 for line in self.lines)
        if has_rows:
            table.add_column("row", justify="right")
        for name in ("exit", "label", "confidence", "cost", "ms"):
            table.add_column(name, justify="left" if name == "label" else "right")
        table.add_column("stopped by")
        if any("top" in line for line in self.lines):
            table.add_column("top")
        for line in self.lines:
            cells = [str(line.get("row", 0))] if has_rows else []
            table.add_row(*cells, *_cells(line), style="bold" if "stop_reason" in line else "")
        return table


def _cells(line: Json) -> Sequence[str | Text]:
    if "error" in line:
        return ["-", Text(_fault(line["error"])), "-", "-", "-", "error"]
    return [
        f"{line['exit']}/{line['exits']}",
        Text(str(line["label"])),
        f"{line['confidence']:.4f}",
        f"{line['cost']:.3f}",
        f"{line['compute_ms']:.3f}",
        str(line.get("stop_reason", "")),
        *(
            [Text(", ".join(f"{one['label']} {one['probability']:.4f}" for one in line["top"]))]
            if "top" in line
            else []
        ),
    ]


def _fault(error: Json) -> str:
    return f"{error.get('code')}: {error.get('message')}"
