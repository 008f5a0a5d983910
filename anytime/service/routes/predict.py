"""``POST /v1/models/{model}[/versions/{version}]/predict``: one answer, or a stream of every refinement."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

from anytime.policy import PolicyError, parse_policy
from anytime.service import sse
from anytime.service.catalogue import Catalogue
from anytime.service.engine.engine import Engine
from anytime.service.engine.messages import Event, RowFailure, Work
from anytime.service.engine.served import Served
from anytime.service.engine.ticket import Ticket
from anytime.service.envelope import Message, Receive, Scope, Send
from anytime.service.errors import (
    DeadlineBeforeFirstExit,
    DeadlineBeforeFullDepth,
    DeadlineUnreachable,
    Internal,
    Loading,
    ServiceError,
    error_body,
)
from anytime.service.headers import accepts, by_name
from anytime.service.http_protocol import ARRIVED, GONE, IS_WHOLE, Departure
from anytime.service.intake.body import read_body
from anytime.service.intake.deadline import asked_deadline_ms
from anytime.service.intake.fields import Fields, invalid_policy, query_fields
from anytime.service.intake.media import JSON, RAW, media_of
from anytime.service.intake.request import Bounds, Prediction, read_prediction
from anytime.service.logs import current_request
from anytime.service.reply import done_json, dumps, event_json, reply_json
from anytime.service.settings import Settings

log = logging.getLogger(__name__)

INLINE_BYTES = 64 * 1024
"""JSON and raw bodies up to this size are read on the event loop (under a millisecond); the rest on a thread."""
SLOW_READER_S = 0.005
"""A stream whose client kept a write waiting for longer tells nothing of how late this server is."""
HEAD_S = 0.001
"""A stream's head waits so long for the first prediction where a worker was idle: sending it holds the interpreter, which
the worker needs to start the first graph."""
LOAD_WAIT_MS = 60_000.0
"""How long a request without a deadline waits for its model to be loaded."""
_PLAIN = (RAW, JSON)
_Asked = tuple[str, bytes, Fields]
"""A request's content type, body and query."""


