"""What kind of content some bytes are: as their sender says, or as their first bytes show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from python_multipart.multipart import parse_options_header

JSON = "application/json"
RAW = "application/octet-stream"
MULTIPART = "multipart/form-data"
IMAGES = ("image/png", "image/jpeg", "image/webp")
FORM = "application/x-www-form-urlencoded"
"""What curl's ``-d`` and ``--data-binary`` claim of any body: believed only where nothing better shows."""

_ALIASES = {"image/jpg": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Media:
    """A media type in lower case and its parameters."""

    name: str
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_image(self) -> bool:
        return self.name in IMAGES


_PLAIN = {JSON: Media(JSON), RAW: Media(RAW)}
"""What most requests declare, spelled as most spell it: no need to parse that."""


def media_of(content_type: str | None, data: bytes) -> Media:
    """The media type that was declared; where none was, the one that the first bytes show, else raw bytes."""
    if content_type in _PLAIN:
        return _PLAIN[content_type]
    if not content_type:
        return Media(sniff(data) or RAW)
    name, params = parse_options_header(content_type)
    media = Media(
        name.decode("latin-1"),
        {key.decode("latin-1"): value.decode("utf-8", "replace") for key, value in params.items()},
    )
    if media.name == FORM:
        return Media(sniff(data) or FORM)
    return Media(_ALIASES.get(media.name, media.name), media.params)


def sniff(data: bytes) -> str | None:
    """JSON by its first character, PNG, JPEG and WebP by their signatures; None for anything else."""
    image = sniff_image(data)
    if image is not None:
        return image
    return JSON if data[:64].lstrip()[:1] in (b"{", b"[") else None


def sniff_image(data: bytes) -> str | None:
    """The image type whose signature the data begin with."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None
