"""What the supervisor and a process say to each other, and the line that carries it."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import Any

import orjson

from anytime.service.processes.totals import Family

_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Ready:
    """A process has looked at the store, and loaded what it names."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A process drains: it takes connections, but answers them 503."""


@dataclass(frozen=True, slots=True)
class Held:
    """How many connections a process has taken so far, and how many of these have ended."""

    taken: int
    ended: int


@dataclass(frozen=True, slots=True)
class Count:
    """The supervisor wants what a process has counted; the answer bears the same number."""

    number: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What a process has counted."""

    number: int
    families: list[Family]


@dataclass(frozen=True, slots=True)
class Sum:
    """A process was asked for metrics and wants those of all; the answer bears the same number."""

    number: int


@dataclass(frozen=True, slots=True)
class Summed:
    """The metrics of all processes, as Prometheus reads them; empty where they could not be added up."""

    number: int
    text: str


Message = Ready | Leaving | Held | Count | Counted | Sum | Summed
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in (Ready, Leaving, Held, Count, Counted, Sum, Summed)}


class Line:
    """One end; messages come whole and in order. Each is a length and JSON."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.is_broken = False
        """Whether it ended in an error: what the other end said last may not have come."""

    @classmethod
    async def over(cls, sock: socket.socket) -> Line:
        """Takes the socket, one of a pair, for its own."""
        return cls(*await asyncio.open_unix_connection(sock=sock))

    def send(self, message: Message) -> None:
        """Goes out soon; to an end that is gone, nowhere."""
        if self._writer.is_closing():
            return  # uvloop would raise, and asyncio warn
        text = orjson.dumps([type(message).__name__, message])
        self._writer.write(len(text).to_bytes(_LENGTH_BYTES, "big") + text)

    async def receive(self) -> Message | None:
        """The next message; none once the other end is gone."""
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
            kind, fields = orjson.loads(await self._reader.readexactly(length))
        except asyncio.IncompleteReadError:
            return None
        except OSError:
            self.is_broken = True
            return None
        return _message(kind, fields)

    def close(self) -> None:
        self._writer.close()


def _message(kind: str, fields: dict[str, Any]) -> Message:
    if kind == Counted.__name__:
        return Counted(fields["number"], [Family(**family) for family in fields["families"]])
    return _KINDS[kind](**fields)
