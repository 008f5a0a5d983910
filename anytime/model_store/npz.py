"""``npz`` files read whole: every array by its name, and nothing that would have to be run."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np


class NpzUnreadable(ValueError):
    """No ``npz`` file of plain arrays: not there, another format, cut short, or with pickled objects."""


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Raises ``NpzUnreadable``; its cause is a ``FileNotFoundError`` where there is no such file."""
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise NpzUnreadable(str(error)) from error
