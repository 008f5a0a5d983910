"""Reports as plots, PNG and SVG: the same reports and the same matplotlib, the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anytime.training.errors import ExtraMissing
from anytime.training.evaluation.report import Report
from anytime.training.evaluation.titles import bundle_titles, rule_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE: dict[Any, Any] = {"svg.hashsalt": "anytime", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3,
                             "axes.spines.top": False, "axes.spines.right": False}  # fmt: skip
_LINES = {"confidence": "-", "patience": "--"}
_METADATA: Mapping[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
_INCHES, _DPI = (6.4, 4.4), 150


def check_extra() -> None:
    """Raises ``ExtraMissing`` without matplotlib: cheaper to know before hours of recording."""
    try:
        import matplotlib  # noqa: F401 # only whether it is there
    except ImportError as error:
        raise ExtraMissing(f"{error.name} is not installed; install anytime-serving[train] for plots") from error


def draw_plots(reports: Sequence[Report], folder: Path) -> list[Path]:
    """Writes each plot as ``<name>.png`` and ``<name>.svg``; the paths. Raises ``ExtraMissing`` or ``OSError``."""
    check_extra()
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles, paths = bundle_titles(reports), []
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        for name, draw in _PLOTS.items():
            figure = Figure(figsize=_INCHES, layout="constrained")
            FigureCanvasAgg(figure)
            draw(figure.subplots(), titles, reports)
            for kind, metadata in _METADATA.items():
                paths.append(folder / f"{name}.{kind}")
                figure.savefig(paths[-1], format=kind, dpi=_DPI, metadata=metadata)
    return paths


def _accuracy_macs(axes: Axes, titles: Sequence[str], reports: Sequence[Report]) -> None:
    _accuracy(axes, titles, reports, [report.base.macs for report in reports], "macs")
    axes.set_xlabel("multiply-adds, as a share of the base network's")


def _accuracy_ms(axes: Axes, titles: Sequence[str], reports: Sequence[Report]) -> None:
    _accuracy(axes, titles, reports, [1.0] * len(reports), "ms")
    axes.set_xlabel("milliseconds a row")


def _accuracy(axes: Axes, titles: Sequence[str], reports: Sequence[Report], units: Sequence[float], spent: str) -> None:
    """Curves over thresholds on the test rows, exits as points, the base network as a cross, or a line if unknown."""
    for number, (title, report, unit) in enumerate(zip(titles, reports, units, strict=True)):
        colour = f"C{number}"
        for family in report.families:
            points = sorted({(getattr(point, spent) / unit, point.accuracy) for point in family.curve})
            axes.plot(*zip(*points, strict=True), _LINES[family.rule], color=colour, linewidth=1.2,
                      label=f"{title}: {rule_title(report.method, family.rule)}")  # fmt: skip
        exits = [(getattr(exit, spent) / unit, exit.accuracy) for exit in report.exits]
        axes.plot(*zip(*exits, strict=True), "o", color=colour, markersize=4, label=f"{title}: exits")
        base = getattr(report.base, spent) / unit
        if report.base.accuracy is None:
            axes.axvline(base, color=colour, linestyle=":", linewidth=1, label=f"{title}: base network's cost")
        else:
            axes.plot([base], [report.base.accuracy], "X", color=colour, markersize=9, markeredgecolor="black",
                      label=f"{title}: base network")  # fmt: skip
    axes.set_ylabel("accuracy on test rows")
    axes.set_xlim(left=0)
    axes.legend(fontsize=7)


def _hindsight(axes: Axes, titles: Sequence[str], reports: Sequence[Report]) -> None:
    for title, report in zip(titles, reports, strict=True):
        numbers, values = zip(*((exit.exit, exit.hindsight_improvability) for exit in report.exits), strict=True)
        axes.plot(numbers, values, "o-", markersize=4, label=title)
    axes.set_xlabel("exit")
    axes.set_ylabel("Hindsight Improvability (lower is better)")
    axes.set_ylim(bottom=0)
    deepest = max(len(report.exits) for report in reports)
    axes.set_xticks(range(1, deepest + 1, 1 + deepest // 16))
    axes.legend(fontsize=7)


def _reliability(axes: Axes, titles: Sequence[str], reports: Sequence[Report]) -> None:
    """Each bundle's first and last exit; the diagonal is a confidence that keeps its word."""
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for number, (title, report) in enumerate(zip(titles, reports, strict=True)):
        for exit, line in dict(zip((report.exits[-1], report.exits[0]), ("-", ":"), strict=True)).items():
            said, right = zip(*((one.confidence, one.accuracy) for one in exit.bins), strict=True)
            axes.plot(said, right, f"o{line}", color=f"C{number}", markersize=3, label=f"{title}: exit {exit.exit}")
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy on test rows")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.legend(fontsize=7)


_PLOTS: Mapping[str, Callable[[Axes, Sequence[str], Sequence[Report]], None]] = {
    "accuracy-macs": _accuracy_macs,
    "accuracy-ms": _accuracy_ms,
    "hindsight-improvability": _hindsight,
    "reliability": _reliability,
}
