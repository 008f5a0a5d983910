"""Copying a verified bundle into a store so that it appears under its version whole, or not at all."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from anytime.model_store.build import write_manifest
from anytime.model_store.bundle import Bundle, open_bundle
from anytime.model_store.errors import VersionExists

TEMP = ".tmp-"
STALE_S = 3600
"""A temporary folder that nothing touched for so long belongs to a publisher that died."""


def publish(source: Bundle, home: Path, version: int | None, following: Callable[[], int]) -> Bundle:
    """The copy of ``source`` as ``home/<version>``; with no version, the one that ``following`` says, asked again
    whenever another publisher took it first. Raises ``VersionExists``."""
    if version is not None and (home / str(version)).exists():
        raise VersionExists(f"{home / str(version)} exists and versions never change; publish under another number")
    home.mkdir(parents=True, exist_ok=True)
    sweep(home, time.time())
    temp = home / f"{TEMP}{uuid.uuid4().hex}"
    temp.mkdir()
    try:
        _copy(source, temp)
        return _appear(source, temp, home, version, following)
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def sweep(home: Path, now: float) -> None:
    """Remove what publishers that died left behind."""
    for temp in home.glob(f"{TEMP}*"):
        if now - _touched(temp) > STALE_S:
            shutil.rmtree(temp, ignore_errors=True)


def _copy(source: Bundle, temp: Path) -> None:
    for file in source.manifest.files:
        target = temp / file
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.path(file).open("rb") as read, target.open("wb") as written:
            shutil.copyfileobj(read, written, 1 << 20)
            written.flush()
            os.fsync(written.fileno())


def _appear(source: Bundle, temp: Path, home: Path, version: int | None, following: Callable[[], int]) -> Bundle:
    while True:
        number = following() if version is None else version
        write_manifest(temp, source.manifest.model_copy(update={"version": number}))
        bundle = open_bundle(temp)
        _sync_folders(temp)
        try:
            temp.rename(home / str(number))
        except OSError as error:
            if not (home / str(number)).exists():
                raise
            if version is not None:
                raise VersionExists(
                    f"another publisher took version {version} of {home.name!r}; take another"
                ) from error
            continue
        _sync(home)
        return dataclasses.replace(bundle, folder=home / str(number))


def _sync_folders(folder: Path) -> None:
    for root, _, _ in os.walk(folder, topdown=False):
        _sync(Path(root))


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _touched(temp: Path) -> float:
    """When anything in a temporary folder last changed; 0 if it just went."""
    times = [0.0]
    for path in (temp, *temp.rglob("*")):
        try:
            times.append(path.stat().st_mtime)
        except FileNotFoundError:
            continue
    return max(times)
