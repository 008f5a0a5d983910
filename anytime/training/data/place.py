"""Where data sets lie: the folders that are searched, and whether what is absent may be downloaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anytime.training.data.download import cache_folder, download
from anytime.training.data.sources import PUBLISHED, OfficialFile, Source, publisher
from anytime.training.errors import BadData, DataMissing

VARIABLE = "ANYTIME_DATA"


def data_folder(given: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The folder that the user names: as an option, else by ``ANYTIME_DATA``."""
    if given is not None:
        return given
    return Path(named).expanduser() if (named := environment.get(VARIABLE)) else None


@dataclass(frozen=True)
class Place:
    """``folder``: the user's, searched first, and downloaded to; ``None``: there is only the cache."""

    folder: Path | None = None
    may_download: bool = True
    show_progress: bool = False

    @property
    def folders(self) -> tuple[Path, ...]:
        """Searched in this order."""
        return (cache_folder(),) if self.folder is None else (self.folder, cache_folder())

    def find(self, source: Source) -> dict[str, Path] | None:
        """All of the source's files, by name, from one home; a ``.gz`` may lie there unpacked. ``None``: not all."""
        for home in self.homes(source):
            found = {file.name: path for file in source.files if (path := _lying(home, file)) is not None}
            if len(found) == len(source.files):
                return found
        return None

    def find_folder(self, source: Source, inside: Sequence[str]) -> Path | None:
        """The first home that holds everything named in ``inside``."""
        return next((home for home in self.homes(source) if all((home / one).exists() for one in inside)), None)

    def obtain(self, source: Source) -> dict[str, Path]:
        """All of the source's files, by name, those that are nowhere downloaded. Raises ``DataMissing``."""
        if (found := self.find(source)) is not None:
            return found
        lying = {file.name: path for file in source.files for home in reversed([*self.homes(source)])
                 if (path := _lying(home, file)) is not None}  # fmt: skip
        absent = [file for file in source.files if file.name not in lying]
        if not self.may_download:
            raise self.missing(source, [file.name for file in absent], "downloads are switched off")
        for number, file in enumerate(absent):
            try:
                lying[file.name] = download(file, self.folders[0] / source.homes[0], self.show_progress)
            except DataMissing as error:
                raise self.missing(source, [one.name for one in absent[number:]], str(error)) from error
        return lying

    def missing(self, source: Source, absent: Sequence[str], why: str = "") -> DataMissing:
        """The error that says what was looked for, where, and how to get it."""
        links = ", ".join(file.urls[0] for file in source.files if file.urls and file.name in absent)
        advice = source.advice or f"get {links} and put it into {self.folders[0] / source.homes[0]}"
        looked = ", ".join(str(home) for home in self.homes(source))
        return DataMissing(
            f"{source.name}: {', '.join(absent)} not found; looked in {looked}{why and f'; {why}'}; {advice}"
        )

    def homes(self, source: Source) -> Iterator[Path]:
        """Where the source's files may lie, the likeliest first."""
        return (folder / home for folder in self.folders for home in source.homes)


def strangers(found: Mapping[str, Path], source: Source, known: Iterable[Source] = PUBLISHED) -> tuple[str, ...]:
    """The files whose checksum is not the published one. Raises ``BadData`` where they are another data set's."""
    odd = []
    for file in source.files:
        path = found[file.name]
        md5 = file_md5(path)
        if md5 == file.md5:
            continue
        owner = publisher(md5, known)
        if owner is not None:
            raise BadData(
                f"{path} is another file, published by {owner}; wanted {file.name} of {source.name}: "
                f"put each data set into a folder of its own"
            )
        odd.append(path.name)
    return tuple(odd)


def file_md5(path: Path) -> str:
    """In hexadecimal. Raises ``BadData`` for what cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror}") from error


def _lying(home: Path, file: OfficialFile) -> Path | None:
    return next((path for name in (file.name, file.name.removesuffix(".gz")) if (path := home / name).is_file()), None)
