"""Reports as Markdown: a table per question, the bundles as its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from anytime.training.evaluation.budgets import SHARES, Choice, Family
from anytime.training.evaluation.report import Exit, Report
from anytime.training.evaluation.titles import bundle_titles, rule_title

NONE = "n/a"


def to_markdown(reports: Sequence[Report]) -> str:
    """One report, or several side by side."""
    titles = bundle_titles(reports)
    named = list(zip(titles, reports, strict=True))
    parts = [
        "# Evaluation",
        "All figures are of test rows; thresholds were chosen on calibration rows alone. The base network is the last "
        "exit without the heads on the way.",
        _table(
            ["bundle", "method", "exits", "base multiply-adds", "base ms", "base accuracy", "calibration rows", "test rows"],
            [_described(title, report) for title, report in named],
        ),
        *_budgets(named),
        *_per_exit(named),
        "## Overthinking",
        "Wasteful: of the rows that the last exit gets right, those that an earlier one already did. Destructive: of those "
        "that it gets wrong, those that an earlier one got right.",
        _table(
            ["bundle", "wasteful", "destructive"],
            [[title, _percent(one.wasteful_overthinking), _percent(one.destructive_overthinking)] for title, one in named],
        ),
        "## Confident and wrong",
        "The test rows, from 0 as in the trace, with the surest wrong answer of any exit.",
        _table(["bundle", "row", "exit", "label", "predicted", "confidence"], list(_examples(named))),
    ]  # fmt: skip
    notes = [f"- {title}: {note}" for title, report in named for note in report.notes]
    return "\n\n".join([*parts, *(["## Notes", "\n".join(notes)] if notes else [])]) + "\n"


def _described(title: str, report: Report) -> list[str]:
    base = report.base
    return [title, report.method, str(len(report.exits)), f"{base.macs:,}", f"{base.ms:.3f}", _percent(base.accuracy),
            f"{report.calibration_rows:,}", f"{report.test_rows:,}"]  # fmt: skip


def _budgets(named: Sequence[tuple[str, Report]]) -> Iterator[str]:
    """The two tables of budgets. A cell: accuracy, and the share of the base network that it took."""
    header = ["bundle", "rule", *(f"{share:.0%}" for share in SHARES), "Max"]
    for what, of_base in (("multiply-adds", _of_macs), ("milliseconds", _of_ms)):
        yield f"## Accuracy within a share of the base network's {what}"
        yield "In parentheses what was spent on the test rows, and the threshold. Max: without a budget."
        yield _table(header, [
            [title, rule_title(report.method, family.rule),
             *(_choice(choice, of_base(report)) for choice in (*_choices(family, what), family.best))]
            for title, report in named for family in report.families
        ])  # fmt: skip


def _choices(family: Family, what: str) -> tuple[Choice, ...]:
    return family.by_macs if what == "multiply-adds" else family.by_ms


def _of_macs(report: Report) -> Callable[[Choice], float]:
    return lambda choice: choice.point.macs / report.base.macs if choice.point else 0.0


def _of_ms(report: Report) -> Callable[[Choice], float]:
    return lambda choice: choice.point.ms / report.base.ms if choice.point else 0.0


def _choice(choice: Choice, of_base: Callable[[Choice], float]) -> str:
    if choice.point is None:
        return NONE
    return f"{choice.point.accuracy:.1%} ({of_base(choice):.0%}, {choice.point.value:.4g})"


def _per_exit(named: Sequence[tuple[str, Report]]) -> Iterator[str]:
    """The tables with a column per exit."""
    exits = max(len(report.exits) for _, report in named)
    header = ["bundle", *(f"exit {number}" for number in range(1, exits + 1))]
    questions: tuple[tuple[str, Callable[[Report, Exit], str]], ...] = (
        ("Accuracy of each exit", lambda report, exit: _percent(exit.accuracy)),
        ("Multiply-adds up to each exit, of the base network's",
         lambda report, exit: f"{exit.macs / report.base.macs:.0%}"),
        ("Milliseconds up to each exit", lambda report, exit: f"{exit.ms:.3f}"),
        ("Hindsight Improvability: of an exit's errors, those that an earlier exit got right",
         lambda report, exit: _percent(exit.hindsight_improvability)),
        ("AUROC of (confidence, correct)", lambda report, exit: NONE if exit.auroc is None else f"{exit.auroc:.3f}"),
        ("Expected calibration error, 15 bins", lambda report, exit: f"{exit.calibration_error:.3f}"),
    )  # fmt: skip
    for question, answer in questions:
        yield f"## {question}"
        yield _table(header, [
            [title, *(answer(report, exit) for exit in report.exits), *[""] * (exits - len(report.exits))]
            for title, report in named
        ])  # fmt: skip


def _examples(named: Sequence[tuple[str, Report]]) -> Iterator[list[str]]:
    for title, report in named:
        for one in report.confident_and_wrong:
            yield [title, str(one.row), str(one.exit), one.label, one.predicted, f"{one.confidence:.4f}"]


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{share:.1%}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)
