"""The one road from a trained network to a bundle with exits: cut, features once, heads, graphs, traces, calibration.

A network of this project and one from anywhere take it alike, as ONNX.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from pydantic import TypeAdapter, ValidationError

from anytime.model_store import Bundle
from anytime.model_store.manifest import Name
from anytime.model_store.nearest import nearest
from anytime.policy import Trace
from anytime.training.apart import apart
from anytime.training.attach import Cut, Network, Piece, assemble, cut, features
from anytime.training.attach.pieces import input_states
from anytime.training.attach.session import open_session, run_session
from anytime.training.calibration import calibrate
from anytime.training.errors import BadLabel, BadOption, ParityBroken, RunFailed
from anytime.training.examples import Examples, Part, gather, some
from anytime.training.exits import Cached, Channels, Fresh, Method, Reading, export_exits, fit_exits, read_cuts
from anytime.training.exits.cached import imitated
from anytime.training.loop import Device, Keeping, Progress
from anytime.training.methods.schedules import ENSEMBLES, HEADS, Schedule
from anytime.training.methods.sdn import Sdn
from anytime.training.methods.ztw import Ztw, ZtwOptions
from anytime.training.models.heads import HeadOptions
from anytime.training.record import Recorder, join, record
from anytime.training.run_folder import BUNDLE, FEATURES, ROWS, RUN, TRACES, claim, read_claim

FULL_DEPTH = 1e-5
"""What the last exit may differ from the network, in parts of the largest logit where that is above 1."""
HELD_ROWS = 5000
"""Of the calibration rows, those on which exits are reported while they are trained."""
KEPT_ROWS = 8
"""Test rows that stay in the run's folder."""
_COMPARED = 64
_READ = "read"
"""What a run says of the exits' readings."""
_PACKAGES = ("numpy", "onnx", "onnxruntime", "torch")
MethodName = Literal["ztw", "sdn"]


@dataclass(frozen=True)
class ExitOptions:
    """How exits are trained. ``distil``: on what the network itself says, softened by ``temperature``, and no labels.

    ``channels``: on which axis of the features they are, ``auto`` as the graph tells. ``trace_rows``: of calibration and
    test rows, how many are recorded at most. Raises ``BadOption``.
    """

    method: MethodName = "ztw"
    head: HeadOptions = field(default_factory=HeadOptions)
    ztw: ZtwOptions = field(default_factory=ZtwOptions)
    heads: Schedule = HEADS["cifar"]
    ensembles: Schedule = ENSEMBLES
    distil: bool = False
    temperature: float = 1.0
    seed: int = 0
    stored: Literal["float32", "float16"] = "float32"
    trace_rows: int = 10_000
    channels: Channels = "auto"

    def __post_init__(self) -> None:
        if self.method not in get_args(MethodName):
            raise BadOption(f"there is no method {self.method!r}; {nearest(self.method, get_args(MethodName))}")
        if self.seed < 0:
            raise BadOption(f"a seed of {self.seed}; wanted a whole number from 0")
        if not self.temperature > 0:
            raise BadOption(f"a temperature of {self.temperature}; wanted a number above 0, such as 1")
        if self.method == "sdn" and self.ztw != ZtwOptions():
            raise BadOption("sdn has no cascade and no ensemble to set; leave them out, or take ztw")


@dataclass(frozen=True)
class Made:
    """A calibrated bundle, not yet published, and the traces behind it."""

    bundle: Bundle
    traces: Mapping[str, Trace]
    """``calibration`` and ``test``; without labels a row's label is what the network itself says."""


