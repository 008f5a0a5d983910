"""Where bundles live: ``<root>/<model>/<version>/`` and ``<root>/<model>/aliases/<alias>``, one integer a file.

A version is immutable and appears whole or not at all; an alias is replaced in one step. Readers take no lock and see
either the old or the new. ``latest`` is the highest version there is and is never written down.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from anytime.model_store.bundle import Bundle, open_bundle
from anytime.model_store.errors import BadAlias, BadName, Contradiction, UnknownModel, UnknownVersion
from anytime.model_store.manifest import MANIFEST
from anytime.model_store.nearest import nearest
from anytime.model_store.publish import publish

LATEST = "latest"
STABLE = "stable"
ALIASES = "aliases"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VERSION = re.compile(r"[1-9][0-9]{0,15}")

Reference = str | int | None
"""A version, an alias, a version as text, or nothing: ``stable`` if set, else ``latest``."""
Fingerprint = frozenset[tuple[object, ...]]


class Store:
    """The bundles under one folder. A folder that does not exist is an empty store."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def models(self) -> tuple[str, ...]:
        """The models that have a version, by name."""
        return tuple(sorted(name for name in _names(self.root) if _NAME.fullmatch(name) and self._versions(name)))

    def versions(self, model: str) -> tuple[int, ...]:
        """The versions of a model, rising. Raises ``UnknownModel``."""
        versions = self._versions(model)
        if not versions:
            raise UnknownModel(f"the store {self.root} has no model {model!r}; {nearest(model, self.models())}")
        return versions

    def aliases(self, model: str) -> dict[str, int]:
        """Each alias and the version it names, ``latest`` included; the version may be gone. Or ``UnknownModel``."""
        latest = self.versions(model)[-1]
        return {LATEST: latest, **{alias: version for alias in self._alias_names(model)
                                   if (version := self._alias(model, alias)) is not None}}  # fmt: skip

    def resolve(self, model: str, reference: Reference = None) -> int:
        """The version that a reference means. Raises ``UnknownModel`` or ``UnknownVersion``."""
        versions = self.versions(model)
        if reference is None:
            stable = self._alias(model, STABLE)
            version: int | None = versions[-1] if stable is None else stable
        elif reference == LATEST:
            version = versions[-1]
        elif isinstance(reference, str) and not _VERSION.fullmatch(reference):
            version = self._alias(model, reference) if _NAME.fullmatch(reference) else None
        else:
            version = int(reference)
        if version is None or version not in versions:
            known = (*versions, *self.aliases(model))
            raise UnknownVersion(
                f"model {model!r} has no version {reference or version!r}; {nearest(reference or version, known)}"
            )
        return version

    def folder(self, model: str, version: int) -> Path:
        """Where a version lies, or would."""
        return self._home(model) / str(version)

    def open(self, model: str, reference: Reference = None) -> Bundle:
        """The verified bundle of a model. Raises what ``resolve`` and ``open_bundle`` raise."""
        version = self.resolve(model, reference)
        bundle = open_bundle(self.folder(model, version))
        got = (bundle.manifest.name, bundle.manifest.version)
        if got != (model, version):
            raise Contradiction(f"{bundle.folder} holds {got[0]!r} version {got[1]}; publish it, do not copy it in")
        return bundle

    def verify(self, model: str, reference: Reference = None) -> Bundle:
        """Check a version from its manifest to its graphs: the same as ``open``, under the name of what it is for."""
        return self.open(model, reference)

    def publish(self, folder: Path, version: int | None = None) -> Bundle:
        """Copy a bundle in, under its own name and the version given, or the next one.

        Raises what ``open_bundle`` raises, and ``VersionExists``. Two publishers at once both succeed, with different
        versions unless they asked for the same. A publisher that is killed leaves nothing that a reader sees.
        """
        source = open_bundle(folder)
        home = self._home(source.manifest.name)
        return publish(source, home, version, lambda: max(_numbers(home), default=0) + 1)

    def set_alias(self, model: str, alias: str, version: Reference) -> int:
        """Let an alias name a version, and return it. Raises ``BadAlias``, ``UnknownModel`` or ``UnknownVersion``."""
        self._check_alias(alias)
        number = self.resolve(model, version)
        folder = self._home(model) / ALIASES
        folder.mkdir(exist_ok=True)
        temp = folder / f".tmp-{uuid.uuid4().hex}"
        try:
            temp.write_text(f"{number}\n")
            temp.replace(folder / alias)
        finally:
            temp.unlink(missing_ok=True)
        return number

    def remove_alias(self, model: str, alias: str) -> None:
        """Raises ``BadAlias`` where there is no such alias, and ``UnknownModel``."""
        self._check_alias(alias)
        self.versions(model)
        try:
            (self._home(model) / ALIASES / alias).unlink()
        except FileNotFoundError as error:
            known = nearest(alias, self._alias_names(model))
            raise BadAlias(f"model {model!r} has no alias {alias!r}; {known}") from error

    def fingerprint(self) -> Fingerprint:
        """Equal if and only if no version or alias came, went or changed: cheap enough to ask every second."""
        seen: set[tuple[object, ...]] = set()
        for model in self.models():
            for version in self._versions(model):
                seen.add((model, version, *_stamp(self.folder(model, version) / MANIFEST)))
            seen.update(
                (model, alias, _text(self._home(model) / ALIASES / alias)) for alias in self._alias_names(model)
            )
        return frozenset(seen)

    def _home(self, model: str) -> Path:
        if not _NAME.fullmatch(model):
            raise BadName(
                f"{model!r} cannot name a model; use a-z, 0-9, '.', '_' and '-', at most 64, first a-z or 0-9"
            )
        return self.root / model

    def _versions(self, model: str) -> tuple[int, ...]:
        home = self._home(model)
        return tuple(sorted(number for number in _numbers(home) if (home / str(number) / MANIFEST).exists()))

    def _alias_names(self, model: str) -> tuple[str, ...]:
        return tuple(sorted(name for name in _names(self._home(model) / ALIASES) if _NAME.fullmatch(name)))

    def _alias(self, model: str, alias: str) -> int | None:
        text = _text(self._home(model) / ALIASES / alias)
        if text is not None and not _VERSION.fullmatch(text.strip()):
            raise BadAlias(f"the alias {alias!r} of model {model!r} holds {text[:40]!r}, not a version; set it again")
        return None if text is None else int(text)

    def _check_alias(self, alias: str) -> None:
        if alias == LATEST:
            raise BadAlias("'latest' is the highest version by itself and cannot be set; use 'stable' or another name")
        if not _NAME.fullmatch(alias) or alias.isdigit():
            raise BadAlias(f"{alias!r} cannot be an alias; use a-z, 0-9, '.', '_' and '-', and not digits only")


def _numbers(home: Path) -> list[int]:
    """Every number taken in a model's folder, whatever lies under it."""
    return [int(name) for name in _names(home) if _VERSION.fullmatch(name)]


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _stamp(path: Path) -> tuple[int, ...]:
    """Tells one content of a file from the next; empty where the file just went."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ()
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
