"""The model card that a bundle gets when its maker wrote none: a page for people, never read by the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CARD = "card.md"


def model_card(raw: Mapping[str, Any]) -> str:
    """The card of a manifest that is still plain data, and perhaps wrong: what does not fit is left out."""
    lines = [f"# {raw.get('name', 'unnamed')}", "", f"Method: {raw.get('method')}."]
    labels = raw.get("labels")
    if isinstance(labels, list):
        lines.append(f"Predicts one of {len(labels)} labels.")
    lines += ["", "| exit | multiply-adds of its body and head | parameters |", "| --- | --- | --- |"]
    stages = raw.get("stages")
    for number, stage in enumerate(stages if isinstance(stages, list) else (), start=1):
        lines.append(f"| {number} | {_total(stage, 'macs'):,} | {_total(stage, 'params'):,} |")
    return "\n".join(lines) + "\n"


def _total(stage: object, field: str) -> int:
    graphs = [stage.get(part) for part in ("body", "head")] if isinstance(stage, dict) else []
    numbers = [graph.get(field) for graph in graphs if isinstance(graph, dict)]
    return sum(number for number in numbers if isinstance(number, int))
