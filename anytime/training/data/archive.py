"""Archives of data sets: read in place, or unpacked beside themselves, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from anytime.training.errors import BadData, DataMissing

_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError)


def read_members(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    """The files of a tar archive that have these last names, in memory. Raises ``BadData``."""
    with _reading(archive), tarfile.open(archive) as tar:
        members = {Path(one.name).name: one for one in tar if one.isfile()}
        absent = [name for name in names if name not in members]
        if absent:
            raise BadData(f"{archive} holds no {', '.join(absent)}; fetch it again")
        streams = {name: tar.extractfile(members[name]) for name in names}
        return {name: stream.read() for name, stream in streams.items() if stream is not None}


def unpack(archive: Path, top: str) -> Path:
    """The folder ``top`` of a tar or zip archive, unpacked beside it; one that is there already is taken as it is.

    Raises ``BadData`` for a broken archive, ``DataMissing`` where the disk has no room.
    """
    target = archive.parent / top
    if target.is_dir():
        return target
    try:
        with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=archive.parent) as temp, _reading(archive):
            _extract(archive, temp)
            if not Path(temp, top).is_dir():
                raise BadData(f"{archive} holds no folder {top}; fetch it again")
            os.replace(Path(temp, top), target)
    except OSError as error:
        if target.is_dir():  # another process was faster
            return target
        raise DataMissing(f"{archive} cannot be unpacked into {archive.parent}: {error}") from error
    return target


def _extract(archive: Path, folder: str) -> None:
    """Both libraries keep every path inside the folder."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)  # noqa: S202  # a zip's paths are cleaned
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise BadData(f"{archive} is damaged: {error}; fetch it again") from error
