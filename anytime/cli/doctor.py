"""``anytime doctor``: whether early exits are worth it for this network, in milliseconds, and what to try next."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anytime.cli.named import add_bundle, bundle_folder, find_trace, read_trace
from anytime.cli.table import table

if TYPE_CHECKING:
    from anytime.model_store import Manifest
    from anytime.policy import Trace
    from anytime.training.savings import Rival, Savings, Verdict

NAME = "doctor"
HELP = "say whether early exits save enough milliseconds, from recorded traces"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bundle, its traces, and what else would be faster."""
    add_bundle(parser)
    parser.add_argument("traces", nargs="?", type=Path, metavar="TRACES.npz",
                        help="traces to tell by (default: traces/test.npz in its folder or beside it); calibration.npz "
                             "beside them is what the policy is chosen on, else every other row of them")  # fmt: skip
    rival = "MS[:ACCURACY] of a row, or MODEL.onnx[:ACCURACY], timed here on one thread; accuracy in 0..1"
    parser.add_argument("--int8", metavar="WHAT", help=f"the quantised network: {rival}")
    parser.add_argument("--smaller", metavar="WHAT", help="a smaller network, likewise")
    parser.add_argument("--json", action="store_true", help="print one JSON value")


def run(args: argparse.Namespace) -> int:
    """Raises ``TrainingError``, ``TraceError``, ``TracesMissing`` or ``StoreError``; returns 0, whatever the verdict."""
    from anytime.model_store import build_flow, read_manifest
    from anytime.training.savings import INT8, SMALLER, judge, measure_savings

    folder = bundle_folder(args.bundle, args.store)
    manifest = read_manifest(folder)
    given = [(name, what) for name, what in ((INT8, args.int8), (SMALLER, args.smaller)) if what is not None]
    rivals = [read_rival(name, what, manifest) for name, what in given]
    chosen, told, rows = _traces(args, folder, manifest)
    savings = measure_savings(manifest, build_flow(manifest), chosen, told)
    verdict = judge(savings, rivals)
    if args.json:
        print(json.dumps(_value(manifest, rows, savings, rivals, verdict)))
    else:
        print("\n".join(_lines(manifest, rows, savings, rivals, verdict)))
    return 0


def read_rival(name: str, what: str, manifest: Manifest) -> Rival:
    """``MS``, ``MS:ACCURACY``, ``MODEL.onnx`` or ``MODEL.onnx:ACCURACY``. Raises ``BadOption`` or what timing it raises."""
    from anytime.training.errors import BadOption
    from anytime.training.savings import Rival

    first, colon, last = ("", "", what) if what.endswith(".onnx") else what.rpartition(":")
    spent, accuracy = (first, _number(last)) if colon else (what, None)
    if colon and (accuracy is None or not 0.0 <= accuracy <= 1.0):
        raise BadOption(f"{what!r} gives {last!r} as an accuracy; wanted a number from 0 to 1, or no colon")
    ms = _number(spent)
    if ms is None and spent.endswith(".onnx"):
        from anytime.training.stopwatch import time_network

        ms = time_network(Path(spent), manifest)
    if ms is None or not 0.0 < ms < float("inf"):
        raise BadOption(f"{what!r} says nothing of {name}; wanted milliseconds above 0 or the path of MODEL.onnx")
    return Rival(name, ms, accuracy)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _traces(args: argparse.Namespace, folder: Path, manifest: Manifest) -> tuple[Trace, Trace, str]:
    """The rows to choose on, those to tell on, and words for both."""
    from anytime.policy import load_trace
    from anytime.training.savings import halves

    path, told = read_trace(args.traces, folder, manifest)
    beside = path.with_name("calibration.npz")
    calibration = beside if beside.is_file() and beside != path else None
    if calibration is None and args.traces is None:
        calibration = find_trace(folder, "calibration")
    if calibration is None:
        chosen, told = halves(told)
        return chosen, told, f"{path}: chosen on {chosen.rows:,} rows, told on the {told.rows:,} between them"
    chosen = load_trace(calibration, manifest)
    return chosen, told, f"chosen on {chosen.rows:,} rows of {calibration}, told on {told.rows:,} of {path}"


def _value(
    manifest: Manifest, rows: str, savings: Savings, rivals: Sequence[Rival], verdict: Verdict
) -> dict[str, Any]:
    best = savings.best
    return {
        "model": manifest.name, "version": manifest.version, "rows": rows,
        "base": {"ms": savings.base_ms, "accuracy": savings.base_accuracy},
        "all_heads_ms": savings.all_heads_ms,
        "exits": [asdict(one) for one in savings.exits],
        "best": {"policy": dict(best.policy), "ms": best.ms, "accuracy": best.accuracy, "cost": best.cost,
                 "exit_shares": list(best.exit_shares), "saved_ms": savings.saved_ms,
                 "saved_share": savings.saved_share, "lost": savings.lost},
        "rivals": [asdict(rival) for rival in rivals],
        "verdict": verdict.as_json(),
    }  # fmt: skip


def _lines(manifest: Manifest, rows: str, savings: Savings, rivals: Sequence[Rival], verdict: Verdict) -> list[str]:
    best = savings.best
    ways = [
        ("the base network", savings.base_ms, savings.base_accuracy),
        ("full depth, every head", savings.all_heads_ms, savings.base_accuracy),
        ("early exits, 1 point lost at most", best.ms, best.accuracy),
        *((rival.name, rival.ms, rival.accuracy) for rival in rivals),
    ]
    compared = [
        (name, f"{ms:.4g}", f"{ms / savings.base_ms:.2f}", "-" if accuracy is None else f"{accuracy:.4f}")
        for name, ms, accuracy in ways
    ]
    exits = [
        (exit, f"{one.body_ms:.4g}", f"{one.head_ms:.4g}", f"{one.head_share:.1%}", f"{share:.0%}")
        for exit, (one, share) in enumerate(zip(savings.exits, best.exit_shares, strict=True), start=1)
    ]
    return [
        f"{manifest.name} version {manifest.version}, each graph at its median time", rows, "",
        *table(("", "ms", "of the base", "accuracy"), compared), "",
        *table(("exit", "body ms", "head ms", "head of the base", "answers"), exits), "",
        f"policy: {json.dumps(best.policy)}",
        verdict.sentence,
        *(f"try {one}" for one in verdict.next),
    ]  # fmt: skip
