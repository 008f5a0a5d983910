"""``anytime evaluate``: what bundles are worth per exit and per budget, as tables, plots and traces to go on with."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anytime.cli.named import bundle_folder

if TYPE_CHECKING:
    from anytime.model_store import Bundle
    from anytime.policy import Trace
    from anytime.training.evaluation.folder import Traces
    from anytime.training.evaluation.held_out import HeldOut, Rows
    from anytime.training.evaluation.report import Report
    from anytime.training.record import Recorder

NAME = "evaluate"
HELP = "record traces of bundles and report accuracy per exit and per budget"

_PIECE = 64
"""Rows that are made into inputs at once: of large pictures some ten megabytes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bundles, the data or their traces, and where the report goes."""
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE",
                        help="a bundle's folder, or NAME[:VERSION] of a model in the store")  # fmt: skip
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--data", metavar="DATA",
                      help="a data set's name, a folder with a folder of pictures per class, or a .npz file of inputs, "
                           "label and perhaps split (default: traces beside the bundle)")  # fmt: skip
    data.add_argument("--traces", type=Path, metavar="DIR",
                      help="traces recorded before: calibration.npz and test.npz, in a folder each if several")  # fmt: skip
    parser.add_argument("--data-dir", type=Path, metavar="DIR",
                        help="where data sets lie (default: $ANYTIME_DATA, else the cache)")  # fmt: skip
    parser.add_argument("--rows", type=int, metavar="N", help="record at most so many rows of each split, at random")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="a new folder for report, plots and traces"
    )
    parser.add_argument("--store", type=Path, default=Path(os.environ.get("ANYTIME_STORE") or "models"), metavar="DIR",
                        help="the store's folder (default: $ANYTIME_STORE, else ./models)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as one JSON value")


def run(args: argparse.Namespace) -> int:
    """Raises ``TrainingError``, ``StoreError``, ``TraceError`` or ``OSError``; returns 0."""
    from anytime.model_store import open_bundle
    from anytime.training.evaluation.folder import check_free, find_traces, to_json, write_evaluation
    from anytime.training.evaluation.plots import check_extra
    from anytime.training.evaluation.report import evaluate

    check_extra()
    check_free(args.out)
    bundles = [open_bundle(bundle_folder(named, args.store)) for named in args.bundles]
    notes: list[tuple[str, ...]] = [() for _ in bundles]
    if args.data is None:
        _refuse_recording(args)
        traces = find_traces(args.traces, bundles)
    else:
        held_out = [_held_out(args, bundle) for bundle in bundles]
        notes = [one.notes for one in held_out]
        traces = _record(bundles, held_out)
    reports = [
        evaluate(bundle.manifest, bundle.flow, own.calibration, own.test, told)
        for bundle, own, told in zip(bundles, traces, notes, strict=True)
    ]
    write_evaluation(args.out, reports, traces)
    print(to_json(reports) if args.json else _summary(reports, args.out), end="" if args.json else "\n")
    return 0


def _refuse_recording(args: argparse.Namespace) -> None:
    from anytime.training.errors import BadOption

    for option in ("rows", "data_dir"):
        if getattr(args, option) is not None:
            raise BadOption(f"--{option.replace('_', '-')} goes with --data; without it traces are read as they are")


def _held_out(args: argparse.Namespace, bundle: Bundle) -> HeldOut:
    from anytime.training.evaluation.held_out import read_held_out

    return read_held_out(args.data, args.data_dir, bundle.manifest, args.rows, show_progress=not args.json)


def _record(bundles: Sequence[Bundle], held_out: Sequence[HeldOut]) -> list[Traces]:
    """Every row through every graph, with a bar per split on the standard error."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from anytime.training.evaluation.folder import Traces
    from anytime.training.record import Recorder

    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def advanced(bundle: Bundle, split: str, rows: Rows) -> Trace:
            task = progress.add_task(f"{bundle.manifest.name} {split}", total=len(rows.label))
            return _trace(recorder, rows, lambda more: progress.update(task, advance=more))

        traces = []
        for bundle, own in zip(bundles, held_out, strict=True):
            recorder = Recorder(bundle)
            traces.append(Traces(advanced(bundle, "calibration", own.calibration), advanced(bundle, "test", own.test)))
        return traces


def _trace(recorder: Recorder, rows: Rows, advance: Callable[[int], object]) -> Trace:
    import numpy as np

    from anytime.training.record import join

    pieces = []
    for start in range(0, len(rows.label), _PIECE):
        indices = np.arange(start, min(start + _PIECE, len(rows.label)))
        pieces.append(recorder.record(rows.inputs(indices), rows.label[indices]))
        advance(len(indices))
    return join(pieces)


def _summary(reports: Sequence[Report], out: Path) -> str:
    from anytime.training.evaluation.budgets import SHARES
    from anytime.training.evaluation.titles import bundle_titles, rule_title

    lines = []
    for title, report in zip(bundle_titles(reports), reports, strict=True):
        exits = ", ".join(f"{exit.accuracy:.1%}" for exit in report.exits)
        lines.append(f"{title}, {report.test_rows:,} test rows: exits {exits}")
        for family in report.families:
            shares = [*(f"{share:.0%}" for share in SHARES), "Max"]
            points = [choice.point for choice in (*family.by_macs, family.best)]
            each = [f"{share} {point.accuracy:.1%}" if point else f"{share} n/a"
                    for share, point in zip(shares, points, strict=True)]  # fmt: skip
            lines.append(
                f"  {rule_title(report.method, family.rule)}, by share of base multiply-adds: {', '.join(each)}"
            )
        lines += [f"  note: {note}" for note in report.notes]
    return "\n".join([*lines, f"report, plots and traces are in {out}"])
