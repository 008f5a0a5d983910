"""Structured logs: one JSON object per line (or plain text for people), each with the id of the request it is about."""

from __future__ import annotations

import logging
import os
import string
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Any, Literal

import orjson

from anytime.service.headers import Headers, header

REQUEST_ID = b"x-request-id"
"""The header that carries a request's id, both ways."""

current_request: ContextVar[str | None] = ContextVar("current_request", default=None)
"""The request that the running task works for."""

Format = Literal["json", "text"]

_SAFE = frozenset(string.ascii_letters + string.digits + "-_.:/+=@")
_MAX_CHARS = 128
_SERVER_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def request_id(headers: Headers) -> str:
    """The client's own ``X-Request-ID`` if it is 1 to 128 letters, digits or ``-_.:/+=@``; else a new unguessable one."""
    given = header(headers, REQUEST_ID)
    if given and len(given) <= _MAX_CHARS and _SAFE.issuperset(given):
        return given
    return os.urandom(16).hex()


def set_up_logs(level: str, form: Format, stream: IO[str] | None = None) -> None:
    """Send every log record, the HTTP server's included, to ``stream`` (by default standard error) in one form."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level.upper())
    for name in _SERVER_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


class JsonFormatter(logging.Formatter):
    """``{time, level, logger, message, request_id, ...extra, exception}`` on one line, whatever the message holds."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_about(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class TextFormatter(logging.Formatter):
    """The same for people; extra fields as ``name=value``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name is logging's
        extra = "".join(f" {name}={value}" for name, value in _about(record).items())
        return super().formatMessage(record) + extra


def _about(record: logging.LogRecord) -> dict[str, Any]:
    """The request's id, and what the caller gave as ``extra``."""
    about = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    request = current_request.get()
    if request is not None:
        about.setdefault("request_id", request)
    return about
