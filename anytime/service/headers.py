"""Header fields as ASGI hands them over: pairs of bytes, names in lower case."""

from __future__ import annotations

import re
from collections.abc import Iterable

Headers = Iterable[tuple[bytes, bytes]]


def header(headers: Headers, name: bytes) -> str | None:
    """The first field of that name (lower case), without the white space around it; None where there is none."""
    for key, value in headers:
        if key == name:
            return value.decode("latin-1").strip()
    return None


def by_name(headers: Headers) -> dict[bytes, bytes]:
    """The first field of each name, as it is."""
    return dict(reversed(list(headers)))


def accepts(headers: Headers, media: str) -> bool:
    """Whether a field ``Accept`` names the media type (lower case) itself, and not with a weight of 0 (RFC 9110, 12.5.1)."""
    return any(key == b"accept" and _names(value.decode("latin-1").lower(), media) for key, value in headers)


def _names(accept: str, media: str) -> bool:
    if media not in accept:
        return False
    entries = ([part.strip() for part in entry.split(";")] for entry in accept.split(","))
    return any(name == media and not any(map(_NO.fullmatch, params)) for name, *params in entries)


_NO = re.compile(r"q\s*=\s*0(\.0*)?")