class Predict:
    """An ASGI application, for a request's path must be short: no framework between the bytes and the engine."""

    def __init__(self, engine: Engine, catalogue: Catalogue, settings: Settings, readers: Executor) -> None:
        """``readers``: the threads that read what would hold the event loop up."""
        self._engine = engine
        self._catalogue = catalogue
        self._bounds = Bounds(min(settings.batch_rows, settings.queue_rows), settings.image_pixels)
        self._body_bytes = int(settings.body_bytes)
        self._body_timeout_s = settings.body_timeout_s
        self._heartbeat_s = settings.heartbeat_s
        self._default_deadline_ms = parse_policy(settings.default_policy).deadline_ms
        self._readers = readers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.get("state", {})
        arrived = state.get(ARRIVED) or time.perf_counter()
        timeout_s = None if IS_WHOLE in state else self._body_timeout_s
        headers = by_name(scope["headers"])
        body = await read_body(receive, headers, self._body_bytes, timeout_s)
        model, reference = scope["path_params"]["model"], scope["path_params"].get("version")
        at_hand = self._catalogue.at_hand(model, reference)
        content_type = headers.get(b"content-type", b"").decode("latin-1").strip()
        query = query_fields(scope["query_string"])
        served = at_hand or await self._load(model, reference, (content_type, body, query), arrived)
        arguments = (content_type, body, query, served.manifest, self._bounds)
        if len(body) <= INLINE_BYTES and _is_plain(content_type, body):
            prediction = read_prediction(*arguments)
        else:
            prediction = await asyncio.get_running_loop().run_in_executor(self._readers, read_prediction, *arguments)
        streams = prediction.stream
        if streams is None:
            streams = b"accept" in headers and accepts(scope["headers"], "text/event-stream")
        try:
            ticket = self._admit(served, prediction, streams, arrived)
        except (DeadlineBeforeFirstExit, DeadlineBeforeFullDepth, DeadlineUnreachable) as error:
            if at_hand:
                raise
            raise Loading(f"{model} had to be loaded, and the deadline did not allow the wait: retry") from error
        top = prediction.top
        del body, arguments, prediction  # the tensors are the engine's to drop
        departure = state.get(GONE)
        watch = None
        if departure is None:  # another server than ours
            departure = Departure()
            watch = asyncio.create_task(_wait_until_lost(receive, departure))
        departure.tell = functools.partial(self._engine.cancel, ticket)
        if departure.has_come:
            departure.tell()
        try:
            if streams:
                await self._stream(ticket, top, send)
            else:
                await self._reply(ticket, top, departure, send)
        finally:
            departure.tell = None
            if watch is not None:
                watch.cancel()
            self._engine.finish(ticket)

    async def _load(self, model: str, reference: str | None, asked: _Asked, arrived: float) -> Served:
        _, body, _ = asked
        if len(body) <= INLINE_BYTES:
            deadline_ms = asked_deadline_ms(*asked, self._default_deadline_ms)
        else:
            loop = asyncio.get_running_loop()
            deadline_ms = await loop.run_in_executor(
                self._readers, asked_deadline_ms, *asked, self._default_deadline_ms
            )
        return await self._catalogue.acquire(model, reference, arrived + (deadline_ms or LOAD_WAIT_MS) / 1e3)

    def _admit(self, served: Served, prediction: Prediction, streams: bool, arrived: float) -> Ticket:
        try:
            program = served.program(prediction.policy, stream=streams, trace=prediction.trace)
        except PolicyError as error:
            raise invalid_policy(error) from error
        work = Work(prediction.tensors, prediction.rows, arrived, streams, prediction.trace)
        return self._engine.submit(served, program, work, prediction.dims)

    async def _reply(self, ticket: Ticket, top: int, departure: Departure, send: Send) -> None:
        ended = await ticket.events()
        ended.sort(key=_row)
        if not ended and departure.has_come:
            return
        if not ended:
            log.error("a request ended and none of its rows had an end")
            raise Internal("internal error: no row was answered; the server's log has the details")
        if all(isinstance(event, RowFailure) for event in ended):
            raise _first_error(ended)
        body = dumps(reply_json(ticket.served.manifest, ticket.id, ended, top, **_times(ticket)))
        await send(_head(200, ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)))))
        ticket.handed_at = time.perf_counter()
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, ticket: Ticket, top: int, send: Send) -> None:
        """Opened at admission; every event as it comes, ``done`` with the last of them."""
        events = await ticket.events_within(HEAD_S) if ticket.met_idle_worker else None
        await send(_head(200, sse.HEADERS))
        manifest, number, waited_s = ticket.served.manifest, 0, 0.0
        pieces: list[bytes] = []
        try:
            if events is None:
                await send(_piece(b""))  # the head by itself
                events = await self._next(ticket, send)
            while events:
                for event in events:
                    number += 1
                    pieces.append(sse.event(_kind(event), event_json(manifest, ticket.id, event, top), number))
                if ticket.is_told:
                    break
                said = b"".join(pieces)
                pieces.clear()
                offered_at = time.perf_counter()
                await send(_piece(said))
                waited_s = max(waited_s, time.perf_counter() - offered_at)
                events = await self._next(ticket, send)
            last = sse.event("done", done_json(manifest, ticket.id, **_times(ticket)), number + 1)
        except Exception:  # the head is out: an error can only be an event
            log.exception("internal error")
            fault = error_body(Internal("internal error; the server's log has the details"), current_request.get())
            last = sse.event("error", {"id": ticket.id, **fault}, number + 1)
        if waited_s < SLOW_READER_S:
            ticket.handed_at = time.perf_counter()
        await send({"type": "http.response.body", "body": b"".join((*pieces, last))})

    async def _next(self, ticket: Ticket, send: Send) -> list[Event]:
        """What comes next, with a heartbeat whenever it takes long; empty at the end."""
        while (events := await ticket.events_within(self._heartbeat_s)) is None:
            await send(_piece(sse.heartbeat()))
        return events


def _is_plain(content_type: str, body: bytes) -> bool:
    """Whether it is read in no time, if it is short."""
    return content_type in _PLAIN or media_of(content_type, body).name in _PLAIN


async def _wait_until_lost(receive: Receive, departure: Departure) -> None:
    """After the body there is nothing to receive but the connection's end. A watch that failed ends no request."""
    try:
        while (await receive())["type"] != "http.disconnect":
            continue
    except Exception:
        log.exception("the client could not be watched")
    else:
        departure.comes()


def _row(event: Event) -> int:
    return event.row


def _kind(event: Event) -> str:
    if isinstance(event, RowFailure):
        return "error"
    return "prediction" if event.reason is None else "final"


def _first_error(ended: Sequence[Event]) -> ServiceError:
    return next(event.error for event in ended if isinstance(event, RowFailure))


def _times(ticket: Ticket) -> dict[str, float]:
    return {"elapsed_ms": (time.perf_counter() - ticket.arrived) * 1e3, "queue_ms": ticket.queue_ms}


def _head(status: int, headers: Sequence[tuple[bytes, bytes]]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def _piece(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": True}
