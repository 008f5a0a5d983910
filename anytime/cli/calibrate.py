"""``anytime calibrate``: a bundle's next version, whose confidences and targets mean something."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anytime.cli.given import add_where, write
from anytime.cli.named import add_bundle, open_named
from anytime.cli.recording import record_rows, recording_bar
from anytime.cli.table import table

if TYPE_CHECKING:
    from anytime.model_store import Bundle
    from anytime.policy import Trace

NAME = "calibrate"
HELP = "fit temperatures, the gain table and operating points on held-out rows"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bundle, the rows, and where the calibrated one goes."""
    add_bundle(parser)
    rows = parser.add_mutually_exclusive_group(required=True)
    rows.add_argument("--traces", type=Path, metavar="FILE.npz",
                      help="traces of the calibration split: rows that nothing was trained on")  # fmt: skip
    rows.add_argument("--data", metavar="DATA",
                      help="record them: the calibration split of pictures (a folder per class, or loose), of an .npz of "
                           "inputs, label and perhaps split, or of a data set by name")  # fmt: skip
    add_where(parser)
    parser.add_argument("--out", type=Path, metavar="FOLDER",
                        help="write the bundle to a new folder (default: the next version in the store)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON value")


def run(args: argparse.Namespace) -> int:
    """Raises ``TrainingError``, ``TraceError``, ``StoreError`` or ``OSError``, with nothing written; returns 0."""
    from anytime.training.calibration import calibrate
    from anytime.training.export_bundle import recalibrate

    bundle = open_named(args.bundle, args.store)
    trace = _trace(args, bundle)
    calibration = calibrate(bundle.manifest, bundle.flow, trace)
    written = write(lambda folder: recalibrate(bundle, calibration, folder), args)
    if args.json:
        manifest = written.manifest
        print(json.dumps({"name": manifest.name, "version": manifest.version, "folder": str(written.folder),
                          "digest": written.digest, "rows": trace.rows, "calibration": calibration}))  # fmt: skip
    else:
        print("\n".join(_lines(written, trace, calibration)))
    return 0


def _trace(args: argparse.Namespace, bundle: Bundle) -> Trace:
    from anytime.policy import load_trace
    from anytime.training.errors import BadOption

    if args.traces is None:
        return _recorded(args, bundle)
    for option, value in (("--data-dir", args.data_dir), ("--labels", args.labels)):
        if value is not None:
            raise BadOption(f"{option} goes with --data; traces are read as they are: leave it out")
    return load_trace(args.traces, bundle.manifest)


def _recorded(args: argparse.Namespace, bundle: Bundle) -> Trace:
    from anytime.training.evaluation.held_out import read_held_out
    from anytime.training.record import Recorder

    held_out = read_held_out(args.data, bundle.manifest, folder=args.data_dir, labels=args.labels,
                             show_progress=not args.json)  # fmt: skip
    for note in held_out.notes:
        print(f"note: {note}", file=sys.stderr)
    with recording_bar() as bar:
        return record_rows(Recorder(bundle), held_out.calibration, bar, f"{bundle.manifest.name} calibration")


def _lines(bundle: Bundle, trace: Trace, calibration: dict[str, Any]) -> list[str]:
    manifest = bundle.manifest
    exits = zip(calibration["accuracy"], calibration["cost"], calibration["temperature"], strict=True)
    rows = [(exit, f"{accuracy:.4f}", f"{cost:.3f}", " ".join(f"{one:.3g}" for one in temperature))
            for exit, (accuracy, cost, temperature) in enumerate(exits, start=1)]  # fmt: skip
    points = [
        (point["name"], f"{point['accuracy']:.4f}", f"{point['cost']:.3f}", f"{point['ms']:.4g}",
         " ".join(f"{share:.0%}" for share in point["exit_shares"]), json.dumps(point["policy"]))
        for point in calibration["operating_points"]
    ]  # fmt: skip
    return [
        f"{manifest.name} version {manifest.version}, calibrated on {trace.rows:,} rows, in {bundle.folder}", "",
        *table(("exit", "accuracy", "cost", "temperature"), rows), "",
        *table(("target", "accuracy", "cost", "ms", "answered by exit", "policy"), points), "",
        f"default policy: {json.dumps(calibration['default_policy'])}",
    ]  # fmt: skip
