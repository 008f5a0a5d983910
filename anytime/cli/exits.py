"""Predictions as a table in the terminal: a line per exit as it arrives, and one for the answer with what stopped it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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

    def __rich__(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        has_rows = any(line.get("row", 0) > 0 for line in self.lines)
        if has_rows:
            table.add_column("row", justify="right")
        for name in ("exit", "label", "confidence", "cost", "ms"):
            table.add_column(name, justify="left" if name == "label" else "right")
        table.add_column("stopped by")
        for line in self.lines:
            cells = [str(line.get("row", 0))] if has_rows else []
            table.add_row(*cells, *_cells(line), style="bold" if "stop_reason" in line else "")
        return table


def _cells(line: Json) -> Sequence[str | Text]:
    if "error" in line:
        return ["-", Text(_fault(line["error"])), "-", "-", "-", "error"]
    label = Text(str(line["label"]))
    if "top" in line:
        others = ", ".join(f"{one['label']} {one['probability']:.4f}" for one in line["top"])
        label.append(f" ({others})")
    return [
        f"{line['exit']}/{line['exits']}",
        label,
        f"{line['confidence']:.4f}",
        f"{line['cost']:.3f}",
        f"{line['compute_ms']:.3f}",
        str(line.get("stop_reason", "")),
    ]


def _fault(error: Json) -> str:
    return f"{error.get('code')}: {error.get('message')}"
