"""Reading a request's body off the wire, within bounds of size, time and number of pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from anytime.service.errors import BodyTimeout, BodyTooLarge, MalformedBody, UnsupportedMedia

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

MAX_CHUNKS = 65_536
"""Pieces of a body, however small each: 32 MiB in pieces of half a kilobyte."""


class ClientLeft(Exception):
    """The client closed the connection before its request was whole."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], max_bytes: int, timeout_s: float | None) -> bytes:
    """The whole body. ``timeout_s``: None where all of it has come, and there is nothing to wait for.

    Raises ``BodyTooLarge`` (before anything is read, where the length is declared), ``BodyTimeout`` where the body is
    not whole after ``timeout_s``, ``MalformedBody``, ``UnsupportedMedia`` for a compressed body, ``ClientLeft``.
    """
    if b"content-encoding" in headers:
        _check_encoding(headers[b"content-encoding"].decode("latin-1").strip())
    if b"content-length" in headers:
        _check_length(headers[b"content-length"].strip(), max_bytes)
    pieces: list[bytes] = []
    if timeout_s is None:
        await _collect(receive, pieces, max_bytes)
    else:
        await _collect_within(timeout_s, receive, pieces, max_bytes)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _collect_within(timeout_s: float, receive: Receive, pieces: list[bytes], max_bytes: int) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await _collect(receive, pieces, max_bytes)
    except TimeoutError as error:
        got = sum(map(len, pieces))
        raise BodyTimeout(
            f"the body was not complete after {timeout_s:g} s ({got} bytes had come); send it faster, or less of it"
        ) from error


async def _collect(receive: Receive, pieces: list[bytes], max_bytes: int) -> None:
    got = chunks = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunks += 1
        piece = message.get("body", b"")
        got += len(piece)
        if got > max_bytes:
            raise _too_large(f"more than {max_bytes} bytes", max_bytes)
        if piece:
            pieces.append(piece)
        if not message.get("more_body", False):
            return
        if chunks >= MAX_CHUNKS:
            raise MalformedBody(f"the body came in more than {MAX_CHUNKS} pieces; send it in fewer, larger ones")


def _check_encoding(encoding: str) -> None:
    if encoding and encoding.lower() != "identity":
        raise UnsupportedMedia(
            f"the body has Content-Encoding {encoding[:40]!r}; wanted identity: send it uncompressed",
            content_encoding=encoding[:40],
        )


def _check_length(length: bytes, max_bytes: int) -> None:
    if not length.isdigit():
        raise MalformedBody(f"the Content-Length is {length[:40].decode('latin-1')!r}; wanted a number of bytes")
    if len(length) > 18 or int(length) > max_bytes:
        raise _too_large(f"{length[:40].decode()} bytes", max_bytes)


def _too_large(got: str, max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body has {got}; at most {max_bytes} are read: send fewer rows, or ask for a larger body_bytes",
        max_bytes=max_bytes,
    )
