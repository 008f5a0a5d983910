"""A bundle ready to be handed on: compared with the whole network and with what was trained, with a card and a curve."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from anytime.model_store import Bundle, Manifest, copy_bundle, open_bundle, write_bundle
from anytime.model_store.build import Content
from anytime.model_store.manifest import MANIFEST, StartFile
from anytime.model_store.npz import NpzUnreadable, read_npz
from anytime.training.attach.inputs import Batch
from anytime.training.attach.session import INLINE_BYTES
from anytime.training.card import CARD, write_card
from anytime.training.curve import CURVE, draw_curve
from anytime.training.errors import BadOption, RunFailed
from anytime.training.parity import BATCHES, Difference, compare_whole, inputs_of, require_parity
from anytime.training.run_folder import BUNDLE, ROWS, RUN
from anytime.training.whole import MODEL, WEIGHTS, model_files, runs_one_row, whole_network

_OF_EXIT = re.compile(r"test\.(accuracy|agreement)\.exit-\d+")


@dataclass(frozen=True)
class Source:
    """What is exported: a bundle, and the folder of the run that made it, where there is one."""

    bundle: Bundle
    run: Path | None


@dataclass(frozen=True)
class Compared:
    """A bundle, its whole network, and how far what should say the same is apart."""

    bundle: Bundle
    whole: onnx.ModelProto
    rows: str
    """On what it was compared."""
    differences: tuple[Difference, ...]


def find_source(folder: Path) -> Source:
    """A bundle's folder, or a run's. Raises ``BadOption``, ``RunFailed`` or the ``BundleError`` that names the fault."""
    if (folder / MANIFEST).is_file():
        return Source(open_bundle(folder), None)
    if not (folder / RUN).is_file():
        raise BadOption(
            f"{folder} holds neither {MANIFEST} nor {RUN}; give the folder of a bundle or of a run, such as runs/NAME"
        )
    if not (folder / BUNDLE / MANIFEST).is_file():
        raise RunFailed(f"the run in {folder} has made no bundle yet; start it again: it goes on")
    return Source(open_bundle(folder / BUNDLE), folder)


def compare(source: Source, given: Batch | None = None) -> Compared:
    """The stages against the whole network; of a run also the trained exits in torch against the heads.

    On the rows ``given``, by input name; without them on the test rows that the run kept, or else on rows drawn at random.
    Raises a ``TrainingError``: ``GraphsUnjoinable``, ``DataMisfit`` where the rows do not fit, ``RunFailed`` where the run
    lacks what it was trained with, and ``ParityBroken`` where something does not run.
    """
    bundle = source.bundle
    whole = whole_network(bundle)
    said, rows = "rows that were given", given
    if rows is None and source.run is not None and (source.run / ROWS).is_file():
        said, rows = "test rows of the run", _kept(source.run / ROWS)
    if rows is None:
        inputs = inputs_of(bundle)
        drawn = [inputs.random(inputs.typical(1), seed) for seed in range(max(BATCHES))]
        said, rows = "random rows", {name: np.concatenate([one[name] for one in drawn]) for name in drawn[0]}
    found = compare_whole(bundle, whole, rows)
    if source.run is not None:
        from anytime.training.trained import compare_trained  # torch, which a bundle alone does without

        found = [*compare_trained(source.run, bundle, rows), *found]
    return Compared(bundle, whole, said, tuple(found))


def export_bundle(compared: Compared, folder: Path, *, inline_bytes: int = INLINE_BYTES) -> Bundle:
    """Write the bundle with ``model.onnx``, a model card and the curve to ``folder``, which must not exist.

    The stages, the calibration and when it was created stay; the same bundle gives the same digest again. Raises
    ``ParityBroken`` unless all differences are small, and as ``write_bundle`` does; then nothing is written.
    """
    require_parity(compared.differences)
    bundle = compared.bundle
    made = {MODEL, WEIGHTS, CARD, CURVE}
    starts = {state.start.file for state in bundle.manifest.state if isinstance(state.start, StartFile)}
    taken = sorted(made & (bundle.weight_files | starts))
    if taken:
        raise BadOption(f"a stage of {bundle.folder} uses {taken[0]!r}, where an export writes; call it otherwise")
    files: dict[str, Content] = {
        file: bundle.path(file).read_bytes() for file in bundle.manifest.files if file not in made
    }
    files |= model_files(compared.whole, inline_bytes)
    files |= _papers(bundle, bundle.manifest)
    draft = bundle.manifest.model_dump(mode="json", exclude={"format", "files"})
    return write_bundle(folder, draft, files)


def recalibrate(bundle: Bundle, calibration: Mapping[str, Any], folder: Path) -> Bundle:
    """The bundle with another calibration, in ``folder``, which must not exist. Raises as ``copy_bundle``.

    Of its test metrics those of single exits stay, which no calibration moves; those of policies were of the former one and
    go. The card and the curve of an export are written anew, so that they say what the manifest says.
    """
    provenance = bundle.manifest.provenance.model_dump(mode="json")
    provenance["metrics"] = {name: one for name, one in provenance["metrics"].items() if _OF_EXIT.fullmatch(name)}
    changes: dict[str, Any] = {"calibration": dict(calibration), "provenance": provenance}
    is_exported = MODEL in bundle.manifest.files and MODEL not in bundle.weight_files
    fields = {**bundle.manifest.model_dump(mode="json"), **changes}
    contents = _papers(bundle, Manifest.model_validate_json(json.dumps(fields))) if is_exported else None
    return copy_bundle(bundle, folder, contents=contents, **changes)


def _papers(bundle: Bundle, manifest: Manifest) -> dict[str, bytes]:
    """The card and, where somebody knows a share, the curve. ``manifest``: as it is to be."""
    curve = draw_curve(manifest)
    card = write_card(manifest, one_row=runs_one_row(bundle)).encode()
    return {CARD: card} if curve is None else {CARD: card, CURVE: curve}


def _kept(path: Path) -> Batch:
    try:
        return read_npz(path)
    except NpzUnreadable as error:
        raise RunFailed(f"{path} cannot be read: {error}; start the run again, or give data") from error
