"""Clients that send too much, too slowly, in crumbs or no HTTP at all, over real sockets; and those that pipeline."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from uvicorn.server import ServerState

from anytime.service.http_protocol import GONE, HEAD_BYTES, Departure, head_bounded
from tests.service import spinner
from tests.service.live import Live, assert_refused, expect, head, live

PREDICT = "/v1/models/spinner/predict"
BODY = json.dumps({"inputs": [spinner.row()]}).encode()
BODY_BYTES = 4096
TIMEOUT_S = 0.3


@pytest.fixture(scope="module")
def impatient(mixed_store: Path) -> Iterator[Live]:
    """A service that takes small bodies and waits for nobody."""
    with live(mixed_store, body_bytes=BODY_BYTES, body_timeout_s=TIMEOUT_S, head_timeout_s=TIMEOUT_S) as service:
        yield service


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_a_body_over_the_limit_is_refused_by_its_head(impatient: Live) -> None:
    """413 and the end of the connection, while nearly all of the body has not been sent."""
    with impatient.connect() as wire:
        wire.send(head("POST", PREDICT, content_length=str(BODY_BYTES + 1)) + b"a little")
        answer = wire.answer()
        error = assert_refused(answer, 413, "body_too_large")
        assert error["max_bytes"] == BODY_BYTES
        assert answer.headers["connection"] == "close"


def test_who_waits_for_leave_to_send_is_not_given_it(impatient: Live) -> None:
    """``Expect: 100-continue`` with too large a body gets 413 and no 100; with one that fits it gets 100 and the answer."""
    with impatient.connect() as wire:
        wire.send(head("POST", PREDICT, content_length="999999999", expect="100-continue"))
        assert_refused(wire.answer(), 413, "body_too_large")
    with impatient.connect() as wire:
        wire.send(head("POST", PREDICT, content_length=str(len(BODY)), expect="100-continue"))
        assert wire.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.send(BODY)
        assert wire.answer().status == 200


def test_a_reply_without_a_body_is_sent(impatient: Live) -> None:
    """``HEAD`` gets its head at once, and the next request on the connection its own reply."""
    with impatient.connect() as wire:
        wire.ask("HEAD", "/healthz")
        assert wire.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        wire.ask("GET", "/healthz")
        assert wire.answer().status == 200


def test_a_chunked_body_over_the_limit(impatient: Live) -> None:
    """A body without a declared length is refused as soon as it is too long."""
    with impatient.connect() as wire:
        wire.send(head("POST", PREDICT, transfer_encoding="chunked") + chunk(b"x" * 4000) + chunk(b"x" * 97))
        assert_refused(wire.answer(), 413, "body_too_large")


def test_the_refusal_reaches_who_sends_on(impatient: Live) -> None:
    """A client that sends all of its 20 MB before it reads still finds the 413: the close does not cut it off."""
    with httpx.Client() as client:
        for _ in range(5):
            reply = client.post(f"{impatient.url}{PREDICT}", content=b"x" * 20_000_000)
            assert_refused(reply, 413, "body_too_large")


def test_a_refused_body_that_never_ends_is_left(impatient: Live) -> None:
    """Whoever goes on sending after the refusal is cut off in the end."""
    with impatient.connect() as wire:
        wire.send(head("POST", "/nowhere", transfer_encoding="chunked") + chunk(b"x"))
        answer = wire.answer()
        assert_refused(answer, 404, "not_found")
        with pytest.raises(ConnectionError):
            wire.send_for_ever(chunk(b"x" * 1000) * 100)


def test_a_body_that_nobody_reads_ends_too(impatient: Live) -> None:
    """A page needs no body; one that is sent all the same must come to an end."""
    with impatient.connect() as wire:
        wire.send(head("GET", "/healthz", transfer_encoding="chunked") + chunk(b"x"))
        assert wire.answer().status == 200
        wire.send(chunk(b"y") + b"0\r\n\r\n")
        wire.ask("GET", "/healthz")
        assert wire.answer().status == 200
    with impatient.connect() as wire:
        wire.send(head("GET", "/healthz", transfer_encoding="chunked") + chunk(b"x"))
        assert wire.answer().status == 200
        assert wire.rest() == b""


def test_a_slow_head_is_refused_while_others_are_served(impatient: Live) -> None:
    """408 for a head that does not come; a client beside it never notices."""
    with impatient.connect() as slow:
        slow.send(b"POST /v1/models/spinner/pre")
        assert impatient.post("spinner", {"inputs": [spinner.row()]}).status_code == 200
        assert_refused(slow.answer(), 408, "body_timeout")
        assert slow.rest() == b""


def test_a_slow_body_is_refused_while_others_are_served(impatient: Live) -> None:
    """408 for a body that comes too slowly, however steadily."""
    with impatient.connect() as slow:
        slow.send(head("POST", PREDICT, content_length=str(len(BODY))) + BODY[:1])
        assert impatient.post("spinner", {"inputs": [spinner.row()]}).status_code == 200
        error = assert_refused(slow.answer(), 408, "body_timeout")
        assert "1 bytes had come" in error["message"]


def test_a_connection_without_a_request_is_closed_in_silence(impatient: Live) -> None:
    """Browsers open connections that they may never use: no 408 for these, and empty lines do not keep them open."""
    with impatient.connect() as wire:
        assert wire.rest() == b""
    with impatient.connect() as wire:
        wire.ask("GET", "/healthz")
        assert wire.answer().status == 200
        wire.send(b"\r\n")
        assert b" 200 " not in wire.rest()


def test_crumbs_are_served(impatient: Live) -> None:
    """A request that comes byte by byte, and a body in chunks of one byte, are answered like any other."""
    with impatient.connect() as wire:
        wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head("POST", PREDICT, content_length=str(len(BODY))) + BODY:
            wire.send(bytes([byte]))
        assert wire.answer().status == 200
        wire.send(head("POST", PREDICT, transfer_encoding="chunked"))
        wire.send(b"".join(chunk(bytes([byte])) for byte in BODY) + b"0\r\n\r\n")
        assert wire.answer().status == 200


@pytest.mark.parametrize(
    "data",
    [
        head("GET", "/healthz", x="y" * (HEAD_BYTES + 1)),
        head("GET", "/healthz", **{f"x{number}": "y" * 1000 for number in range(70)}),
        head("GET", "/" + "y" * (HEAD_BYTES + 1)),
        b"GET /healthz HTTP/1.1\r\nx: " + b"y" * (5 * HEAD_BYTES),
        b"GET /" + b"y" * (5 * HEAD_BYTES),
    ],
    ids=["one header", "many headers", "path", "a header without end", "a path without end"],
)
def test_a_large_head_is_refused(data: bytes, impatient: Live) -> None:
    """431 for more than 64 KiB, whether or not it ever ends."""
    with impatient.connect() as wire:
        wire.send(data)
        assert_refused(wire.answer(), 431, "head_too_large")


def test_a_head_just_within_the_bound(impatient: Live) -> None:
    """64 KiB are not too much."""
    with impatient.connect() as wire:
        wire.send(head("GET", "/healthz", content_length="0", x="y" * (HEAD_BYTES - 100)))
        assert wire.answer().status == 200


def test_a_trailer_without_end_is_refused(impatient: Live) -> None:
    """What comes after the last chunk is bounded as well."""
    with impatient.connect() as wire:
        wire.send(
            head("POST", PREDICT, transfer_encoding="chunked") + chunk(BODY) + b"0\r\nx: " + b"y" * (9 * HEAD_BYTES)
        )
        assert b"HTTP/1.1 200" not in wire.rest()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: ten\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nna me: x\r\n\r\n",
    ],
    ids=["TLS", "text", "no ASCII", "version", "length", "below 0", "two lengths", "smuggled", "header"],
)
def test_what_is_no_http(data: bytes, impatient: Live) -> None:
    """400 in the one shape, and the connection's end."""
    with impatient.connect() as wire:
        wire.send(data)
        answer = wire.answer()
        assert_refused(answer, 400, "malformed_request")
        assert answer.headers["connection"] == "close"
        assert wire.rest() == b""