def add_exits(
    name: str, network: Network, cuts: Sequence[Cut], examples: Examples, options: ExitOptions, run: Path, *,
    device: Device, progress: Progress | None = None, say: Callable[[str], None] = lambda text: None,
    recipe: str | None = None, features_home: Path | None = None, fresh: Fresh | None = None,
) -> Made:  # fmt: skip
    """Train exits behind ``cuts`` and write the bundle to ``run / "bundle"``, replacing one that is there.

    ``run`` keeps features, checkpoints, log and traces: a run that was killed goes on. ``features_home``: where features are
    read from and kept instead, such as another run's. ``fresh``: the training rows, where none of their features are stored.
    ``say`` is told of each step. Raises a ``TrainingError``: ``BadLabel`` where labels are needed and unknown,
    ``ParityBroken`` where a graph computes something else than it should; nothing half-written is left.
    """
    _check(name, network, examples, options)
    readings = read_cuts(network, cuts, options.head, options.channels, say)
    claim(run / RUN, _about(network, cuts, examples, options, readings))
    pieces = cut(network, cuts)
    views, held = _cached(
        network, pieces, examples, options, readings, features_home or run / FEATURES, say, stored=fresh is None
    )
    method = make_method(options, [one.shape[1:] for one in held.features], network.classes)
    say(f"training {len(cuts)} exits on {device}")
    rows = replace(fresh, readings=readings) if fresh else views
    fit_exits(method, rows, held, heads=options.heads, ensembles=options.ensembles, seed=options.seed,
              device=device, keeping=Keeping(run), progress=progress)  # fmt: skip
    say("exporting")
    exported = export_exits(method, pieces, readings, network.inputs, network.classes)
    attached = assemble(
        name, network, pieces, exported.heads, states=exported.states, last=exported.last, labels=examples.labels,
        preprocess=examples.preprocess, method=options.method,
    )  # fmt: skip
    say("recording traces and calibrating")
    raw = attached.write(_cleared(run / "raw"))
    if exported.last is None:
        _check_full_depth(network, raw, gather(examples.test, _COMPARED)[0])
    traces = {part: _trace(network, raw, examples_part, options.trace_rows, options.seed)
              for part, examples_part in (("calibration", examples.calibration), ("test", examples.test))}  # fmt: skip
    (run / TRACES).mkdir(exist_ok=True)
    for part, trace in traces.items():
        trace.save(run / TRACES / f"{part}.npz")
    _keep_rows(run, renamed(network, gather(examples.test, KEPT_ROWS)[0]))
    calibration = calibrate(raw.manifest, raw.flow, traces["calibration"])
    metrics = metrics_of(traces["test"], is_agreement=examples.test.label is None)
    recipe = recipe or _recipe(network, cuts, options)
    provenance = _provenance(examples, options, metrics, recipe)
    bundle = attached.write(_cleared(run / BUNDLE), calibration=calibration, provenance=provenance)
    shutil.rmtree(run / "raw")
    return Made(bundle, traces)


def _check(name: str, network: Network, examples: Examples, options: ExitOptions) -> None:
    """Before the work and not after it."""
    check_name(name)
    if examples.labels is not None and len(examples.labels) != network.classes:
        raise BadLabel(
            f"{len(examples.labels)} classes have names and {network.name} tells {network.classes}; name each"
        )
    if not options.distil and not examples.is_labelled:
        raise BadLabel("the data have no labels; give them, or let the exits imitate the network (distil)")


def _about(
    network: Network, cuts: Sequence[Cut], examples: Examples, options: ExitOptions, readings: Sequence[Reading]
) -> dict[str, Any]:  # fmt: skip
    """What tells one run from any other."""
    axes = {axis: size.model_dump() for axis, size in network.inputs.axes.items()}
    return {"network": network.sha256, "scores": network.scores, "axes": axes, "cuts": [one.tensor for one in cuts],
            _READ: [asdict(one) for one in readings], "data": examples.key, **asdict(options)}  # fmt: skip


def check_name(name: str) -> None:
    """Before the work and not after it. Raises ``BadOption`` for what no store would take as a model's name."""
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise BadOption(f"{name!r} is no name for a model; wanted up to 64 of a-z, 0-9, '.', '_' and '-', such as "
                        f"{re.sub('[^a-z0-9._-]+', '-', name.lower()).strip('-._')[:64] or 'net'!r}") from error  # fmt: skip


def read_options(run: Path) -> ExitOptions:
    """With which the exits of a run are trained. Raises ``RunFailed``."""
    try:
        return TypeAdapter(ExitOptions).validate_python(read_claim(run / RUN))
    except ValidationError as error:
        first = error.errors()[0]
        said = f"{'.'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg']}"
        raise RunFailed(f"{run / RUN} does not say how exits were made: {said}; give the folder of a run") from error
    except BadOption as error:
        raise RunFailed(f"{run / RUN} does not say how exits were made: {error}; give the folder of a run") from error


def read_readings(run: Path) -> list[Reading]:
    """What the exits of a run read of each cut. Raises ``RunFailed``."""
    try:
        return TypeAdapter(list[Reading]).validate_python(read_claim(run / RUN).get(_READ))
    except ValidationError as error:
        raise RunFailed(
            f"{run / RUN} does not say what exits read, as a run of an earlier version: make it anew in another folder"
        ) from error


