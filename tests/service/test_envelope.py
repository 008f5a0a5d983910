"""What every request passes: ids, keys, CORS, and errors that nobody foresaw."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from anytime.service.auth import key_ring
from anytime.service.envelope import App, Envelope
from anytime.service.errors import Loading, ServiceError
from anytime.service.logs import JsonFormatter
from tests.service import spinner
from tests.service.live import Live, assert_refused, live

KEY = "a-long-and-random-key"
HASH = sha256(KEY.encode()).hexdigest()
BODY = {"inputs": [spinner.row()]}


@pytest.fixture(scope="module")
def guarded(mixed_store: Path) -> Iterator[Live]:
    """A service that asks for a key and lets two origins' pages call."""
    with live(mixed_store, api_keys=[HASH], cors_origins=["https://a.example", "https://b.example"]) as service:
        yield service


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/docs/swagger-ui.css", "/openapi.json"])
def test_open_to_everybody(path: str, guarded: Live) -> None:
    """Probes, and the page into which a key can be typed, ask for none."""
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models/spinner/predict"),
        ("POST", "/v1/models/none/predict"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/spinner"),
        ("GET", "/metrics"),
        ("GET", "/nothing"),
        ("GET", "/healthz/"),
        ("GET", "/docsx"),
    ],
)
def test_closed_without_a_key(method: str, path: str, guarded: Live) -> None:
    """All else is 401 without a key or with a wrong one, told before anything else; with the key it is what it is."""
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-API-Key": HASH}):
        reply = httpx.request(method, guarded.url + path, headers=headers)
        assert_refused(reply, 401, "unauthorized")
        assert reply.headers["www-authenticate"] == "Bearer"
    for headers in ({"Authorization": f"Bearer {KEY}"}, {"X-API-Key": KEY}):
        assert httpx.request(method, guarded.url + path, headers=headers).status_code != 401


def test_a_key_serves(guarded: Live) -> None:
    """A request with a key is answered, and Prometheus can have one too."""
    assert guarded.post("spinner", BODY, headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    assert b"anytime_rows_total" in guarded.get("/metrics", headers={"X-API-Key": KEY}).content


def test_a_body_without_a_key_is_not_read(guarded: Live) -> None:
    """401 by the head alone, and the connection's end."""
    with guarded.connect() as wire:
        wire.send(b"POST /v1/models/spinner/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        answer = wire.answer()
        assert_refused(answer, 401, "unauthorized")
        assert answer.headers["connection"] == "close"


def test_cors_is_off_by_default(web: Live) -> None:
    """No page of another origin may read a reply."""
    reply = web.get("/v1/models", headers={"Origin": "https://a.example"})
    assert not [name for name in reply.headers if name.startswith("access-control")]
    preflight = httpx.options(
        f"{web.url}/v1/models", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    )
    assert preflight.status_code == 405


def test_cors_for_known_origins(guarded: Live) -> None:
    """A preflight needs no key; replies, errors too, name the origin; others get nothing."""
    url = f"{guarded.url}/v1/models/spinner/predict"
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    preflight = httpx.options(url, headers={"Origin": "https://a.example", **wanted})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://a.example"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    reply = httpx.post(url, json=BODY, headers={"Origin": "https://b.example"})
    assert_refused(reply, 401, "unauthorized")
    assert reply.headers["access-control-allow-origin"] == "https://b.example"
    assert "x-request-id" in reply.headers["access-control-expose-headers"].lower()
    stranger = httpx.post(url, json=BODY, headers={"Origin": "https://c.example"})
    assert "access-control-allow-origin" not in stranger.headers


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [("mine-1", True), ("00-4bf92f35-01", True), ("a" * 128, True), ("a" * 129, False), ("a b", False), ("é", False),
     ('"}', False), ("", False)],
)  # fmt: skip
def test_request_ids(given: str, is_kept: bool, web: Live) -> None:
    """The client's own id comes back if it is harmless, else a new one; a stream and an error have it as well."""
    headers = {"X-Request-ID": given.encode("latin-1")}
    for reply in (
        web.get("/healthz", headers=headers),
        web.post("spinner", BODY, headers=headers),
        web.post("spinner", {**BODY, "stream": True}, headers=headers),
        web.post("spinner", {}, headers=headers),
    ):
        if is_kept:
            assert reply.headers["x-request-id"] == given
        else:
            assert len(reply.headers["x-request-id"]) == 32


def enveloped(app: App, path: str = "/", keys: tuple[str, ...] = ()) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Envelope(app, key_ring(keys)))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_what_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    """Our own fault is 500 without details; the log has them under the request's id."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError("secret")

    lines = []
    caplog.handler.setFormatter(JsonFormatter())
    caplog.handler.emit = lambda record: lines.append(json.loads(JsonFormatter().format(record)))  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR, "anytime.request"):
        reply = enveloped(app)
    error = assert_refused(reply, 500, "internal")
    assert "secret" not in reply.text
    (line,) = lines
    assert line["request_id"] == error["request_id"]
    assert "ZeroDivisionError: secret" in line["exception"]


@pytest.mark.parametrize(("after", "header"), [(0.2, "1"), (1.0, "1"), (1.2, "2"), (30.0, "30")])
def test_retry_after_is_never_too_early(after: float, header: str) -> None:
    """Whole seconds, rounded up; the body has the exact ones."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise Loading("soon", retry_after_s=after)

    reply = enveloped(app)
    assert reply.headers["retry-after"] == header
    assert assert_refused(reply, 503, "loading")["retry_after_s"] == after


def test_after_the_head_an_error_ends_the_reply() -> None:
    """There is no second head."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"so far", "more_body": True})
        raise ServiceError("too late")

    with pytest.raises(AssertionError):  # httpx' transport asserts that a reply is complete
        enveloped(app)


def test_a_request_cancelled_by_the_servers_end() -> None:
    """What outlives the server's grace gets 503 and not a cut connection."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    assert_refused(enveloped(app), 503, "shutting_down")
