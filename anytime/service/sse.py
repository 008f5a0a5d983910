"""Server-sent events as bytes (WHATWG HTML, section 9.2). The only place that writes them."""

from __future__ import annotations

from anytime.service.reply import dumps

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back until its buffer is full
)


def event(name: str, data: object, number: int) -> bytes:
    """One event: ``data`` as JSON on one line, ``number`` as its ``id``."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, name.encode(), dumps(data))


def heartbeat() -> bytes:
    """A comment: keeps proxies from closing a quiet connection, and no client sees it.

    No empty line behind it: some parsers would take that for the end of an event, once they have seen an ``id``.
    """
    return b":\n"
