"""A bundle on disk, opened: parsed, verified, and ready for a runner to load."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from anytime.model_store import limits
from anytime.model_store.errors import ManifestUnreadable, MissingFile, TooLarge
from anytime.model_store.flow import Flow, build_flow
from anytime.model_store.manifest import MANIFEST, Manifest, StartFile, State
from anytime.model_store.parse import parse_manifest
from anytime.model_store.paths import locate
from anytime.model_store.start import read_start
from anytime.model_store.tensors import DTYPES, Dims, bind
from anytime.model_store.verify import verify_files, verify_graphs


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. Its files are read-only: nothing here notices a change after ``open_bundle``."""

    folder: Path
    manifest: Manifest
    flow: Flow
    digest: str
    """SHA-256, in hexadecimal, of ``manifest.json``; as the manifest holds every file's hash, of the whole bundle."""
    weight_files: frozenset[str]
    """The stages' graphs and their external data."""

    def path(self, file: str) -> Path:
        """Where a file of the bundle lies."""
        return self.folder / file

    def start(self, name: str, dims: Dims | None = None) -> np.ndarray:
        """One row of a state's start value, without the row axis; ``dims`` sizes the symbolic axes of zeros."""
        state = self._states[name]
        if isinstance(state.start, StartFile):
            return read_start(self.path(state.start.file), state)
        assert state.start == "zeros", f"state {name!r} has no start"
        return np.zeros(bind(state.shape[1:], dims or {}), DTYPES[state.dtype])

    @property
    def weight_bytes(self) -> int:
        """Bytes of the stages' graphs and their external data, each file counted once."""
        return sum(self.manifest.files[file].bytes for file in self.weight_files)

    @cached_property
    def _states(self) -> dict[str, State]:
        return {state.name: state for state in self.manifest.state}


def open_bundle(folder: Path) -> Bundle:
    """Parse and verify a bundle, hashes before graphs. Raises the ``BundleError`` that names the fault."""
    data = _manifest_bytes(folder)
    manifest = parse_manifest(data)
    verify_files(folder, manifest)
    flow = build_flow(manifest)
    weight_files = verify_graphs(folder, manifest, flow)
    return Bundle(folder, manifest, flow, hashlib.sha256(data).hexdigest(), weight_files)


def read_manifest(folder: Path) -> Manifest:
    """The manifest alone, for whoever runs no graph: the files are not looked at. Raises the ``BundleError``."""
    return parse_manifest(_manifest_bytes(folder))


def _manifest_bytes(folder: Path) -> bytes:
    try:
        location = locate(folder, MANIFEST)
    except MissingFile as error:
        raise ManifestUnreadable(f"{folder} has no {MANIFEST}; give the folder of a bundle") from error
    with location.open("rb") as file:
        data = file.read(limits.MANIFEST_BYTES + 1)
    if len(data) > limits.MANIFEST_BYTES:
        raise TooLarge(f"{location} is larger than {limits.MANIFEST_BYTES} bytes, the bound for a manifest")
    return data
