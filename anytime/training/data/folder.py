"""The user's own pictures: a folder per class, in one tree, or in parts called train, val and test."""

from __future__ import annotations

from pathlib import Path

from anytime.model_store.manifest import Preprocess
from anytime.training.data.normalise import Normalisation
from anytime.training.data.official import Official, Part
from anytime.training.data.picture_files import class_folders, file_part, list_folders
from anytime.training.errors import BadData, BadLabel, EmptyClass

AS_THEY_ARE = Preprocess(channels="rgb")
"""No size given: the pictures must be of one."""
_TRAIN, _TEST, _VAL = "train", "test", ("val", "valid", "validation")
_NORMALISATION = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def read_folder(root: Path, spec: Preprocess = AS_THEY_ARE) -> Official:
    """Classes are the folders' names, sorted; pictures may lie deeper. Raises a ``BadData``.

    With ``train`` and ``test``, a ``val`` is what thresholds are calibrated on; with ``train`` and ``val`` alone, ``val`` is
    the test. A single tree, or ``train`` alone, has no test part yet.
    """
    folders = list_folders(root)
    parts = {_TRAIN, _TEST, *_VAL}
    inside = _TRAIN if _TRAIN in folders and set(folders) <= parts else ""
    held = [one for one in (_TEST, *_VAL) if inside and one in folders]
    if len(held) > 2 or (len(held) == 2 and held[0] != _TEST):
        raise BadData(f"{root} holds {', '.join(held)}; wanted train, test and at most one of {', '.join(_VAL)}")
    classes = list_folders(root / inside)
    if len(classes) < 2:
        raise EmptyClass(f"{root / inside} holds {len(classes)} folders; wanted one for each of two classes or more")
    train = file_part(root, *class_folders(root, inside, classes), spec)
    test, calibration = ([_held_out(root, one, classes, spec, train) for one in held] + [None, None])[:2]
    return Official(train, test, tuple(classes), calibration, normalisation=_NORMALISATION)


def _held_out(root: Path, inside: str, classes: list[str], spec: Preprocess, train: Part) -> Part:
    """Another part of the same classes."""
    known, found = set(classes), set(list_folders(root / inside))
    if found - known:
        raise BadLabel(f"{root / inside} holds {min(found - known)!r}, a class that has no folder in {_TRAIN}")
    if known - found:
        raise EmptyClass(f"{root / inside} lacks {min(known - found)!r}, a class of {_TRAIN}; every class needs some")
    return file_part(root, *class_folders(root, inside, classes), spec, train.pictures.shape)
