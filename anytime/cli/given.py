"""Options that several commands take, and how their values are read."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def add_store(parser: argparse.ArgumentParser) -> None:
    """``--store`` or ``--out``: where a bundle goes."""
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--store", type=Path, default=Path(os.environ.get("ANYTIME_STORE") or "models"), metavar="DIR",
                        help="publish into this store (default: $ANYTIME_STORE, else ./models)")  # fmt: skip
    target.add_argument("--out", type=Path, metavar="FOLDER", help="write the bundle to a new folder instead")


def add_preprocess(parser: argparse.ArgumentParser) -> None:
    """``--preprocess``"""
    parser.add_argument("--preprocess", metavar="JSON",
                        help="how a picture becomes a row, as in the manifest: JSON, or a file of it")  # fmt: skip


def read_preprocess(given: str | None) -> dict[str, Any] | None:
    """JSON or a file of it. Raises ``BadOption`` or ``OSError``."""
    if given is None:
        return None
    text = given if given.lstrip().startswith("{") else Path(given).read_text(encoding="utf-8")
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise bad_option(f"--preprocess is not JSON: {error}; wanted an object such as "
                         f'{{"channels": "gray", "resize": [28, 28]}}') from error  # fmt: skip
    if not isinstance(fields, dict):
        raise bad_option(f"--preprocess is {fields!r}; wanted a JSON object")
    return fields


def read_names(given: Path | None) -> Sequence[str] | None:
    """One name a line; empty lines at the end do not count."""
    return None if given is None else [line.strip() for line in given.read_text(encoding="utf-8").rstrip().splitlines()]


def bad_option(message: str) -> Exception:
    """A ``BadOption``, imported where it is needed."""
    from anytime.training.errors import BadOption

    return BadOption(message)
