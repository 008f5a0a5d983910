"""``anytime evaluate``: what bundles are worth per exit and per budget, as tables, plots and traces to go on with."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anytime.cli.given import add_where
from anytime.cli.named import BUNDLE, open_named
from anytime.cli.recording import record_rows, recording_bar

if TYPE_CHECKING:
    from anytime.model_store import Bundle
    from anytime.training.evaluation.folder import Traces
    from anytime.training.evaluation.held_out import HeldOut
    from anytime.training.evaluation.report import Report

NAME = "evaluate"
HELP = "record traces of bundles and report accuracy per exit and per budget"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bundles, the data or their traces, and where the report goes."""
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help=BUNDLE)
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--data", metavar="DATA",
                      help="pictures (a folder per class, or loose), an .npz of inputs, label and perhaps split, or a "
                           "data set's name (default: traces beside the bundle)")  # fmt: skip
    data.add_argument("--traces", type=Path, metavar="DIR",
                      help="traces recorded before: calibration.npz and test.npz, in a folder each if several")  # fmt: skip
    add_where(parser)
    parser.add_argument("--rows", type=int, metavar="N", help="record at most so many rows of each split, at random")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="a new folder for report, plots and traces"
    )
    parser.add_argument("--store", type=Path, default=Path(os.environ.get("ANYTIME_STORE") or "models"), metavar="DIR",
                        help="the store's folder (default: $ANYTIME_STORE, else ./models)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as one JSON value")


def run(args: argparse.Namespace) -> int:
    """Raises ``TrainingError``, ``StoreError``, ``TraceError`` or ``OSError``; returns 0."""
    from anytime.training.evaluation.folder import check_free, find_traces, to_json, write_evaluation
    from anytime.training.evaluation.plots import check_extra
    from anytime.training.evaluation.report import evaluate

    check_extra()
    check_free(args.out)
    bundles = [open_named(named, args.store) for named in args.bundles]
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

    for option in ("rows", "data_dir", "labels"):
        if getattr(args, option) is not None:
            raise BadOption(f"--{option.replace('_', '-')} goes with --data; without it traces are read as they are")


def _held_out(args: argparse.Namespace, bundle: Bundle) -> HeldOut:
    from anytime.training.evaluation.held_out import read_held_out

    return read_held_out(args.data, bundle.manifest, folder=args.data_dir, labels=args.labels, rows=args.rows,
                         show_progress=not args.json)  # fmt: skip


def _record(bundles: Sequence[Bundle], held_out: Sequence[HeldOut]) -> list[Traces]:
    """Every row through every graph."""
    from anytime.training.evaluation.folder import Traces
    from anytime.training.record import Recorder

    traces = []
    with recording_bar() as bar:
        for bundle, own in zip(bundles, held_out, strict=True):
            recorder, name = Recorder(bundle), bundle.manifest.name
            calibration = record_rows(recorder, own.calibration, bar, f"{name} calibration")
            traces.append(Traces(calibration, record_rows(recorder, own.test, bar, f"{name} test")))
    return traces


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
