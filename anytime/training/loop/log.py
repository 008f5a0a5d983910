"""A run's log: a line of JSON per epoch, in order, without an epoch twice however often the run was killed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Log:
    """Appends to a file. A line has at least ``phase`` and ``epoch``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: Mapping[str, Any]) -> None:
        """Write one line, through to the disk: a checkpoint that comes after it must not know more than the log."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def lines(self) -> list[dict[str, Any]]:
        """All whole lines; one that a kill cut short is passed over."""
        if not self.path.exists():
            return []
        return [
            line for text in self.path.read_text(encoding="utf-8").splitlines() if (line := _read(text)) is not None
        ]

    def rewind(self, phase: str, epoch: int) -> None:
        """Drop what a phase said of ``epoch`` and later, as it is about to be trained again."""
        kept = [line for line in self.lines() if line["phase"] != phase or line["epoch"] < epoch]
        if not self.path.exists():
            return
        temp = self.path.with_name(f".{self.path.name}.partial")
        temp.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        os.replace(temp, self.path)


def _read(text: str) -> dict[str, Any] | None:
    try:
        return json.loads(text)
    except ValueError:
        return None
