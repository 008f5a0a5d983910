"""Writing a bundle: a draft of the manifest and the files become a verified folder, whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from anytime.model_store.bundle import Bundle, open_bundle
from anytime.model_store.card import CARD, model_card
from anytime.model_store.counting import count_graphs
from anytime.model_store.errors import Contradiction, WrongType
from anytime.model_store.manifest import FORMAT, MANIFEST, Manifest
from anytime.model_store.parse import parse_manifest
from anytime.model_store.paths import check_path

Content = bytes | onnx.ModelProto | np.ndarray
"""Of a file: as it is, a model to serialise, or an array to save as ``.npy``."""


def write_bundle(folder: Path, draft: Mapping[str, object], files: Mapping[str, Content]) -> Bundle:
    """Write a bundle to ``folder``, which must not exist, and open it.

    ``draft`` is the manifest as JSON-able data without ``format`` and ``files``. Where absent, a graph's ``macs``
    and ``params`` are counted at the axes' typical sizes, ``created`` is now, ``version`` 1, ``method`` "custom", and a
    model card is written. Raises a ``BundleError`` that names what is wrong with the draft or the files, ``Uncountable``
    where a graph needs its ``macs`` given, and ``FileExistsError``; on any of them nothing is left behind.
    """
    with _appearing(folder) as temp:
        raw = _filled(draft)
        count_graphs(raw, files)
        bundle = _write(temp, raw, files)
    return dataclasses.replace(bundle, folder=folder)


def copy_bundle(
    bundle: Bundle, folder: Path, *, contents: Mapping[str, bytes] | None = None, **changes: object
) -> Bundle:  # fmt: skip
    """The bundle once more in ``folder``, which must not exist, with other fields of the manifest; nothing else changes.

    ``changes`` are JSON-able data; ``contents``: of files that are new or other. Raises ``FileExistsError`` and the
    ``BundleError`` that names what is wrong with the changes or with the files as they are now; on either nothing is left
    behind.
    """
    others = contents or {}
    raw = {**json.loads(bundle.manifest.to_json()), **changes}
    raw["files"] |= {file: _listed(data) for file, data in others.items()}
    manifest = parse_manifest(json.dumps(raw, allow_nan=False).encode())
    with _appearing(folder) as temp:
        for file in manifest.files:
            (temp / file).parent.mkdir(parents=True, exist_ok=True)
            if file in others:
                (temp / file).write_bytes(others[file])
            else:
                shutil.copyfile(bundle.path(file), temp / file)
        write_manifest(temp, manifest)
        copy = open_bundle(temp)
    return dataclasses.replace(copy, folder=folder)


@contextlib.contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A folder to fill that becomes ``folder`` at the end, and leaves nothing where the filling fails."""
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; give a folder that does not, or remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temp = folder.parent / f".tmp-{folder.name}-{uuid.uuid4().hex}"
    temp.mkdir()
    try:
        yield temp
        temp.rename(folder)
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` to a folder that is not a bundle yet, and make sure it reached the disk."""
    with (folder / MANIFEST).open("w", encoding="utf-8", newline="\n") as file:
        file.write(manifest.to_json())
        file.flush()
        os.fsync(file.fileno())


def _filled(draft: Mapping[str, object]) -> dict[str, Any]:
    """The draft as plain JSON data of its own, with its defaults."""
    for name in ("format", "files"):
        if name in draft:
            raise Contradiction(f"the draft has {name!r}, which write_bundle fills in itself; leave it out")
    given = {"version": 1, "method": "custom", "created": datetime.now(UTC).isoformat(), **draft}
    try:
        raw: dict[str, Any] = json.loads(json.dumps(given, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise WrongType(
            f"the draft is not JSON-able data: {error}; use str, int, finite float, bool, list and dict"
        ) from error
    return raw


def _write(folder: Path, raw: dict[str, Any], files: Mapping[str, Content]) -> Bundle:
    contents = dict(files)
    contents.setdefault(CARD, model_card(raw).encode())
    listed = {}
    for path, content in contents.items():
        check_path(path)
        data = _serialised(content)
        location = folder / path
        location.parent.mkdir(parents=True, exist_ok=True)
        location.write_bytes(data)
        listed[path] = _listed(data)
    text = json.dumps({**raw, "format": FORMAT, "files": listed})
    write_manifest(folder, parse_manifest(text.encode()))
    return open_bundle(folder)


def _listed(data: bytes) -> dict[str, Any]:
    """A file's entry in the manifest."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _serialised(content: Content) -> bytes:
    if isinstance(content, onnx.ModelProto):
        data: bytes = content.SerializeToString(deterministic=True)
        return data
    if isinstance(content, np.ndarray):
        stream = io.BytesIO()
        np.save(stream, content, allow_pickle=False)
        return stream.getvalue()
    return content
