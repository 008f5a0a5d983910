"""SDN, PBEE and ZTW on the same backbones, over seeds: ``python -m benchmarks.methods RUNS OUT TITLE``.

RUNS holds run folders of ``anytime train``: ``sdn-SEED``, ``ztw-SEED`` and ``final-SEED``, which is ZTW with an ensemble at
the last exit too; all three of a seed on one backbone (``--backbone-of``).
OUT gets ``TITLE.md``, ``TITLE.json`` and, of the first seed, the plots.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from anytime.model_store import Bundle, open_bundle
from anytime.policy import load_trace
from anytime.training.evaluation.budgets import Choice
from anytime.training.evaluation.plots import draw_plots
from anytime.training.evaluation.report import Report, evaluate
from benchmarks.measure import machine
from benchmarks.tables import table

BUDGETS = ("25 %", "50 %", "75 %", "100 %", "Max")
KINDS = ("sdn", "ztw", "final")
FINAL = "ZTW, ensemble at the end too"
DRAWN = ("SDN's exits", "ZTW's exits", "ZTW's, ensemble at the end too")
Seed = tuple[Report, Report, Report]
"""The reports of one seed, by ``KINDS``."""


def main(runs: Path, out: Path, title: str) -> None:
    seeds = sorted(int(path.name.removeprefix("ztw-")) for path in runs.glob("ztw-*"))
    found = [[_report(runs / f"{kind}-{seed}") for kind in KINDS] for seed in seeds]
    reports = [(sdn, ztw, final) for sdn, ztw, final in found]
    folder = out / title
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [replace(report, name=name) for report, name in zip(reports[0], DRAWN, strict=True)]
    names = [path.name for path in draw_plots(drawn, folder)]
    (out / f"{title}.md").write_text(
        _markdown(title, seeds, open_bundle(runs / f"ztw-{seeds[0]}" / "bundle"), reports, names)
    )
    (out / f"{title}.json").write_text(json.dumps(_figures(reports), indent=1) + "\n")


def _report(run: Path) -> Report:
    bundle = open_bundle(run / "bundle")
    calibration, test = (
        load_trace(run / "traces" / f"{split}.npz", bundle.manifest) for split in ("calibration", "test")
    )
    return evaluate(bundle.manifest, bundle.flow, calibration, test)


def _choices(report: Report, rule: str, by_ms: bool) -> list[Choice]:
    family = next(one for one in report.families if one.rule == rule)
    return [*(family.by_ms if by_ms else family.by_macs), family.best]


METHODS: dict[str, Callable[[Seed, bool], list[Choice]]] = {
    "SDN": lambda seed, by_ms: _choices(seed[0], "confidence", by_ms),
    "PBEE": lambda seed, by_ms: _choices(seed[0], "patience", by_ms),
    "ZTW": lambda seed, by_ms: _choices(seed[1], "confidence", by_ms),
    FINAL: lambda seed, by_ms: _choices(seed[2], "confidence", by_ms),
}


def _figures(seeds: Sequence[Seed]) -> dict[str, object]:
    """Per method, budget and seed: accuracy, or null."""
    accuracies = {
        unit: {name: [[None if one.point is None else one.point.accuracy for one in choices(seed, unit == "ms")]
                      for seed in seeds] for name, choices in METHODS.items()}
        for unit in ("macs", "ms")
    }  # fmt: skip
    return {
        "budgets": BUDGETS,
        "base": [seed[0].base.accuracy for seed in seeds],
        "accuracy": accuracies,
        "exits": {name: [[exit.accuracy for exit in seed[index].exits] for seed in seeds]
                  for index, name in enumerate(("SDN", "ZTW", FINAL))},
        "hindsight_improvability": {name: [[exit.hindsight_improvability for exit in seed[index].exits] for seed in seeds]
                                    for index, name in enumerate(("SDN", "ZTW", FINAL))},
    }  # fmt: skip


def _markdown(title: str, numbers: Sequence[int], ztw: Bundle, seeds: Sequence[Seed], plots: Sequence[str]) -> str:
    recipe, data = json.loads(ztw.manifest.provenance.recipe or "{}"), ztw.manifest.provenance.data
    network = recipe.get("backbone", {}).get("network", "a network")
    base = [seed[0].base.accuracy or 0.0 for seed in seeds]
    lines = [
        f"# {title}", "",
        f"{network}, {seeds[0][0].base.macs:,} multiply-adds, with every head "
        f"{100 * seeds[0][1].exits[-1].macs / seeds[0][0].base.macs:.1f} % of that, on "
        f"{data.name if data else 'data'}: {data.split if data else ''}.", "",
        f"Seeds {', '.join(map(str, numbers))}; {machine()}.", "",
        f"Thresholds are chosen on {seeds[0][0].calibration_rows:,} calibration rows, figures are of "
        f"{seeds[0][0].test_rows:,} test rows: mean over seeds, with the standard deviation. The base network gets "
        f"{_mean([100 * one for one in base])} % right.", "",
    ]  # fmt: skip
    for unit, by_ms in (("multiply-adds", False), ("milliseconds", True)):
        lines += [f"## Accuracy in %, by share of the base network's {unit}", "", _budget_table(seeds, by_ms), ""]
    lines += ["## Per exit", "", _exit_table(seeds), "",
              "Hindsight Improvability: of the rows that an exit gets wrong, the share that an earlier one got right "
              "(paper 001, section 4.2); lower wastes less.", ""]  # fmt: skip
    lines += [f"![{name}]({title}/{name})" for name in plots if name.endswith(".png")]
    return "\n".join(lines) + "\n"


def _budget_table(seeds: Sequence[Seed], by_ms: bool) -> str:
    rows: list[list[str | int | float | None]] = []
    for name, choices in METHODS.items():
        each = list(zip(*(choices(seed, by_ms) for seed in seeds), strict=True))
        rows.append([name, *(_points([one.point.accuracy if one.point else None for one in cell]) for cell in each)])
    return table(["", *BUDGETS], rows)


def _exit_table(seeds: Sequence[Seed]) -> str:
    rows: list[list[str | int | float | None]] = []
    for index in range(len(seeds[0][0].exits)):
        sdn, ztw = ([seed[method].exits[index] for seed in seeds] for method in (0, 1))
        rows.append([index + 1, round(100 * statistics.mean(one.macs for one in ztw) / seeds[0][0].base.macs, 1),
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