def metrics_of(trace: Trace, *, is_agreement: bool) -> dict[str, float]:
    """``test.accuracy.exit-1`` .. or, without labels, ``test.agreement.exit-1`` .., on rows that nothing was fitted to."""
    right = trace.outputs["logits"].argmax(axis=2) == trace.label[:, np.newaxis]
    name = "agreement" if is_agreement else "accuracy"
    return {f"test.{name}.exit-{exit}": float(share) for exit, share in enumerate(right.mean(axis=0), start=1)}


def _cached(
    network: Network, pieces: Sequence[Piece], examples: Examples, options: ExitOptions, readings: Sequence[Reading],
    home: Path, say: Callable[[str], None], stored: bool,
) -> tuple[list[Cached], Cached]:  # fmt: skip
    """The training rows, once per view, if they are to be ``stored``; and those that exits are reported on meanwhile."""
    shrink = [one.shrink() for one in readings]

    def computed(part: Part) -> Cached:
        found = features(
            network, pieces, part.rows, home, dtype=options.stored, shrink=shrink, threads=os.cpu_count() or 1
        )
        label = imitated(found.logits, options.temperature) if options.distil or part.label is None else part.label
        return Cached(found.cuts, found.logits, label)

    views = []
    for number, part in enumerate(examples.train if stored else (), start=1):
        say(f"features of {len(part):,} rows" + (f", view {number}" if len(examples.train) > 1 else ""))
        views.append(computed(part))
    return views, computed(some(examples.calibration, HELD_ROWS, options.seed))


def make_method(options: ExitOptions, shapes: Sequence[tuple[int, ...]], labels: int) -> Method:
    """New exits on features of these shapes, by the seed."""
    if options.method == "sdn":
        return Sdn(shapes, labels, options.head, seed=options.seed)
    return Ztw(shapes, labels, options.head, options.ztw, seed=options.seed)


def _check_full_depth(network: Network, bundle: Bundle, rows: dict[str, np.ndarray]) -> None:
    session = open_session(network.model, network.name)
    count = len(next(iter(rows.values())))
    step = 1 if network.inputs.one_row else count
    parts = [{name: values[start : start + step] for name, values in rows.items()} for start in range(0, count, step)]
    wanted = np.concatenate([run_session(session, [network.scores], part, network.name)[0] for part in parts])
    found = record(bundle, renamed(network, rows)).outputs["logits"][:, -1]
    difference = apart(wanted, found)
    if not difference <= FULL_DEPTH:
        raise ParityBroken(
            f"the last exit is {difference:.1e} from {network.name} on {count} rows; wanted at most {FULL_DEPTH:g}"
        )


def _trace(network: Network, bundle: Bundle, part: Part, most: int, seed: int) -> Trace:
    """Of at most so many rows, drawn by the seed: a part may be in the order of its classes."""
    part = some(part, most, seed)
    recorder = Recorder(bundle)
    trace = join([recorder.record(renamed(network, batch)) for batch in part.rows.batches()])
    label = trace.outputs["logits"][:, -1].argmax(axis=1) if part.label is None else part.label
    return replace(trace, label=label)


def _keep_rows(run: Path, rows: Mapping[str, np.ndarray]) -> None:
    """For an export to compare the bundle with the whole network on."""
    temp = run / f".{ROWS}.partial"
    with temp.open("wb") as file:
        np.savez(file, allow_pickle=False, **rows)
    temp.replace(run / ROWS)


def renamed(network: Network, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As the bundle calls the network's inputs."""
    names = input_states(network)
    return {names[name]: values for name, values in rows.items()}


def _recipe(network: Network, cuts: Sequence[Cut], options: ExitOptions) -> str:
    """Where nobody wrote one: the network, where it was cut, and every option."""
    made = {"network": {"file": network.name, "sha256": network.sha256}, "cuts": [one.tensor for one in cuts]}
    return json.dumps({**made, **asdict(options)}, sort_keys=True)


def _provenance(
    examples: Examples, options: ExitOptions, metrics: Mapping[str, float], recipe: str
) -> dict[str, Any]:  # fmt: skip
    return {
        "recipe": recipe,
        "seed": options.seed,
        "data": dict(examples.data),
        "versions": {package: importlib.metadata.version(package) for package in _PACKAGES},
        "metrics": dict(metrics),
    }


def _cleared(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    return folder
