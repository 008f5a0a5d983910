"""``anytime replay``: what policies would have done on recorded traces."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from anytime.cli.named import add_bundle, bundle_folder, read_trace
from anytime.cli.table import table

if TYPE_CHECKING:
    from anytime.model_store import Manifest
    from anytime.training.calibration import Held

NAME = "replay"
HELP = "say what policies would have done on recorded traces, without running a graph"


class BadPolicy(ValueError):
    """Text that is no policy, neither as JSON nor as a query."""

    code = "bad_policy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bundle, the traces, the policies."""
    add_bundle(parser)
    parser.add_argument("traces", nargs="?", type=Path, metavar="TRACES.npz",
                        help="traces of this bundle (default: traces/test.npz in its folder or beside it)")  # fmt: skip
    parser.add_argument("--policy", action="append", default=[], metavar="POLICY",
                        help="as JSON, or as in a query: confidence=0.9&min_exit=2; over the bundle's default policy; "
                             "repeatable (default: full depth, the default and every operating point)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON value")


def run(args: argparse.Namespace) -> int:
    """Raises ``BadPolicy``, ``PolicyError``, ``TraceError``, ``TracesMissing`` or ``StoreError``; returns 0."""
    from anytime.model_store import build_flow, read_manifest
    from anytime.policy import SILENT, check_default
    from anytime.training.calibration.held import Ground

    folder = bundle_folder(args.bundle, args.store)
    manifest = read_manifest(folder)
    flow = build_flow(manifest)
    policies = [(text, read_policy(text)) for text in args.policy] or known_policies(manifest)
    path, trace = read_trace(args.traces, folder, manifest)
    ground = Ground(manifest, flow, trace, below=check_default(manifest, flow) or SILENT)
    held = [(text, ground.hold(policy)) for text, policy in policies]
    if args.json:
        print(json.dumps(_value(manifest, path, trace.rows, [one for _, one in held])))
    else:
        print("\n".join(_lines(manifest, path, trace.rows, held)))
    return 0


def read_policy(text: str) -> Mapping[str, Any]:
    """The policy's fields, as JSON values, from a JSON object or a query. Raises ``BadPolicy``."""
    from anytime.policy import parse_query

    if text.lstrip().startswith("{"):
        try:
            fields: Mapping[str, Any] = json.loads(text)
        except ValueError as error:
            raise BadPolicy(f'policy {text!r} is not JSON: {error}; wanted {{"confidence": 0.9}} or so') from error
        return fields
    try:
        return parse_query(dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True)))
    except ValueError as error:
        raise BadPolicy(f"{text!r} is no policy: {error}; wanted JSON, or FIELD=VALUE joined by &") from error


def known_policies(manifest: Manifest) -> list[tuple[str, Mapping[str, Any]]]:
    """Full depth, the bundle's default, and each of its operating points."""
    points = manifest.calibration.operating_points if manifest.calibration else ()
    targets: list[tuple[str, Mapping[str, Any]]] = [(f"target={one.name}", {"target": one.name}) for one in points]
    return [("exact=true", {"exact": True}), ("the default", {}), *targets]


def _value(manifest: Manifest, path: Path, rows: int, held: Sequence[Held]) -> dict[str, Any]:
    policies = [
        {"policy": dict(one.policy), "accuracy": one.accuracy, "cost": one.cost, "ms": one.ms,
         "exit_shares": list(one.exit_shares), "stop_reasons": dict(one.reasons)}
        for one in held
    ]  # fmt: skip
    return {"model": manifest.name, "version": manifest.version, "traces": str(path), "rows": rows,
            "policies": policies}  # fmt: skip


def _lines(manifest: Manifest, path: Path, rows: int, held: Sequence[tuple[str, Held]]) -> list[str]:
    cells = [
        (text, "-" if one.accuracy is None else f"{one.accuracy:.4f}", f"{one.cost:.3f}", f"{one.ms:.4g}",
         " ".join(f"{share:.0%}" for share in one.exit_shares),
         ", ".join(f"{reason} {share:.0%}" for reason, share in one.reasons.items()))
        for text, one in held
    ]  # fmt: skip
    header = ("policy", "accuracy", "cost", "ms", "answered by exit", "stopped by")
    return [f"{manifest.name} version {manifest.version}, {rows:,} rows of {path}:", *table(header, cells)]
