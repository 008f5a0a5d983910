"""A mixed load over a few connections: full depth, early exits, streams, and clients that leave before their answer.

Bounded: so many requests, one at a time per connection, and it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle
from urllib.parse import urlsplit

CONNECTIONS = 8
_END_OF_CHUNKS = b"\r\n0\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(frozen=True)
class Kind:
    """One kind of request: its query, and whether its client waits for the answer."""

    query: str
    stays: bool = True


FULL, EARLY = Kind("exact=true"), Kind("confidence=0.01")
STREAM, LEAVER = Kind("stream=true&confidence=0.999999"), Kind("stream=true", stays=False)
MIX = (FULL, EARLY, FULL, EARLY, STREAM, FULL, EARLY, FULL, EARLY, LEAVER, FULL, EARLY, STREAM, FULL, EARLY, FULL)
"""A sixteenth of the clients leave, an eighth stream."""


class Load:
    """Requests to one model with one body; ``answered`` and ``left`` count what became of them."""

    def __init__(self, url: str, content_type: str, body: bytes) -> None:
        where = urlsplit(url)
        assert where.hostname is not None and where.port is not None, f"wanted http://host:port/..., got {url}"
        self._host, self._port = where.hostname, where.port
        self._requests = {kind: _request(where.path, kind, content_type, body) for kind in set(MIX)}
        self.answered = 0
        self.left = 0

    def send(self, requests: int, mix: Iterable[Kind] = MIX) -> None:
        """So many requests of the mix, one after another on each connection. Raises for anything but a 200."""
        asyncio.run(self._send(requests, mix))

    async def _send(self, requests: int, mix: Iterable[Kind]) -> None:
        kinds = iter([kind for kind, _ in zip(cycle(mix), range(requests), strict=False)])
        await asyncio.gather(*(self._caller(kinds) for _ in range(CONNECTIONS)))

    async def _caller(self, kinds: Iterator[Kind]) -> None:
        """One connection at a time, a new one after each that was left."""
        while True:
            reader, writer = await asyncio.open_connection(self._host, self._port)
            try:
                if not await self._until_it_leaves(kinds, reader, writer):
                    return
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

    async def _until_it_leaves(
        self, kinds: Iterator[Kind], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """False once there is nothing left to ask."""
        for kind in kinds:
            writer.write(self._requests[kind])
            if not kind.stays:
                await writer.drain()
                self.left += 1
                return True
            await _read_reply(reader)
            self.answered += 1
        return False


async def _read_reply(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(f"not every answer was good: {head!r} {await reader.read(1000)!r}")
    if _LENGTH in head:
        await reader.readexactly(int(head.split(_LENGTH, 1)[1].split(b"\r\n", 1)[0]))
    else:
        await reader.readuntil(_END_OF_CHUNKS)


def _request(path: str, kind: Kind, content_type: str, body: bytes) -> bytes:
    head = f"POST {path}?{kind.query} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
