"""``anytime export``: a bundle with its whole network in one file, a model card and a curve, or a refusal."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from anytime.cli.given import add_store, write

if TYPE_CHECKING:
    from anytime.model_store import Bundle
    from anytime.training.attach.inputs import Batch
    from anytime.training.export_bundle import Compared
    from anytime.training.parity import Difference

NAME = "export"
HELP = "compare torch, stages and whole network, and publish the bundle with model.onnx, a model card and a curve"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is exported, where to, and on which rows it is compared."""
    parser.add_argument("folder", type=Path, metavar="RUN|BUNDLE", help="the folder of a run, or of a bundle")
    parser.add_argument("--data", metavar="DATA",
                        help="compare on test rows of these: pictures, an .npz of arrays, or a data set's name "
                             "(default: the run's own, else random rows)")  # fmt: skip
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where a named data set's files lie (default: $ANYTIME_DATA)"
    )
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON value")


def run(args: argparse.Namespace) -> int:
    """Raises ``TrainingError``, ``StoreError`` or ``OSError``; returns 0."""
    from anytime.training.export_bundle import compare, export_bundle, find_source

    source = find_source(args.folder)
    given = None if args.data is None else _rows(args, source.bundle)
    compared = compare(source, given)
    if not args.json:
        _show(compared)
    _report(write(lambda folder: export_bundle(compared, folder), args), compared, as_json=args.json)
    return 0


def _rows(args: argparse.Namespace, bundle: Bundle) -> Batch:
    """The first test rows of the data, by input name."""
    from anytime.training.examples import gather, read_examples
    from anytime.training.parity import BATCHES, inputs_of

    manifest = bundle.manifest
    spec = next((entry.preprocess for entry in manifest.inputs if entry.preprocess is not None), None)
    examples = read_examples(
        args.data, inputs_of(bundle), len(manifest.labels), folder=args.data_dir, labelled=False, preprocess=spec,
        show_progress=not args.json,
    )  # fmt: skip
    return gather(examples.test, max(BATCHES))[0]


def _show(compared: Compared) -> None:
    """A line per comparison and number of rows, a column per exit: the largest difference of any of its outputs."""
    from anytime.training.apart import TOLERANCE

    exits = compared.bundle.manifest.exits
    print(f"Differences on {compared.rows}, in parts of the largest number where that is above 1; "
          f"at most {TOLERANCE:g} may be:")  # fmt: skip
    columns = "".join(f"{f'exit {exit}':>10}" for exit in range(1, exits + 1))
    print(f"  {'between':32}{'rows':>5}{columns}")
    for (between, rows), found in _lines(compared.differences).items():
        numbers = "".join(f"{found[exit]:10.1e}" if exit in found else f"{'-':>10}" for exit in range(1, exits + 1))
        print(f"  {between:32}{rows:>5}{numbers}")


def _lines(differences: Sequence[Difference]) -> Mapping[tuple[str, int], Mapping[int, float]]:
    lines: dict[tuple[str, int], dict[int, float]] = {}
    for one in differences:
        line = lines.setdefault((one.between, one.rows), {})
        line[one.exit] = one.apart if one.apart != one.apart else max(one.apart, line.get(one.exit, 0.0))
    return lines


def _report(bundle: Bundle, compared: Compared, *, as_json: bool) -> None:
    manifest = bundle.manifest
    if as_json:
        said = {"name": manifest.name, "version": manifest.version, "exits": manifest.exits, "folder": str(bundle.folder),
                "digest": bundle.digest, "rows": compared.rows,
                "differences": [asdict(one) for one in compared.differences]}  # fmt: skip
        print(json.dumps(said))
        return
    print(
        f"{manifest.name} version {manifest.version}: {manifest.exits} exits, model.onnx and card.md, in {bundle.folder}"
    )
