"""What every request passes: an id, the key check, and errors in their one shape."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

from anytime.service.auth import CHALLENGE, Keys
from anytime.service.errors import (
    BodyTimeout,
    BodyTooLarge,
    Internal,
    MalformedBody,
    MethodNotAllowed,
    RouteNotFound,
    ServiceError,
    Unauthorized,
    error_body,
)
from anytime.service.intake.body import ClientLeft
from anytime.service.logs import REQUEST_ID, current_request, request_id
from anytime.service.reply import dumps

log = logging.getLogger("anytime.request")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""What probes ask, without a key."""


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
        scope["app"] = (
            self  # Starlette's router then raises what it refuses, instead of answering in a shape of its own
        )
        try:
            if scope["path"] not in OPEN_PATHS and not self._keys.allows(scope["headers"]):
                raise Unauthorized("no valid API key came with the request; send it as 'Authorization: Bearer KEY'")
            await self._app(scope, receive, answer)
        except ServiceError as error:
            await answer.fail(error)
        except HTTPException as error:
            await answer.fail(_refusal(error, scope))
        except ClientLeft:
            log.debug("client left")
        except Exception:
            log.exception("internal error")
            await answer.fail(Internal("internal error; the server's log has the details under this request_id"))
        answer.log()


def _refusal(error: HTTPException, scope: Scope) -> ServiceError:
    path = scope["path"][:200]
    if error.status_code == 404:
        return RouteNotFound(f"there is no {path!r}; /docs lists what there is")
    if error.status_code == 405:
        return MethodNotAllowed(f"{scope['method']} is no method of {path!r}; /docs lists what there is")
    return MalformedBody(error.detail)


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

    async def fail(self, error: ServiceError) -> None:
        """The error as the reply; after a head went out there is nothing to say any more but the connection's end."""
        if self.status:
            return
        headers = [(b"content-type", b"application/json")]
        if isinstance(error, Unauthorized):
            headers.append(CHALLENGE)
        if isinstance(error, BodyTooLarge | BodyTimeout):
            headers.append(
                (b"connection", b"close")
            )  # the rest of the body is still on its way and nobody will read it
        if error.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after_s))))
        body = dumps(error_body(error, self.request_id))
        headers.append((b"content-length", b"%d" % len(body)))
        await self({"type": "http.response.start", "status": error.status, "headers": headers})
        await self({"type": "http.response.body", "body": body})

    def log(self) -> None:
        """One line a request, at level debug: at full rate it would cost more than a small network."""
        if self._path:
            ms = round((time.perf_counter() - self._since) * 1e3, 3)
            log.debug("request", extra={"path": self._path, "status": self.status, "ms": ms})
