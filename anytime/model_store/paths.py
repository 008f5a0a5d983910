"""Which paths a bundle may name: relative, POSIX, normalised, visible, inside the bundle, and not its manifest."""

from __future__ import annotations

import posixpath
from pathlib import Path

from anytime.model_store.errors import MissingFile, PathOutside
from anytime.model_store.manifest import MANIFEST


def check_path(path: str) -> None:
    """Raise ``PathOutside`` unless ``path`` is one that a bundle may name."""
    fault = _fault(path)
    if fault is not None:
        raise PathOutside(
            f"the path {path!r} {fault}; give a path relative to the bundle's folder, such as 'stages/1-body.onnx'"
        )


def _fault(path: str) -> str | None:
    parts = path.split("/")
    if not path or path.startswith("/"):
        return "is empty or absolute"
    if "\\" in path or ":" in path or not path.isprintable():
        return "has a backslash, a colon or an unprintable character"
    if ".." in parts:
        return "climbs with '..'"
    if posixpath.normpath(path) != path or any(part.startswith(".") for part in parts):
        return "is not normalised or names a hidden file"
    if path == MANIFEST:
        return "is the manifest itself"
    return None


def locate(folder: Path, path: str) -> Path:
    """The regular file that ``path`` names in ``folder``, symbolic links resolved.

    Raises ``MissingFile`` where there is none and ``PathOutside`` where a link leaves the folder.
    """
    try:
        resolved = (folder / path).resolve(strict=True)
        inside = resolved.is_relative_to(folder.resolve(strict=True))
    except (OSError, RuntimeError) as error:
        raise MissingFile(
            f"the bundle {folder} has no file {path!r}: {error}; add it or build the bundle anew"
        ) from error
    if not inside:
        raise PathOutside(f"{path!r} is a link to {resolved}, outside the bundle {folder}; put the file itself there")
    if not resolved.is_file():
        raise MissingFile(f"{path!r} in {folder} is not a regular file; put a file there or build the bundle anew")
    return resolved
