"""The folder of an evaluation: ``traces/<bundle>/<split>.npz``, ``report.json``, ``report.md`` and the plots.

It appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from anytime.model_store import Bundle, Manifest
from anytime.policy import Trace, load_trace
from anytime.training.errors import BadOption, DataMissing, ReportUnwritten
from anytime.training.evaluation.markdown import to_markdown
from anytime.training.evaluation.plots import draw_plots
from anytime.training.evaluation.report import Report
from anytime.training.evaluation.titles import bundle_titles

FORMAT = 1
TRACES = "traces"
JSON, MARKDOWN = "report.json", "report.md"


@dataclass(frozen=True)
class Traces:
    """Of one bundle; thresholds are chosen on the one, everything is told by the other."""

    calibration: Trace
    test: Trace


def to_json(reports: Sequence[Report]) -> str:
    """The text of ``report.json``: an object with ``format`` and, in the order given, ``reports``."""
    whole = {"format": FORMAT, "reports": [asdict(report) for report in reports]}
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def check_free(folder: Path) -> None:
    """Raises ``BadOption`` where the folder cannot appear: something lies there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadOption(f"{folder} exists already and is not empty; name another, or remove it")


def write_evaluation(folder: Path, reports: Sequence[Report], traces: Sequence[Traces]) -> None:
    """Everything there is to keep. Raises ``BadOption``, ``ExtraMissing``, or ``ReportUnwritten`` with the disk's word."""
    check_free(folder)
    temp = folder.parent / f".{folder.name}-{uuid.uuid4().hex}.partial"
    try:
        temp.mkdir(parents=True)
        for title, own in zip(bundle_titles(reports), traces, strict=True):
            place = temp / TRACES / title
            place.mkdir(parents=True)
            own.calibration.save(place / "calibration.npz")
            own.test.save(place / "test.npz")
        (temp / JSON).write_text(to_json(reports), encoding="utf-8")
        (temp / MARKDOWN).write_text(to_markdown(reports), encoding="utf-8")
        draw_plots(reports, temp)
        os.replace(temp, folder)
    except OSError as error:
        raise ReportUnwritten(
            f"{folder} could not be written: {error.strerror or error}; nothing is left of it: make room, or name another"
        ) from error
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def find_traces(named: Path | None, bundles: Sequence[Bundle]) -> list[Traces]:
    """Each bundle's traces: in ``named``, where several have a folder each; with nothing named, in ``traces`` beside it.

    ``named`` may be the ``traces`` of an earlier evaluation. Raises ``DataMissing`` or ``TraceError``.
    """
    titles = bundle_titles([bundle.manifest for bundle in bundles])
    found = []
    for title, bundle in zip(titles, bundles, strict=True):
        folder = bundle.folder.resolve().parent / TRACES if named is None else named
        places = [folder / title, *([folder] if named is None or len(bundles) == 1 else [])]
        place = next((one for one in places if (one / "test.npz").is_file()), None)
        if place is None:
            looked = " and ".join(str(one) for one in places)
            raise DataMissing(f"no traces of {title}: looked for calibration.npz and test.npz in {looked}; "
                              f"name their folder with --traces, or what to record with --data")  # fmt: skip
        found.append(_load(place, bundle.manifest))
    return found


def _load(place: Path, manifest: Manifest) -> Traces:
    return Traces(load_trace(place / "calibration.npz", manifest), load_trace(place / "test.npz", manifest))
