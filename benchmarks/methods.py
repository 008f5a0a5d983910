"""SDN, PBEE and ZTW on the same backbones, over seeds: ``python -m benchmarks.methods RUNS OUT TITLE``.

RUNS holds run folders ``ztw-SEED`` and ``sdn-SEED`` of ``anytime train``, the latter with ``--backbone-of`` the former.
OUT gets ``TITLE.md``, ``TITLE.json`` and, of the first seed, the plots.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from anytime.model_store import Bundle, open_bundle
from anytime.policy import load_trace
from anytime.training.evaluation.budgets import Choice
from anytime.training.evaluation.plots import draw_plots
from anytime.training.evaluation.report import Report, evaluate
from benchmarks.measure import machine
from benchmarks.tables import table

BUDGETS = ("25 %", "50 %", "75 %", "100 %", "Max")
Pair = tuple[Report, Report]
"""SDN's and ZTW's of one seed."""


def main(runs: Path, out: Path, title: str) -> None:
    seeds = sorted(int(path.name.removeprefix("ztw-")) for path in runs.glob("ztw-*"))
    bundles = {seed: [open_bundle(runs / f"{method}-{seed}" / "bundle") for method in ("sdn", "ztw")] for seed in seeds}
    pairs = [
        (_report(runs / f"sdn-{seed}", sdn), _report(runs / f"ztw-{seed}", ztw)) for seed, (sdn, ztw) in bundles.items()
    ]
    folder = out / title
    folder.mkdir(parents=True, exist_ok=True)
    names = [path.name for path in draw_plots(list(pairs[0]), folder)]
    (out / f"{title}.md").write_text(_markdown(title, seeds, bundles[seeds[0]][1], pairs, names))
    (out / f"{title}.json").write_text(json.dumps(_figures(pairs), indent=1) + "\n")


def _report(run: Path, bundle: Bundle) -> Report:
    calibration, test = (
        load_trace(run / "traces" / f"{split}.npz", bundle.manifest) for split in ("calibration", "test")
    )
    return evaluate(bundle.manifest, bundle.flow, calibration, test)


def _choices(report: Report, rule: str, by_ms: bool) -> list[Choice]:
    family = next(one for one in report.families if one.rule == rule)
    return [*(family.by_ms if by_ms else family.by_macs), family.best]


METHODS: dict[str, Callable[[Pair, bool], list[Choice]]] = {
    "SDN": lambda pair, by_ms: _choices(pair[0], "confidence", by_ms),
    "PBEE": lambda pair, by_ms: _choices(pair[0], "patience", by_ms),
    "ZTW": lambda pair, by_ms: _choices(pair[1], "confidence", by_ms),
}


def _figures(pairs: Sequence[Pair]) -> dict[str, object]:
    """Per method, budget and seed: accuracy, or null."""
    accuracies = {
        unit: {name: [[None if one.point is None else one.point.accuracy for one in choices(pair, unit == "ms")]
                      for pair in pairs] for name, choices in METHODS.items()}
        for unit in ("macs", "ms")
    }  # fmt: skip
    return {
        "budgets": BUDGETS,
        "base": [pair[0].base.accuracy for pair in pairs],
        "accuracy": accuracies,
        "exits": {name: [[exit.accuracy for exit in pair[index].exits] for pair in pairs]
                  for index, name in enumerate(("SDN", "ZTW"))},
        "hindsight_improvability": {name: [[exit.hindsight_improvability for exit in pair[index].exits] for pair in pairs]
                                    for index, name in enumerate(("SDN", "ZTW"))},
    }  # fmt: skip


def _markdown(title: str, seeds: Sequence[int], ztw: Bundle, pairs: Sequence[Pair], plots: Sequence[str]) -> str:
    recipe, data = json.loads(ztw.manifest.provenance.recipe or "{}"), ztw.manifest.provenance.data
    network = recipe.get("backbone", {}).get("network", "a network")
    base = [pair[0].base.accuracy or 0.0 for pair in pairs]
    lines = [
        f"# {title}", "",
        f"{network}, {pairs[0][0].macs_full:,} multiply-adds with every head ({pairs[0][0].base.macs:,} alone), on "
        f"{data.name if data else 'data'}: {data.split if data else ''}.", "",
        f"Seeds {', '.join(map(str, seeds))}; {machine()}.", "",
        f"Thresholds are chosen on {pairs[0][0].calibration_rows:,} calibration rows, figures are of "
        f"{pairs[0][0].test_rows:,} test rows: mean over seeds, with the standard deviation. The base network gets "
        f"{_mean([100 * one for one in base])} % right.", "",
    ]  # fmt: skip
    for unit, by_ms in (("multiply-adds", False), ("milliseconds", True)):
        lines += [f"## Accuracy in %, by share of the base network's {unit}", "", _budget_table(pairs, by_ms), ""]
    lines += ["## Per exit", "", _exit_table(pairs), "",
              "Hindsight Improvability: of the rows that an exit gets wrong, the share that an earlier one got right "
              "(paper 001, section 4.2); lower wastes less.", ""]  # fmt: skip
    lines += [f"![{name}]({title}/{name})" for name in plots if name.endswith(".png")]
    return "\n".join(lines) + "\n"


def _budget_table(pairs: Sequence[Pair], by_ms: bool) -> str:
    rows: list[list[str | int | float | None]] = []
    for name, choices in METHODS.items():
        each = list(zip(*(choices(pair, by_ms) for pair in pairs), strict=True))
        rows.append([name, *(_points([one.point.accuracy if one.point else None for one in cell]) for cell in each)])
    return table(["", *BUDGETS], rows)


def _exit_table(pairs: Sequence[Pair]) -> str:
    rows: list[list[str | int | float | None]] = []
    for index in range(len(pairs[0][0].exits)):
        sdn, ztw = ([pair[method].exits[index] for pair in pairs] for method in (0, 1))
        rows.append([index + 1, round(100 * statistics.mean(one.macs for one in ztw) / pairs[0][0].base.macs, 1),
                     _mean([100 * one.accuracy for one in sdn]), _mean([100 * one.accuracy for one in ztw]),
                     _mean([100 * one.hindsight_improvability for one in sdn]),
                     _mean([100 * one.hindsight_improvability for one in ztw])])  # fmt: skip
    columns = ["exit", "cost, % of base", "SDN, %", "ZTW, %", "SDN's hindsight improvability, %", "ZTW's, %"]
    return table(columns, rows)


def _points(accuracies: Sequence[float | None]) -> str:
    known = [100 * one for one in accuracies if one is not None]
    return _mean(known) if len(known) == len(accuracies) else "n/a"


def _mean(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
