"""Whether a bundle's calibration fits its exits and levels."""

from __future__ import annotations

from itertools import pairwise

from anytime.model_store.errors import Contradiction
from anytime.model_store.manifest import Calibration, GainTable, Manifest


def check_calibration(manifest: Manifest) -> None:
    """Raise ``Contradiction`` where the calibration and the stages tell different stories."""
    calibration = manifest.calibration
    if manifest.answer == "best_validated" and (calibration is None or calibration.accuracy is None):
        raise Contradiction("answer 'best_validated' needs calibration.accuracy; give it, or choose another answer")
    if calibration is None:
        return
    for name in ("temperature", "accuracy", "cost", "ms"):
        _per_exit(f"calibration.{name}", getattr(calibration, name), manifest.exits)
    for row in calibration.temperature or ():
        if len(row) != len(manifest.level_labels):
            raise Contradiction(
                f"calibration.temperature has {len(row)} numbers for an exit; "
                f"wanted one per level, {len(manifest.level_labels)}"
            )
    if calibration.gain is not None:
        _check_gain(calibration.gain, manifest.exits)
    _check_points(calibration, manifest.exits)


def _per_exit(name: str, values: tuple[object, ...] | None, exits: int) -> None:
    if values is not None and len(values) != exits:
        raise Contradiction(f"{name} has {len(values)} entries; wanted one per exit, {exits}")


def _check_gain(gain: GainTable, exits: int) -> None:
    _per_exit("calibration.gain.accuracy", gain.accuracy, exits)
    if not gain.edges or gain.edges[0] != 0.0 or any(a >= b for a, b in pairwise(gain.edges)):
        raise Contradiction("calibration.gain.edges must start at 0 and rise strictly: each is the lower edge of a bin")
    for bins in gain.accuracy:
        if len(bins) != len(gain.edges):
            raise Contradiction(
                f"calibration.gain.accuracy has {len(bins)} bins; wanted one per edge, {len(gain.edges)}"
            )
        for row in bins:
            _per_exit("a bin of calibration.gain.accuracy", row, exits)


def _check_points(calibration: Calibration, exits: int) -> None:
    seen: set[str] = set()
    for point in calibration.operating_points:
        if point.name in seen:
            raise Contradiction(f"two operating points are named {point.name!r}; rename one")
        seen.add(point.name)
        _per_exit(f"operating point {point.name!r}: exit_shares", point.exit_shares, exits)
