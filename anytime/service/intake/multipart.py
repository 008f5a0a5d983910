"""The parts of a ``multipart/form-data`` body, taken apart in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from anytime.service.errors import MalformedBody

MAX_PARTS = 128
"""Twice the inputs that a bundle may have."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: the field's name, the file's name and the content type where given, and the content."""

    name: str
    filename: str | None
    content_type: str | None
    data: bytes


def read_parts(body: bytes, boundary: str | None) -> list[Part]:
    """The parts in order. Raises ``MalformedBody``."""
    if not boundary:
        raise MalformedBody("the Content-Type names no boundary; wanted multipart/form-data; boundary=...")
    collector = _Collector()
    try:
        parser = MultipartParser(boundary.encode("utf-8"), collector.callbacks())  # type: ignore[arg-type]  # a plain dict
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise MalformedBody(f"the body is not multipart/form-data: {error}; send it as its boundary says") from error
    if not collector.is_complete:
        raise MalformedBody("the multipart body ends before its closing boundary; send it whole")
    return collector.parts


@dataclass(slots=True)
class _Collector:
    """What the parser has told so far."""

    parts: list[Part] = field(default_factory=list)
    is_complete: bool = False
    _name: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _headers: dict[str, str] = field(default_factory=dict)
    _pieces: list[bytes] = field(default_factory=list)

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_part_data": lambda data, start, end: self._pieces.append(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.parts) >= MAX_PARTS:
            raise MalformedBody(f"the multipart body has more than {MAX_PARTS} parts; wanted one per input and option")
        self._headers, self._pieces = {}, []

    def _header(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._name.clear()
        self._value.clear()

    def _end(self) -> None:
        disposition, options = parse_options_header(self._headers.get("content-disposition"))
        name = options.get(b"name")
        if disposition != b"form-data" or name is None:
            raise MalformedBody(
                f'part {len(self.parts) + 1} has no name; wanted Content-Disposition: form-data; name="..."'
            )
        filename = options.get(b"filename")
        self.parts.append(
            Part(
                name.decode("utf-8", "replace"),
                None if filename is None else filename.decode("utf-8", "replace"),
                self._headers.get("content-type"),
                self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces),
            )
        )

    def _finish(self) -> None:
        self.is_complete = True
