"""Official files from the network, whole and with the published checksum or not at all."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from anytime.training.data.sources import OfficialFile
from anytime.training.errors import DataMissing, ExtraMissing

_CHUNK = 1 << 18
"""Bytes between two movements of the progress bar."""


class DownloadBar:
    """The bar on the terminal, by the four names that pooch calls."""

    def __init__(self, title: str) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, transient=True)
        self._task = self._progress.add_task(title, total=None)
        self.total = 0
        self._progress.start()

    def update(self, more: int) -> None:
        self._progress.update(self._task, total=self.total or None, advance=more)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.stop()


def download(file: OfficialFile, folder: Path, show_progress: bool = False) -> Path:
    """The file in ``folder``, from the first of its addresses that gives what the checksum asks for.

    Raises ``DataMissing`` with what each address said, or what the disk said; ``ExtraMissing`` without pooch.
    """
    pooch = _pooch()
    said = []
    for url in file.urls:
        bar = DownloadBar(file.name) if show_progress else None
        try:
            downloader = pooch.HTTPDownloader(progressbar=bar or False, chunk_size=_CHUNK)
            return Path(pooch.retrieve(url, f"md5:{file.md5}", file.name, folder, downloader=downloader))
        except (
            OSError,
            ValueError,
        ) as error:  # no network, no such file; another checksum: all of requests' are OSErrors
            said.append(f"{url}: {error}")
        finally:
            if bar is not None:
                bar.close()
    raise DataMissing(f"{file.name} could not be downloaded ({'; '.join(said) or 'it is offered nowhere'})")


def cache_folder() -> Path:
    """Where downloads go when the user names no folder: by the system's custom. Raises ``ExtraMissing`` without pooch."""
    return Path(_pooch().os_cache("anytime")) / "data"


def _pooch() -> ModuleType:
    try:
        import pooch  # type: ignore[import-untyped]
    except ImportError as error:
        raise ExtraMissing(f"{error.name} is not installed; install anytime-serving[train] to download data") from error
    return pooch
