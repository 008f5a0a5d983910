"""Header fields as ASGI hands them over: pairs of bytes, names in lower case."""

from __future__ import annotations

from collections.abc import Iterable

Headers = Iterable[tuple[bytes, bytes]]


def header(headers: Headers, name: bytes) -> str | None:
    """The first field of that name (lower case), without the white space around it; None where there is none."""
    for key, value in headers:
        if key == name:
            return value.decode("latin-1").strip()
    return None
