"""The argument BUNDLE, a folder or a model of a store, and the traces that lie with it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anytime.model_store import Manifest
    from anytime.policy import Trace

TRACES = "traces"
"""The folder of traces, in the bundle's or beside it: ``<split>.npz``."""


class TracesMissing(ValueError):
    """No trace was named, and none lies where one is looked for."""

    code = "traces_missing"


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """``BUNDLE`` and ``--store``."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle's folder, or NAME[:VERSION] of a model in the store")
    parser.add_argument("--store", type=Path, default=Path(os.environ.get("ANYTIME_STORE") or "models"), metavar="DIR",
                        help="the store's folder (default: $ANYTIME_STORE, else ./models)")  # fmt: skip


def bundle_folder(bundle: str, store: Path) -> Path:
    """Where the bundle lies. What has a manifest is a folder; else it is looked up in the store. Raises ``StoreError``."""
    from anytime.model_store.manifest import MANIFEST
    from anytime.model_store.store import Store

    if Path(bundle, MANIFEST).exists() or os.sep in bundle:
        return Path(bundle)
    name, _, version = bundle.partition(":")
    found = Store(store)
    return found.folder(name, found.resolve(name, version or None))


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
