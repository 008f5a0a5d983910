"""Tests of the table of exits."""

from rich.console import Console

from anytime.cli.exits import Exits

ROW = {"label": "[red]seven", "index": 7, "confidence": 0.61, "exit": 1, "depth": 1, "exits": 4, "cost": 0.12,
       "compute_ms": 0.1414}  # fmt: skip


def shown(*rows):
    """The table's lines as words, as a terminal without colours shows them."""
    exits = Exits()
    for row in rows:
        exits.add(row)
    console = Console(width=200, force_terminal=False, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(exits)
    return [line.split() for line in capture.get().splitlines()]


def test_a_line_per_exit():
    """Each prediction is a line, the final one with what stopped the row; a label is never markup."""
    assert shown({**ROW, "row": 0}, {**ROW, "row": 0, "exit": 2, "stop_reason": "confidence"}) == [
        ["exit", "label", "confidence", "cost", "ms", "stopped", "by"],
        ["1/4", "[red]seven", "0.6100", "0.120", "0.141"],
        ["2/4", "[red]seven", "0.6100", "0.120", "0.141", "confidence"],
    ]


def test_rows_are_told_apart():
    """With several rows each line says which; a failed row says why."""
    lines = shown({**ROW, "row": 0}, {"row": 1, "error": {"code": "model_failed", "message": "NaN"}})
    assert [line[0] for line in lines] == ["row", "0", "1"]
    assert lines[2] == ["1", "-", "model_failed:", "NaN", "-", "-", "-", "error"]


def test_top():
    """The most probable labels stand beside the answer."""
    top = [{"label": label, "index": index, "probability": 0.3} for index, label in enumerate(("one", "two"))]
    assert shown({**ROW, "top": top})[1][-4:] == ["one", "0.3000,", "two", "0.3000"]
