"""``anytime plan``: of a run's exits those that are worth serving, trained anew and published as the next version."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anytime.cli.given import add_store, check_out, publish
from anytime.cli.progress import shown
from anytime.cli.table import table

if TYPE_CHECKING:
    from anytime.model_store import Bundle
    from anytime.training.plan import ExitPlan
    from anytime.training.serve_chosen import Gain, Measured

NAME = "plan"
HELP = "choose which exits of a run to serve, in milliseconds, train them anew and publish"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, what may be lost, where the data are now, and where the result goes."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="the folder of a run of attach or train")
    parser.add_argument(
        "--most", type=int, default=8, metavar="N", help="exits at most, the last included (default: 8)"
    )
    parser.add_argument("--loss", type=float, default=1.0, metavar="POINTS",
                        help="points of accuracy that may be lost against full depth (default: 1)")  # fmt: skip
    parser.add_argument("--boundary-ms", type=float, default=0.02, metavar="MS",
                        help="the server's own time per stage of a row (default: 0.02)")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="say what would be served, and stop")
    parser.add_argument("--name", help="the model's name in the store (default: the run's)")
    parser.add_argument("--data", metavar="DATA", help="where the run's data lie now (default: where they lay)")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where a named data set's files lie now")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="where the labels lie now")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps, for the heads (default: auto)")
    parser.add_argument("--run", dest="into", type=Path, metavar="DIR",
                        help="checkpoints, log and traces; a killed run goes on (default: RUN-planned)")  # fmt: skip
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON value")


def run(args: argparse.Namespace) -> int:
    """Raises ``TrainingError``, ``StoreError``, ``TraceError`` or ``OSError``; returns 0."""
    from anytime.training.finished import find_again, read_finished
    from anytime.training.loop import choose_device
    from anytime.training.plan import choose_exits
    from anytime.training.serve_chosen import measure_gain, serve_chosen
    from anytime.training.train import read_fresh

    check_out(args)
    device = choose_device(args.device)
    known = read_finished(args.run_folder)
    manifest, flow = known.bundle.manifest, known.bundle.flow
    plan = choose_exits(
        known.traces["calibration"], manifest, flow, boundary_ms=args.boundary_ms, most=args.most, loss=args.loss
    )
    if args.dry_run or not plan.is_change:
        _report(plan, as_json=args.json)
        return 0
    network, examples = find_again(known, data=args.data, data_dir=args.data_dir, labels=args.labels)
    fresh = read_fresh(args.run_folder, plan.exits[:-1], device=device, folder=args.data_dir)
    folder = args.into or _beside(args.run_folder)
    with shown(quiet=args.json) as how:
        made = serve_chosen(known, plan.exits, network, examples, folder, name=args.name or manifest.name, device=device,
                            progress=how.progress, say=how.say, fresh=fresh)  # fmt: skip
        how.say("timing both bundles in turns")
        gain = measure_gain(known, made, network, examples, loss=args.loss, boundary_ms=args.boundary_ms)
    _report(plan, publish(made.bundle, args), gain, as_json=args.json)
    return 0


def _beside(run: Path) -> Path:
    return run.absolute().with_name(f"{run.resolve().name}-planned") if run.name else Path(f"{run.resolve()}-planned")


def _report(plan: ExitPlan, bundle: Bundle | None = None, gain: Gain | None = None, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_json(plan, bundle, gain)))
        return
    print("\n".join(_plan_lines(plan)))
    if bundle is not None and gain is not None:
        manifest = bundle.manifest
        print(f"\n{manifest.name} version {manifest.version}: {manifest.exits} exits, in {bundle.folder}")
        print("\n".join(_gain_lines(gain)))


def _json(plan: ExitPlan, bundle: Bundle | None, gain: Gain | None) -> dict[str, Any]:
    from dataclasses import asdict

    said: dict[str, Any] = {"plan": asdict(plan), "is_change": plan.is_change}
    if bundle is not None and gain is not None:
        manifest = bundle.manifest
        said |= {"name": manifest.name, "version": manifest.version, "exits": manifest.exits, "folder": str(bundle.folder),
                 "digest": bundle.digest, "gain": {**asdict(gain), "saved": gain.saved}}  # fmt: skip
    return said


def _plan_lines(plan: ExitPlan) -> list[str]:
    rows = [(one.exit, f"{one.body_ms:.3f}", f"{one.head_ms:.3f}", f"{one.share_of_all:.1%}",
             f"{one.share:.1%}" if one.is_served else "not served") for one in plan.costs]  # fmt: skip
    lines = table(("exit", "body ms", "head ms", "stop here of all", "of those served"), rows)
    lines.append(f"Expected: {plan.ms:.3f} ms a row with exits {', '.join(map(str, plan.exits))}, {plan.all_ms:.3f} ms with "
                 f"all {len(plan.costs)}; accuracy {plan.accuracy:.1%} and {plan.all_accuracy:.1%}, "
                 f"{plan.full_accuracy:.1%} at full depth.")  # fmt: skip
    if len(plan.exits) == len(plan.costs):
        lines.append("Every exit is worth serving: the run's own bundle is the plan.")
    elif not plan.is_change:
        lines.append("No exit before the last is worth serving: serve the network whole, or allow more with --loss.")
    return lines


def _gain_lines(gain: Gain) -> list[str]:
    def column(one: Measured) -> list[str]:
        return [f"{one.exits} exits", f"{one.accuracy:.1%}", f"{one.full_ms:.3f}", f"{one.overhead:.1%}",
                f"{one.policy_accuracy:.1%}", f"{one.policy_ms:.3f}"]  # fmt: skip

    asked = f"a loss of {gain.loss:g}"
    said = ["on test rows", "accuracy at full depth", "ms at full depth", "heads and boundaries, over the network alone",
            f"accuracy at {asked}", f"ms at {asked}"]  # fmt: skip
    head, *rows = zip(said, column(gain.before), column(gain.after), strict=True)
    change = "saved" if gain.saved >= 0 else "lost"
    return [*table(head, rows), f"{abs(gain.saved):.1%} of the milliseconds at {asked} are {change}."]
