"""What every request passes: an id, the key check, and errors in their one shape."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

from anytime.service.auth import CHALLENGE, Keys
from anytime.service.errors import (
    BodyTimeout,
    BodyTooLarge,
    Internal,
    MalformedRequest,
    MethodNotAllowed,
    RouteNotFound,
    ServiceError,
    ShuttingDown,
    Unauthorized,
    UnsupportedMedia,
    error_body,
)
from anytime.service.headers import Headers, header
from anytime.service.intake.body import ClientLeft
from anytime.service.logs import REQUEST_ID, current_request, request_id
from anytime.service.reply import dumps

log = logging.getLogger("anytime.request")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json"})
"""What anybody may ask without a key: what probes want, and what ``/docs`` shows before somebody has typed a key into it.
``/metrics`` is not among them: who is served, and how much, is the operator's; Prometheus can send a key.
"""
OPEN_PREFIX = "/docs"


class Envelope:
    """Wraps the application; the innermost error handler, so that nothing below needs one."""

    def __init__(self, app: App, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, request_id(scope["headers"]), scope["path"] if log.isEnabledFor(logging.DEBUG) else "")
        current_request.set(answer.request_id)
        scope["app"] = self  # Starlette's router then raises what it refuses, instead of answering in its own shape
        try:
            if not self._keys.allows(scope["headers"]) and not _is_open(scope["path"]):
                raise Unauthorized("no valid API key came with the request; send it as 'Authorization: Bearer KEY'")
            await self._app(scope, receive, answer)
        except ServiceError as error:
            await answer.fail(error, scope)
        except HTTPException as error:
            await answer.fail(_refusal(error, scope), scope, error.headers)
        except ClientLeft:
            log.debug("client left")
        except asyncio.CancelledError:  # only the server's end cancels a request, once its grace is over
            await answer.fail(ShuttingDown("the server is shutting down: retry elsewhere"), scope)
        except Exception:
            log.exception("internal error")
            await answer.fail(Internal("internal error; the server's log has the details under this request_id"), scope)
        answer.log()


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path == OPEN_PREFIX or path.startswith(f"{OPEN_PREFIX}/")


def _refusal(error: HTTPException, scope: Scope) -> ServiceError:
    path = scope["path"][:200]
    if error.status_code == 404:
        return RouteNotFound(f"there is no {path!r}; /docs lists what there is")
    if error.status_code == 405:
        return MethodNotAllowed(f"{scope['method']} is no method of {path!r}; /docs lists what there is")
    return MalformedRequest(error.detail)


_EARLY = (BodyTimeout, BodyTooLarge, MethodNotAllowed, RouteNotFound, Unauthorized, UnsupportedMedia)
"""What may be found before the body has been read."""


def _has_body(headers: Headers) -> bool:
    return header(headers, b"transfer-encoding") is not None or header(headers, b"content-length") not in (None, "0")


class _Answer:
    """``send`` with the request's id on the head; remembers whether a head went out."""

    __slots__ = ("_path", "_send", "_since", "request_id", "status")

    def __init__(self, send: Send, request_id: str, path: str) -> None:
        self._send = send
        self._path = path
        self._since = time.perf_counter()
        self.request_id = request_id
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (REQUEST_ID, self.request_id.encode())]
        await self._send(message)

    async def fail(self, error: ServiceError, scope: Scope, more: Mapping[str, str] | None = None) -> None:
        """The error as the reply; after a head went out there is nothing to say any more but the connection's end.

        ``more``: further headers, such as ``Allow``.
        """
        if self.status:
            return
        headers = [(b"content-type", b"application/json")]
        if isinstance(error, Unauthorized):
            headers.append(CHALLENGE)
        headers.extend((name.lower().encode(), value.encode()) for name, value in (more or {}).items())
        if isinstance(error, _EARLY) and _has_body(scope["headers"]):
            headers.append((b"connection", b"close"))  # nobody will read the body, which is still on its way
        if error.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_s))))
        body = dumps(error_body(error, self.request_id))
        headers.append((b"content-length", b"%d" % len(body)))
        await self({"type": "http.response.start", "status": error.status, "headers": headers})
        await self({"type": "http.response.body", "body": body})

    def log(self) -> None:
        """One line a request, at level debug: at full rate it would cost more than a small network."""
        if self._path:
            ms = round((time.perf_counter() - self._since) * 1e3, 3)
            log.debug("request", extra={"path": self._path, "status": self.status, "ms": ms})
