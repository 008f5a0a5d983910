"""The argument BUNDLE, a folder or a model of a store, and the traces that lie with it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anytime.model_store import Bundle, Manifest
    from anytime.policy import Trace

BUNDLE = "a bundle's folder, or NAME or NAME/VERSION in the store"
TRACES = "traces"
"""The folder of traces, in the bundle's or beside it: ``<split>.npz``."""


class TracesMissing(ValueError):
    """No trace was named, and none lies where one is looked for."""

    code = "traces_missing"


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """``BUNDLE`` and ``--store``."""
    parser.add_argument("bundle", metavar="BUNDLE", help=BUNDLE)
    parser.add_argument("--store", type=Path, default=Path(os.environ.get("ANYTIME_STORE") or "models"), metavar="DIR",
                        help="the store's folder (default: $ANYTIME_STORE, else ./models)")  # fmt: skip


def bundle_folder(named: str, store: Path) -> Path:
    """Where a bundle lies: a folder with a manifest; where that is none, of the store. Raises ``StoreError``."""
    from anytime.model_store import Store
    from anytime.model_store.manifest import MANIFEST

    name, _, version = named.partition("/")
    if (Path(named) / MANIFEST).exists() or "/" in version or not name or name.startswith("."):
        return Path(named)
    return Store(store).folder(name, Store(store).resolve(name, version or None))


def open_named(named: str, store: Path) -> Bundle:
    """The bundle in a folder; where that is none, of the store by NAME or NAME/VERSION. Raises ``StoreError``."""
    from anytime.model_store import open_bundle

    return open_bundle(bundle_folder(named, store))


def find_trace(folder: Path, split: str) -> Path | None:
    """The trace of a split in a bundle's folder or beside it, if there is one."""
    places = (folder / TRACES / f"{split}.npz", folder.resolve().parent / TRACES / f"{split}.npz")
    return next((place for place in places if place.is_file()), None)


def read_trace(named: Path | None, folder: Path, manifest: Manifest) -> tuple[Path, Trace]:
    """The trace named, else the test split's, and its path. Raises ``TracesMissing`` or ``TraceError``."""
    from anytime.policy import TraceError, load_trace

    path = named or find_trace(folder, "test")
    if path is None:
        raise TracesMissing(f"no {TRACES}/test.npz in {folder} or beside it; name a file of traces, or record some")
    trace = load_trace(path, manifest)
    if not trace.rows:
        raise TraceError(f"{path} has no row; record some")
    return path, trace
