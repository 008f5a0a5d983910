"""The model card of a bundle: a page for people, written from its manifest alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from anytime.model_store import Manifest, build_flow
from anytime.model_store.card import CARD
from anytime.model_store.manifest import SCALAR_OUTPUTS, Input
from anytime.model_store.tensors import bind
from anytime.training.curve import CURVE, exit_costs, exit_shares_right

__all__ = ["CARD", "write_card"]
_LABELS = 20
"""Shown by name; of more only how many there are."""


def write_card(manifest: Manifest, *, one_row: bool = False, has_whole: bool = True) -> str:
    """Markdown. ``one_row``: the graphs take one row at a time; ``has_whole``: ``model.onnx`` lies beside the stages."""
    parts = [
        [f"# {manifest.name}"], _what(manifest), ["## Where it comes from"], _origin(manifest),
        ["## What each exit costs and is worth"], _exits(manifest), _points(manifest),
        ["## Serving it"], _serving(manifest), *([["## Anywhere else"], _elsewhere(manifest)] if has_whole else []),
        ["## Limits"], _limits(manifest, one_row),
    ]  # fmt: skip
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _what(manifest: Manifest) -> list[str]:
    count, exits = len(manifest.labels), manifest.exits
    named = ": " + ", ".join(map(_plain, manifest.labels)) if count <= _LABELS else ""
    levels = (
        f" Labels have levels: {', '.join(manifest.level_names)}, the finest first." if manifest.level_names else ""
    )
    return [
        f"A classifier that may answer early. It tells one of {count} labels{named}.{levels}",
        f"It has {exits} exit{'s' if exits > 1 else ''}, made by `{_plain(manifest.method)}`; the last is full depth.",
    ]  # fmt: skip


def _origin(manifest: Manifest) -> list[str]:
    provenance, recipe = manifest.provenance, _recipe(manifest)
    network = recipe.get("network")
    lines = []
    if isinstance(network, Mapping):
        lines.append(f"- Network: `{_plain(network.get('file'))}`, SHA-256 `{_plain(network.get('sha256'))}`.")
    if manifest.base_macs is not None:
        lines.append(f"- The network without exits: {manifest.base_macs:,} multiply-adds a row.")
    if provenance.data is not None:
        digest = f", SHA-256 `{_plain(provenance.data.sha256)}`" if provenance.data.sha256 else ""
        lines.append(f"- Data: {_plain(provenance.data.name)}{digest}.")
        if provenance.data.split:
            lines.append(f"- Split: {_plain(provenance.data.split)}.")
    if provenance.seed is not None:
        lines.append(f"- Seed: {provenance.seed}.")
    if provenance.versions:
        lines.append(f"- Made with {', '.join(f'{_plain(k)} {_plain(v)}' for k, v in provenance.versions.items())}.")
    lines.append(f"- Made at {manifest.created.isoformat(timespec='seconds')}.")
    if provenance.recipe:
        text = json.dumps(recipe, indent=1) if recipe else provenance.recipe.strip()
        fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
        lines += ["- Recipe:", "", f"{fence}{'json' if recipe else 'toml'}", text, fence]
    return lines


def _exits(manifest: Manifest) -> list[str]:
    calibration, found = manifest.calibration, exit_shares_right(manifest)
    flow, costs = build_flow(manifest), exit_costs(manifest)
    head = ["exit", "of full depth's multiply-adds", "multiply-adds"]
    columns: list[Sequence[str]] = [
        [str(exit) for exit in range(1, manifest.exits + 1)], [f"{cost:.1%}" for cost in costs],
        [f"{round(cost * flow.macs_full):,}" for cost in costs],
    ]  # fmt: skip
    if calibration is not None and calibration.ms is not None:
        head.append("ms a row")
        columns.append([f"{ms:.3g}" for ms in calibration.ms])
    if found is not None:
        head.append(found[0])
        columns.append([f"{share:.1%}" for share in found[1]])
    if calibration is not None and calibration.temperature is not None:
        head.append("temperature")
        columns.append([", ".join(f"{one:.3g}" for one in row) for row in calibration.temperature])
    lines = list(_table(head, zip(*columns, strict=True)))
    lines += ["", "A row that leaves at an exit has paid for that exit and every one before it."]
    if calibration is not None and calibration.ms is not None:
        lines.append("Milliseconds are of one row and one thread, on the machine that calibrated it.")
    return [*lines, "", f"![Accuracy over cost]({CURVE})"] if found is not None else lines


def _points(manifest: Manifest) -> list[str]:
    calibration = manifest.calibration
    if calibration is None or not calibration.operating_points:
        return []
    rows = [[f"`{one.name}`", f"`{_plain(json.dumps(dict(one.policy)))}`", f"{one.accuracy:.1%}", f"{one.cost:.1%}",
             "" if one.ms is None else f"{one.ms:.3g}", ", ".join(f"{share:.0%}" for share in one.exit_shares)]
            for one in calibration.operating_points]  # fmt: skip
    default = calibration.default_policy
    asked = (
        [] if default is None else ["", f"A request that asks for nothing gets `{_plain(json.dumps(dict(default)))}`."]
    )
    return [
        "## Operating points", "",
        "Chosen on calibration rows, and measured there; on other rows they lose a little more or less.", "",
        *_table(["target", "policy", "accuracy", "cost", "ms", "rows that leave at each exit"], rows), *asked,
    ]  # fmt: skip


def _serving(manifest: Manifest) -> list[str]:
    picture = any(entry.preprocess is not None for entry in manifest.inputs)
    content = (
        "-H 'Content-Type: image/png' --data-binary @picture.png"
        if picture
        else "-H 'Content-Type: application/json' -d @rows.json"
    )
    points = () if manifest.calibration is None else manifest.calibration.operating_points
    target = f"?target={points[0].name}" if points else ""
    return [
        "```bash", "anytime models add FOLDER --store models    # unless it lies in a store already",
        "anytime serve --store models",
        f"curl -s {content} 'http://127.0.0.1:8000/v1/models/{manifest.name}/predict{target}'", "```",
    ]  # fmt: skip


def _elsewhere(manifest: Manifest) -> list[str]:
    feeds = ", ".join(f"{json.dumps(entry.name)}: {_array(entry, manifest)}" for entry in manifest.inputs)
    last, further = (
        manifest.exits,
        sorted({name for stage in manifest.stages for name in stage.head.writes.values() if name in SCALAR_OUTPUTS}),
    )
    lines = [
        "`model.onnx` is the whole network for any runtime that reads ONNX: every exit is computed, `exit_1` to "
        f"`exit_{last}` are their logits (a row each).",
    ]  # fmt: skip
    if further or manifest.level_names:
        also = [*further, *manifest.logits_names[1:]]
        lines.append(f"Heads say more where they have it: {', '.join(f'`exit_1.{name}`' for name in also)} and so on.")
    lines += [
        "Divided by the exit's temperature, their softmax is its confidence." if manifest.calibration else
        "Their softmax is the exit's confidence.",
        "", "```python", "import numpy as np", "import onnxruntime", "",
        'session = onnxruntime.InferenceSession("model.onnx")',
        f"names = [f\"exit_{{number}}\" for number in range(1, {last + 1})]",
        f"exits = session.run(names, {{{feeds}}})",
        "```",
    ]  # fmt: skip
    return lines


def _limits(manifest: Manifest, one_row: bool) -> list[str]:
    lines = ["- Rows: one at a time; a graph fixes them." if one_row else "- Rows: any number together."]
    for entry in manifest.inputs:
        lines.append(f"- Input `{_plain(entry.name)}`: {entry.dtype}, {', '.join(map(str, entry.shape))}.")
        if entry.preprocess is not None:
            spec = entry.preprocess.model_dump(mode="json", exclude_none=True)
            lines.append(
                f"  Pictures become rows by `{_plain(json.dumps(spec))}`; anything else is not what it learned on."
            )
    lines += [f"- `{axis}`: {size.min} to {size.max}, usually {size.typical}, which costs are counted at."
              for axis, size in manifest.axes.items()]  # fmt: skip
    if manifest.calibration is None:
        lines.append("- It was never calibrated: its confidence may be higher or lower than it is right.")
    if exit_shares_right(manifest) is None:
        lines.append("- Nobody measured how often it is right.")
    lines.append("- It always tells one of its labels, also of an input that is none of them.")
    return lines


def _array(entry: Input, manifest: Manifest) -> str:
    """One row of zeros, in Python."""
    sizes = bind(entry.shape, {axis: size.typical for axis, size in manifest.axes.items()})
    return f"np.zeros({sizes}, {entry.dtype!r})"


def _recipe(manifest: Manifest) -> Mapping[str, object]:
    """The recipe where it is a JSON object; else empty."""
    try:
        found = json.loads(manifest.provenance.recipe or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _plain(text: object) -> str:
    """On one line, and no cell's end."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("`", "'")