def test_a_chunked_body_that_is_none(impatient: Live) -> None:
    """A broken framing in the middle of a body ends the connection, and the service goes on."""
    with impatient.connect() as wire:
        wire.send(head("POST", PREDICT, transfer_encoding="chunked") + b"zz\r\n")
        assert b" 200 " not in wire.rest()
    assert impatient.post("spinner", {"inputs": [spinner.row()]}).status_code == 200


def test_refusals_below_the_application_carry_the_id(impatient: Live) -> None:
    """The client's own request id comes back even where no request was made of its bytes."""
    with impatient.connect() as wire:
        wire.send(b"GET / HTTP/1.1\r\nX-Request-ID: mine\r\n" + b"y" * (2 * HEAD_BYTES))
        assert assert_refused(wire.answer(), 431, "head_too_large")["request_id"] == "mine"


def test_pipelined_requests_are_answered_in_order(impatient: Live) -> None:
    """Five requests in one write get five answers on one connection, which stays open."""
    rows = [[spinner.row()] * (number + 1) for number in range(5)]
    with impatient.connect() as wire:
        bodies = [json.dumps({"inputs": each}).encode() for each in rows]
        wire.send(b"".join(head("POST", PREDICT, content_length=str(len(body))) + body for body in bodies))
        assert [len(json.loads(wire.answer().body)["rows"]) for _ in rows] == [1, 2, 3, 4, 5]
        wire.ask("GET", "/healthz")
        assert wire.answer().status == 200


