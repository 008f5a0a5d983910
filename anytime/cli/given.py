"""Options that several commands take, and how their values are read."""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anytime.model_store import Bundle
    from anytime.policy import Trace


def add_store(parser: argparse.ArgumentParser) -> None:
    """``--store`` or ``--out``: where a bundle goes."""
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--store", type=Path, default=Path(os.environ.get("ANYTIME_STORE") or "models"), metavar="DIR",
                        help="publish into this store (default: $ANYTIME_STORE, else ./models)")  # fmt: skip
    target.add_argument("--out", type=Path, metavar="FOLDER", help="write the bundle to a new folder instead")


def add_where(parser: argparse.ArgumentParser) -> None:
    """``--data-dir`` and ``--labels``: what ``--data`` alone does not say."""
    parser.add_argument("--data-dir", type=Path, metavar="DIR",
                        help="where a named data set's files lie (default: $ANYTIME_DATA, else the cache)")  # fmt: skip
    parser.add_argument("--labels", type=Path, metavar="FILE",
                        help="lines of picture,class index; for arrays a class index per line")  # fmt: skip


def add_preprocess(parser: argparse.ArgumentParser) -> None:
    """``--preprocess``"""
    parser.add_argument("--preprocess", metavar="JSON",
                        help="how a picture becomes a row, as in the manifest: JSON, or a file of it")  # fmt: skip


def publish(bundle: Bundle, args: argparse.Namespace) -> Bundle:
    """A bundle that lies in a run: into ``--out``, whole or not at all, or else into ``--store`` as the next version."""
    from anytime.model_store import Store, copy_bundle

    return (
        Store(args.store).publish(bundle.folder)
        if args.out is None
        else write(lambda to: copy_bundle(bundle, to), args)
    )


def write(make: Callable[[Path], Bundle], args: argparse.Namespace) -> Bundle:
    """What ``make`` writes to a new folder: that is ``--out``, or one of which the store takes its next version."""
    from anytime.model_store import Store

    if args.out is None:
        with tempfile.TemporaryDirectory(prefix="anytime-") as folder:
            return Store(args.store).publish(make(Path(folder, "bundle")).folder)
    check_out(args)
    try:
        return make(args.out)
    except OSError as error:
        raise bad_option(
            f"the bundle cannot be written to {args.out}: {error}; make room, or give another folder"
        ) from error


def check_out(args: argparse.Namespace) -> None:
    """Before the work and not after it. Raises ``BadOption`` where ``--out`` is there already."""
    if args.out is not None and args.out.exists():
        raise bad_option(f"{args.out} exists already; give a folder that does not, or remove it first")


def report_made(bundle: Bundle, traces: Mapping[str, Trace], run: Path, *, as_json: bool) -> None:
    """What was made of which rows, how good each exit is, whether early exits are worth it, and where the traces are."""
    from anytime.training.savings import judge, measure_savings

    manifest = bundle.manifest
    verdict = judge(measure_savings(manifest, bundle.flow, traces["calibration"], traces["test"]))
    metrics, data = manifest.provenance.metrics, manifest.provenance.data
    rows = None if data is None or data.split is None else re.sub(r" \(sha256 \w+\)", "", data.split)
    if as_json:
        said = {"name": manifest.name, "version": manifest.version, "exits": manifest.exits, "metrics": metrics,
                "rows": rows, "folder": str(bundle.folder), "traces": str(run / "traces"), "digest": bundle.digest,
                "verdict": verdict.as_json()}  # fmt: skip
        print(json.dumps(said))
        return
    print(f"{manifest.name} version {manifest.version}: {manifest.exits} exits, in {bundle.folder}")
    if rows is not None:
        print(f"  rows: {rows}")
    calibration = manifest.calibration
    costs = None if calibration is None else calibration.cost
    for exit, (name, share) in enumerate(metrics.items(), start=1):
        cost = "" if costs is None else f" at {costs[exit - 1]:.0%} of full depth's multiply-adds"
        print(f"  exit {exit}: {share:.1%} {name.split('.')[1]} on test rows{cost}")
    print(verdict.sentence)
    for advice in verdict.next:
        print(f"try {advice}")
    print(f"Traces for evaluate, calibrate, replay and doctor are in {run / 'traces'}.")


def read_preprocess(given: str | None) -> dict[str, Any] | None:
    """JSON or a file of it. Raises ``BadOption`` or ``OSError``."""
    if given is None:
        return None
    text = given if given.lstrip().startswith("{") else _text(Path(given))
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise bad_option(f"--preprocess is not JSON: {error}; wanted an object such as "
                         f'{{"channels": "gray", "resize": [28, 28]}}') from error  # fmt: skip
    if not isinstance(fields, dict):
        raise bad_option(f"--preprocess is {fields!r}; wanted a JSON object")
    return fields


def read_names(given: Path | None) -> Sequence[str] | None:
    """One name a line; empty lines at the end do not count."""
    return None if given is None else [line.strip() for line in _text(given).rstrip().splitlines()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad_option(f"{path} is no text in UTF-8: {error}; save it as such") from error


def bad_option(message: str) -> Exception:
    """A ``BadOption``, imported where it is needed."""
    from anytime.training.errors import BadOption

    return BadOption(message)
