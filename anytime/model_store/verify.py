"""Whether a bundle's files are the ones that its manifest describes: sizes and hashes first, then the graphs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from anytime.model_store.checks import graphs
from anytime.model_store.errors import MissingFile, WrongHash
from anytime.model_store.external import external_files
from anytime.model_store.flow import Flow
from anytime.model_store.manifest import MANIFEST, File, Manifest, StartFile
from anytime.model_store.onnx_file import read_model
from anytime.model_store.paths import locate
from anytime.model_store.signature import check_signature
from anytime.model_store.start import check_start


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Every listed file is there, a regular file inside the bundle, and holds what was hashed; no other file is there.

    Raises ``MissingFile``, ``PathOutside`` or ``WrongHash``. Parses nothing.
    """
    for path, file in manifest.files.items():
        _verify_file(locate(folder, path), path, file)
    for path in _present(folder):
        if path != MANIFEST and path not in manifest.files:
            raise MissingFile(f"{path!r} in {folder} is not listed in files; list it with its hash, or take it away")


def verify_graphs(folder: Path, manifest: Manifest, flow: Flow) -> frozenset[str]:
    """Every ONNX file loads, keeps its data inside, reads and writes what the manifest says; starts fit their states.

    Call it after ``verify_files``. Returns the files that hold weights of stages: graphs and their external data.
    Raises ``GraphUnreadable``, ``ExternalDataOutside`` or ``GraphMismatch``.
    """
    assert len(flow.heads) == manifest.exits, "the flow of another manifest"
    staged = graphs(manifest)
    used = {graph.file for _, graph in staged}
    weights: set[str] = set()
    for path in sorted(used | {path for path in manifest.files if path.endswith(".onnx")}):
        model = read_model(locate(folder, path), path)
        held = external_files(model, path, manifest.files)
        if path in used:
            weights |= {path, *held}
        for where, graph in staged:
            if graph.file == path:
                check_signature(where, graph, model.graph, manifest)
    for state in manifest.state:
        if isinstance(state.start, StartFile):
            check_start(locate(folder, state.start.file), state)
    return frozenset(weights)


def _verify_file(location: Path, path: str, file: File) -> None:
    size = location.stat().st_size
    if size != file.bytes:
        raise WrongHash(f"{path!r} has {size} bytes; the manifest says {file.bytes}: copy or build the bundle anew")
    with location.open("rb") as stream:
        got = hashlib.file_digest(stream, "sha256").hexdigest()
    if got != file.sha256:
        raise WrongHash(f"{path!r} has SHA-256 {got}; the manifest says {file.sha256}: copy or build the bundle anew")


def _present(folder: Path) -> Iterator[str]:
    """Everything in the bundle but plain folders, as POSIX paths; links to folders count as files."""
    for root, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        for name in (*links, *files):
            yield (Path(root) / name).relative_to(folder).as_posix()