def test_an_error_does_not_end_a_connection(impatient: Live) -> None:
    """After an ordinary error the connection serves on."""
    with impatient.connect() as wire:
        for _ in range(3):
            wire.ask("POST", PREDICT, b"{")
            assert_refused(wire.answer(), 400, "malformed_body")
        wire.ask("POST", PREDICT, BODY)
        assert wire.answer().status == 200


def test_who_leaves_with_requests_pipelined_is_noticed(mixed_store: Path) -> None:
    """The first request's row ends as cancelled, though others wait behind it; these are never admitted."""
    with live(mixed_store) as service:
        body = json.dumps({"inputs": [spinner.row(spinner.LONG, spinner.LONG)]}).encode()
        with service.connect() as wire:
            for _ in range(3):
                wire.ask("POST", PREDICT, body)
                expect(lambda: service.metric("anytime_queue_seconds_count") == 1)
        expect(lambda: service.metric("anytime_rows_total", end="cancelled") == 1)
        assert service.post("spinner", {"inputs": [spinner.row()]}).status_code == 200
        assert service.metric("anytime_rows_admitted_total") == 2


class PausedTransport(asyncio.Transport):
    """Goes nowhere; remembers whether it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


def test_who_leaves_after_a_large_body_is_noticed() -> None:
    """The server reads on after a body that was more than it takes at once, so that it sees the connection's end, and the
    request is told of it though it asks for nothing any more.
    """

    async def main() -> None:
        lost: list[bool] = []
        has_read = asyncio.Event()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            while (await receive())["more_body"]:
                continue
            scope["state"][GONE].tell = lambda: lost.append(True)
            has_read.set()
            await asyncio.Event().wait()

        loop, transport = asyncio.get_running_loop(), PausedTransport()
        config = uvicorn.Config(application, log_config=None)
        config.load()
        protocol = head_bounded(10.0)(config=config, server_state=ServerState(), app_state={}, _loop=loop)
        protocol.connection_made(transport)
        body = bytes(3 * HEAD_BYTES)
        protocol.data_received(head("POST", "/", content_length=str(len(body))))
        await asyncio.sleep(0)
        protocol.data_received(body)
        await has_read.wait()
        assert transport.reads
        protocol.connection_lost(None)
        await asyncio.sleep(0.01)
        assert lost == [True]

    asyncio.run(main())


def test_a_departure_comes_once() -> None:
    """Who is to be told is told when the client leaves, and not again; who asks later can see that it has left."""
    told: list[int] = []
    departure = Departure()
    assert not departure.has_come
    departure.tell = lambda: told.append(1)
    departure.comes()
    departure.comes()
    assert (departure.has_come, told) == (True, [1])
